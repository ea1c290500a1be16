package compile

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/egret-gateway/egret/plan"
	"github.com/egret-gateway/egret/source"
)

const clusterDomain = "svc.cluster.local"

// compileService compiles a backendRef to a Service.
func (c *compiler) compileService(k backendKey, b *backend) {
	svc := c.services[k.name]
	if svc == nil {
		b.problem = problemf(string(gwv1.RouteReasonBackendNotFound), "Service %s not found", k.name)
		return
	}
	port, ok := servicePort(svc, k.port)
	switch {
	case k.port == 0:
		b.problem = problemf(string(gwv1.RouteReasonUnsupportedValue), "backendRef to Service %s names no port; it has %s", k.name, portList(svc))
		return
	case !ok:
		b.problem = problemf(string(gwv1.RouteReasonBackendNotFound), "Service %s has no port %d; it has %s", k.name, k.port, portList(svc))
		return
	}
	b.plan = plan.Backend{
		Name:           fmt.Sprintf("%s-synsvc-%s-%s", k.ns, k.name.name, targetPort(port)),
		Object:         "Service " + k.name.String(),
		KeepCredential: k.name.name == "maas-api" && svc.Spec.Type != corev1.ServiceTypeExternalName || svc.Annotations[annotationCredential] == "true",
		Platform:       svc.Spec.Type != corev1.ServiceTypeExternalName,
		AskUsage:       svc.Annotations[annotationUsage] != "false",
	}
	b.parent(svc.Annotations)
	if !speak(&b.plan, deref(port.AppProtocol, ""), serverName(svc)) {
		b.problem = problemf(string(gwv1.RouteReasonUnsupportedProtocol), "Service %s port %d has appProtocol %s, which is not supported",
			k.name, k.port, *port.AppProtocol)
		return
	}
	if c.lead(svc, port.Port, b) {
		return
	}
	if b.problem = c.reach(svc, port, b); b.problem != nil {
		return
	}
	c.protect(svc, port, b)
}

// frontedBy sends the traffic to one of our own Gateways, whose credentials
// are not the callers' (unless the Service says otherwise).
func (b *backend) frontedBy(g *gateway, port int32) {
	b.plan.Protocol, b.plan.TLS = plan.HTTP, nil
	b.plan.Endpoints = []plan.Endpoint{{Gateway: g.String(), Port: port}}
	if !g.serves(port) {
		b.fail(503, fmt.Sprintf("Gateway %s serves no port %d", g.name, port))
	}
}

// lead notes the Gateway that the Service stands in front of, if any, and
// reports whether that is where the traffic goes without a network. Only a
// Service in the Gateway's own namespace may stand in front of it.
func (c *compiler) lead(svc *corev1.Service, port int32, b *backend) bool {
	ns, gw, _ := strings.Cut(svc.Annotations[source.AnnotationGateway], "/")
	switch g := c.ours[name{ns, gw}]; {
	case ns != svc.Namespace || gw == "":
		return false
	case !c.options.Alone: // it has pods of its own, reached like those of any Service
		b.plan.Fronts = name{ns, gw}.String()
		return false
	case g == nil:
		return false
	default:
		b.frontedBy(g, port)
		return true
	}
}

// reach finds where the Service's port is: an external name, the ready
// endpoints, or, where nothing is said about endpoints at all, the Service's
// own name, which a plane may know how to resolve. The problem is why the
// operator does not let it be reached.
func (c *compiler) reach(svc *corev1.Service, port corev1.ServicePort, b *backend) *problem {
	slices, known := c.index.slices[nameOf(svc)]
	switch {
	case svc.Spec.Type == corev1.ServiceTypeExternalName:
		if b.plan.Host, b.plan.Port = serverName(svc), port.Port; !isHostname(b.plan.Host) || reserved(b.plan.Host) {
			b.fail(500, fmt.Sprintf("Service %s: externalName %q is no host name", nameOf(svc), svc.Spec.ExternalName))
			return nil
		}
		return c.outward(svc.Namespace, b)
	case known:
		if b.plan.Endpoints = endpoints(slices, port); len(b.plan.Endpoints) == 0 {
			b.fail(503, fmt.Sprintf("Service %s has no ready endpoint for port %d", nameOf(svc), port.Port))
		}
	default:
		b.plan.Host, b.plan.Port = svc.Name+"."+svc.Namespace+"."+clusterDomain, port.Port
	}
	return nil
}

// servicePort returns the port of that number. An ExternalName Service need
// not declare any: it then has all.
func servicePort(svc *corev1.Service, number int32) (corev1.ServicePort, bool) {
	for _, p := range svc.Spec.Ports {
		if p.Port == number && (p.Protocol == "" || p.Protocol == corev1.ProtocolTCP) {
			return p, true
		}
	}
	if svc.Spec.Type == corev1.ServiceTypeExternalName && len(svc.Spec.Ports) == 0 && number > 0 {
		return corev1.ServicePort{Port: number}, true
	}
	return corev1.ServicePort{}, false
}

func portList(svc *corev1.Service) string {
	if len(svc.Spec.Ports) == 0 {
		return "none"
	}
	var out []string
	for _, p := range svc.Spec.Ports {
		out = append(out, strconv.Itoa(int(p.Port)))
	}
	return strings.Join(out, ", ")
}

func targetPort(p corev1.ServicePort) string {
	if p.TargetPort == (intstr.IntOrString{}) {
		return strconv.Itoa(int(p.Port))
	}
	return p.TargetPort.String()
}

// endpoints returns the ready addresses behind a Service port. The slices have
// resolved named target ports already: theirs are called like the Service's.
func endpoints(of []*discoveryv1.EndpointSlice, port corev1.ServicePort) []plan.Endpoint {
	return ready(of, func(p discoveryv1.EndpointPort) int32 {
		if deref(p.Name, "") != port.Name {
			return 0
		}
		return deref(p.Port, port.TargetPort.IntVal)
	})
}

// portEndpoints returns the ready addresses that listen on the port number.
func portEndpoints(of []*discoveryv1.EndpointSlice, number int32) []plan.Endpoint {
	return ready(of, func(p discoveryv1.EndpointPort) int32 {
		if deref(p.Port, 0) != number {
			return 0
		}
		return number
	})
}

// ready returns the addresses that are ready (a condition that is not there
// counts as such) with the port that choose picks; 0 is none.
func ready(of []*discoveryv1.EndpointSlice, choose func(discoveryv1.EndpointPort) int32) []plan.Endpoint {
	var out []plan.Endpoint
	for _, s := range of {
		number := int32(0)
		for _, p := range s.Ports {
			if deref(p.Protocol, corev1.ProtocolTCP) == corev1.ProtocolTCP && number == 0 {
				number = choose(p)
			}
		}
		if number == 0 {
			continue
		}
		for _, e := range s.Endpoints {
			if deref(e.Conditions.Ready, true) {
				out = appendAddresses(out, e.Addresses, number)
			}
		}
	}
	slices.SortFunc(out, func(a, b plan.Endpoint) int {
		return cmp.Or(cmp.Compare(a.Address, b.Address), cmp.Compare(a.Port, b.Port))
	})
	return slices.Compact(out)
}

// appendAddresses leaves out what is no IP address, as in slices of type FQDN.
func appendAddresses(out []plan.Endpoint, addresses []string, port int32) []plan.Endpoint {
	for _, a := range addresses {
		if ip, err := netip.ParseAddr(a); err == nil {
			out = append(out, plan.Endpoint{Address: ip.String(), Port: port})
		}
	}
	return out
}

// serverName is the name in a Service's certificate, if it has one.
func serverName(svc *corev1.Service) string {
	if svc.Spec.Type == corev1.ServiceTypeExternalName {
		return strings.ToLower(strings.TrimSuffix(svc.Spec.ExternalName, "."))
	}
	return svc.Name + "." + svc.Namespace + "." + clusterDomain
}

// speak sets protocol and TLS from a Service port's appProtocol. It reports
// whether the protocol is one that can be spoken.
func speak(b *plan.Backend, appProtocol, server string) bool {
	switch strings.ToLower(appProtocol) {
	case "", "http", "tcp":
		b.Protocol = plan.HTTP
	case "https":
		b.Protocol, b.TLS = plan.HTTP, &plan.ClientTLS{SNI: server}
	case "http2", "grpc", "kubernetes.io/h2c":
		b.Protocol = plan.HTTP2
	case "kubernetes.io/ws":
		b.Protocol = plan.WebSocket
	case "kubernetes.io/wss":
		b.Protocol, b.TLS = plan.WebSocket, &plan.ClientTLS{SNI: server}
	case "mcp":
		b.Protocol = plan.MCP
	default:
		return false
	}
	return true
}
