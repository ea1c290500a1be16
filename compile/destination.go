package compile

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/egret-gateway/egret/api/ainetworking/v0alpha0"
	creds "github.com/egret-gateway/egret/api/credential"
	"github.com/egret-gateway/egret/plan"
)

// Reasons on XBackendDestinations that Gateway API has no word for.
const (
	reasonInvalid              = "Invalid"
	reasonServiceNotFound      = "ServiceNotFound"
	reasonPortNotFound         = "PortNotFound"
	reasonNoEndpoints          = "NoEndpoints"
	reasonUnsupportedProtocol  = "UnsupportedProtocol"
	reasonInvalidClientCert    = "InvalidClientCertificateRef"
	reasonClusterLocal         = "ClusterLocalHostname"
	reasonInsecureTLS          = "InsecureTLS"
	reasonUnsupportedExtension = "UnsupportedExtension"
)

// compileDestination compiles a backendRef to an XBackendDestination.
func (c *compiler) compileDestination(k backendKey, b *backend) {
	d := c.destinations[k.name]
	if d == nil {
		b.problem = problemf(string(gwv1.RouteReasonBackendNotFound), "Backend %s not found", k.name)
		return
	}
	i := slices.IndexFunc(d.Spec.Destination.Ports, func(p v0alpha0.Port) bool { return int64(p.Number) == int64(k.port) })
	if i < 0 {
		b.problem = problemf(string(gwv1.RouteReasonBackendNotFound), "Backend %s declares no port %d; it has %s", k.name, k.port, declared(d))
		return
	}
	port := &d.Spec.Destination.Ports[i]
	b.plan = plan.Backend{
		Name:     fmt.Sprintf("%s-%d", k.ns+"-"+k.name.name, k.port),
		Object:   v0alpha0.KindXBackendDestination + " " + k.name.String(),
		AskUsage: d.Annotations[annotationUsage] != "false",
	}
	switch port.Protocol {
	case v0alpha0.ProtocolHTTP:
		b.plan.Protocol = plan.HTTP
	case v0alpha0.ProtocolHTTP2:
		b.plan.Protocol = plan.HTTP2
	case v0alpha0.ProtocolMCP:
		b.speakMCP(port)
	default:
		b.plan.Protocol = plan.HTTP
		b.unable(500, reasonUnsupportedProtocol, "port %d: an HTTPRoute cannot speak %s; use HTTP, HTTP2 or MCP", k.port, port.Protocol)
	}
	server := c.place(d, port, b)
	c.originate(d, port, b, server)
	c.extend(d, b)
	c.bind(d, b)
	b.parent(d.Annotations)
}

func declared(d *v0alpha0.XBackendDestination) string {
	var out []string
	for _, p := range d.Spec.Destination.Ports {
		out = append(out, fmt.Sprint(p.Number))
	}
	return cmp.Or(strings.Join(out, ", "), "none")
}

// unable makes the backend answer status for itself and says so.
func (b *backend) unable(status int, reason, format string, args ...any) {
	p := problemf(reason, format, args...)
	b.fail(status, p.message)
	if b.unavailable == nil {
		b.unavailable = p
	}
}

// place finds where the destination is and returns its name for TLS.
func (c *compiler) place(d *v0alpha0.XBackendDestination, port *v0alpha0.Port, b *backend) (server string) {
	to := &d.Spec.Destination
	switch {
	case to.Type == v0alpha0.DestinationFqdn && to.Fqdn != nil && to.Service == nil:
		server = c.placeHost(d.Namespace, to.Fqdn.Hostname, port, b)
		if b.plan.Host != "" {
			b.closed(c.outward(d.Namespace, b))
		}
		return server
	case to.Type == v0alpha0.DestinationService && to.Service != nil && to.Fqdn == nil:
		c.placeService(name{to.Service.Namespace, to.Service.Name}, port, b)
		return to.Service.Name + "." + to.Service.Namespace + "." + clusterDomain
	}
	b.unable(500, reasonInvalid, "destination is of type %s but its %s is missing, or there is another beside it", to.Type, strings.ToLower(string(to.Type)))
	return ""
}

// placeHost places an external host that an object of the namespace names. The
// Host header follows it. A literal address is dialled as it is and has no SNI
// (acceptance gateway 84); a name stays a name.
func (c *compiler) placeHost(namespace, hostname string, port *v0alpha0.Port, b *backend) (server string) {
	host := strings.ToLower(strings.TrimSuffix(hostname, "."))
	b.plan.Port = int32(port.Number)
	literal := strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	if ip, err := netip.ParseAddr(literal); err == nil && ip.Zone() == "" {
		b.plan.Host, b.plan.Authority = ip.String(), ip.String()
		if ip.Is6() {
			b.plan.Authority = "[" + ip.String() + "]"
		}
		b.private(b.plan.Host)
		return ""
	}
	if !isHostname(host) {
		b.unable(500, reasonInvalid, "hostname %q is neither a host name nor an IP address; leave out scheme, port and path", hostname)
		return ""
	}
	if reserved(host) {
		b.unable(500, reasonInvalid, "hostname %q: names under .invalid exist nowhere", hostname)
		return ""
	}
	b.plan.Host, b.plan.Authority = host, host
	switch svc, ns, _ := strings.Cut(host, "."); {
	case plan.StrayName(host): // see held
	case c.inCluster(namespace, host):
		b.degraded = append(b.degraded, problemf(reasonClusterLocal,
			"%s is a name of this cluster; it is served, but a destination of type Service is the way to say so", host))
	case c.services[name{ns, svc}] != nil:
		b.notes = append(b.notes, fmt.Sprintf("%s is a name from outside; that of the Service is %s.%s.", host, host, clusterDomain))
	}
	return host
}

// inCluster reports whether a host name is the cluster's own to an object of the
// namespace: by its domain, or as service.namespace of a Service beside it.
func (c *compiler) inCluster(namespace, host string) bool {
	return plan.LocalName(host) || plan.StrayName(host) || c.serviceAt(namespace, host) != nil
}

// reserved reports whether a name is under ".invalid" (RFC 6761 6.4), where
// planes keep names of their own that users must not get at, such as those of
// gateways in memory.
func reserved(host string) bool {
	return strings.HasSuffix(strings.ToLower(strings.TrimSuffix(host, ".")), ".invalid")
}

func isHostname(h string) bool {
	if h == "" || len(h) > 253 {
		return false
	}
	for label := range strings.SplitSeq(h, ".") {
		if label == "" || len(label) > 63 || strings.ContainsFunc(label, func(r rune) bool {
			return !(r == '-' || r == '_' || ('0' <= r && r <= '9') || ('a' <= r && r <= 'z'))
		}) {
			return false
		}
	}
	return true
}

// placeService places a Service. The number is a port of the Service, or else
// one that its endpoints listen on.
func (c *compiler) placeService(target name, port *v0alpha0.Port, b *backend) {
	svc := c.services[target]
	if svc == nil {
		b.unable(500, reasonServiceNotFound, "Service %s not found", target)
		return
	}
	number := int32(port.Number)
	if p, ok := servicePort(svc, number); ok {
		if !c.lead(svc, number, b) {
			b.closed(c.reach(svc, p, b))
		}
	} else if b.plan.Endpoints = portEndpoints(c.index.slices[target], number); len(b.plan.Endpoints) == 0 {
		b.unable(500, reasonPortNotFound, "Service %s has no port %d, and no endpoint of it listens there; it has %s", target, number, portList(svc))
	}
	if b.plan.Fault != nil && b.unavailable == nil {
		b.unavailable = &problem{reasonNoEndpoints, b.plan.Fault.Reason}
	}
}

// bind has a Service that is shown a credential called by its own name. Behind a
// front that several share, another name (the client's, otherwise) would hand
// the credential to a neighbour.
func (c *compiler) bind(d *v0alpha0.XBackendDestination, b *backend) {
	to := d.Spec.Destination.Service
	if to == nil || len(b.plan.Accounts) == 0 {
		return
	}
	if svc := c.services[name{to.Namespace, to.Name}]; svc != nil {
		b.plan.Authority = serverName(svc)
	}
}

// extend judges the extensions. A request must not pass a backend as if its
// processor were not there, unless that says failOpen (acceptance gateway 106).
func (c *compiler) extend(d *v0alpha0.XBackendDestination, b *backend) {
	c.inject(d, b)
	for _, e := range d.Spec.Extensions {
		if e.Type == creds.Type || e.Type == extensionTLS { // see inject and harden
			continue
		}
		p := problemf(reasonUnsupportedExtension, "extension %s: type %s is not supported", e.Name, e.Type)
		if !creds.FailOpen(raw(&e)) {
			p.message += ", so the backend refuses its traffic"
			b.unable(500, reasonInvalid, "%s", p.message)
		}
		b.degraded = append(b.degraded, p)
	}
}

// reportDestinations reports on the XBackendDestinations that routes of ours
// refer to, all their ports together.
func (c *compiler) reportDestinations() {
	ports := map[name][]*backend{}
	for _, k := range slices.SortedFunc(maps.Keys(c.backends), func(a, b backendKey) int { return cmp.Compare(a.port, b.port) }) {
		if b := c.backends[k]; k.kind == v0alpha0.KindXBackendDestination && b.problem == nil {
			ports[k.name] = append(ports[k.name], b)
		}
	}
	for _, d := range c.snapshot.Backends {
		self := subject{kind: v0alpha0.KindXBackendDestination, object: d}
		if used := ports[nameOf(d)]; len(used) > 0 {
			c.reportDestination(self, used)
		} else if c.options.Alone {
			c.report(self, "Available", metav1.ConditionUnknown, "NotReferenced", "No route refers to it.")
		}
	}
}

func (c *compiler) reportDestination(self subject, ports []*backend) {
	var unavailable *problem
	var degraded []*problem
	available := []string{"The destination is in the plan."}
	for _, b := range ports {
		for _, n := range b.notes {
			if !slices.Contains(available, n) {
				available = append(available, n)
			}
		}
		unavailable = cmp.Or(unavailable, b.unavailable)
		degraded = append(degraded, b.degraded...)
	}
	c.promise(self, "Available", "Available", strings.Join(available, " "), unavailable)
	c.report(self, "Progressing", metav1.ConditionFalse, "Reconciled", "Nothing is under way.")
	if len(degraded) == 0 {
		c.report(self, "Degraded", metav1.ConditionFalse, "AsExpected", "Serving as the API asks.")
		return
	}
	var why []string
	for _, p := range degraded {
		if !slices.Contains(why, p.message) {
			why = append(why, p.message)
		}
	}
	c.report(self, "Degraded", metav1.ConditionTrue, worst(degraded), brief(why))
}

// worst is the reason that weighs most.
func worst(ps []*problem) string {
	for _, reason := range []string{reasonUnsupportedExtension, reasonInsecureTLS} {
		if slices.ContainsFunc(ps, func(p *problem) bool { return p.reason == reason }) {
			return reason
		}
	}
	return ps[0].reason
}
