package compile

import (
	"fmt"
	"net/netip"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/egret-gateway/egret/plan"
	"github.com/egret-gateway/egret/source"
)

// annotationParent says that a backend is another gateway.
const annotationParent = "egret.dev/parent"

// Reasons that concern where a backend is.
const (
	reasonHostNotAllowed    = "HostNotAllowed"
	reasonNamesOnly         = "NamesOnly"
	reasonAddressNotAllowed = "AddressNotAllowed"
)

// readEgress takes what an operator says about the way out. Rules that cannot be
// read leave those of before in force, or else everything outside closed, since
// nobody knows what they were to refuse.
func (c *compiler) readEgress() {
	namespaces := []string{c.options.Namespace}
	if c.options.Alone {
		namespaces = source.EgressNamespaces
	}
	e, object, err := source.FindEgress(c.snapshot, namespaces...)
	if object == nil {
		return
	}
	c.egress, c.operator = e, object.Namespace
	self := subject{kind: "ConfigMap", object: object}
	if err == nil {
		c.report(self, "Accepted", metav1.ConditionTrue, "Accepted", "The rules for the way out are in force.")
		return
	}
	meanwhile := "the rules of before are in force"
	if c.egress = c.options.Egress; c.egress == nil {
		c.egress = &source.Egress{Namespaces: []source.EgressRule{{Hosts: source.EgressList{Deny: []string{"*"}}}}}
		meanwhile = "until it can be read, nothing outside is reached"
	}
	c.report(self, "Accepted", metav1.ConditionFalse, reasonInvalid, err.Error()+"; "+meanwhile)
}

// wayOut is what the operator says about the backends of a namespace.
func (c *compiler) wayOut(namespace string) *source.WayOut {
	if w, known := c.ways[namespace]; known {
		return w
	}
	var labels map[string]string
	if o := c.namespaces[namespace]; o != nil {
		labels = o.Labels
	}
	w := c.egress.Of(namespace, labels)
	c.ways[namespace] = w
	return w
}

// outward holds a backend that has a host to what the operator says about its
// namespace. A name of the cluster that stands for a name from outside
// (ExternalName) is followed, so that it cannot hide it.
func (c *compiler) outward(namespace string, b *backend) *problem {
	way := c.wayOut(namespace)
	host, p := c.held(namespace, b.plan.Host)
	b.plan.Host = host
	if p != nil || way == nil || plan.LocalName(host) {
		return p
	}
	if a := way.Addresses; len(a.Allow)+len(a.Deny) > 0 {
		b.plan.Fence = &plan.Fence{Only: a.Allow, Deny: a.Deny}
	}
	if way.Proxied(host) {
		return c.proxied(way, b)
	}
	return nil
}

// held follows a host that an object of the namespace names, and holds what is
// dialled for it to what the operator says about the namespace.
func (c *compiler) held(namespace, named string) (host string, p *problem) {
	way := c.wayOut(namespace)
	if host, p = c.follow(namespace, named); p != nil {
		return named, p
	}
	if a, err := netip.ParseAddr(host); err == nil {
		if err := c.reachable(a); err != nil {
			return host, problemf(reasonAddressNotAllowed, "%v", err)
		}
		if why := way.Literal(plan.PlainAddr(a)); why != "" {
			return host, problemf(reasonHostNotAllowed, "%s: %s", host, why)
		}
		return host, nil
	}
	if plan.StrayName(host) {
		return host, problemf(reasonHostNotAllowed,
			"%s: of the cluster's own names only those of Services are served, which are service.namespace.%s", host, clusterDomain)
	}
	if why := way.Name(host, plan.LocalName(host)); why != "" {
		return host, problemf(reasonHostNotAllowed, "%s: %s", host, why)
	}
	return host, nil
}

// closed makes the backend refuse its traffic, if there is a reason: 403 where
// that is the operator's will, 500 where something is wrong.
func (b *backend) closed(p *problem) {
	switch {
	case p == nil:
	case p.reason == reasonInvalid:
		b.unable(500, p.reason, "%s", p.message)
	default:
		b.unable(403, p.reason, "%s", p.message)
	}
}

// reachable says why planes will not dial an address that a user wrote down, as
// far as that is known before they try.
func (c *compiler) reachable(a netip.Addr) error {
	if err := plan.Refused(a); err != nil || c.options.Alone {
		return err
	}
	if plan.PlainAddr(a).IsLoopback() {
		return fmt.Errorf("address %s is the gateway's own pod and is never dialled", a)
	}
	if inside, why := c.egress.Inside(plan.PlainAddr(a)); inside {
		return fmt.Errorf("address %s is in %s, which the operator says is the cluster's own", a, why)
	}
	return nil
}

// proxied has a backend reached by the operator's proxy.
func (c *compiler) proxied(way *source.WayOut, b *backend) *problem {
	host, port, err := way.Proxy.Address()
	if err != nil {
		return problemf(reasonInvalid, "%v", err)
	}
	b.plan.Proxy = &plan.Proxy{Host: host, Port: port}
	if ref := way.Proxy.SecretRef; ref != nil {
		at := name{c.operator, ref.Name}
		secret := c.index.secrets[at]
		if secret == nil || len(secret.Data[corev1.BasicAuthUsernameKey]) == 0 {
			return problemf(reasonInvalid, "Secret %s for the operator's proxy is not there, or has no key %s", at, corev1.BasicAuthUsernameKey)
		}
		b.plan.Proxy.Secret = c.keep(plan.SecretOpaque, "secret/"+at.String(), map[string][]byte{
			corev1.BasicAuthUsernameKey: secret.Data[corev1.BasicAuthUsernameKey], corev1.BasicAuthPasswordKey: secret.Data[corev1.BasicAuthPasswordKey],
		})
	}
	if b.plan.Fence != nil {
		b.degraded = append(b.degraded, problemf(reasonNamesOnly,
			"%s is reached by the operator's proxy, which looks the name up itself: the operator's list of names was checked, and the lists of addresses cannot be", b.plan.Host))
	}
	b.plan.Fence = nil
	b.notes = append(b.notes, fmt.Sprintf("It is reached by the operator's proxy %s:%d, which looks names up itself, so that names are checked and addresses are not.", host, port))
	return nil
}

// mostFollowed bounds how many names may stand for each other.
const mostFollowed = 4

// follow returns the name that is dialled for a host: that of a Service in
// full, and what an ExternalName Service stands for, however it was named. All
// on the way are held to what is denied.
func (c *compiler) follow(namespace, host string) (string, *problem) {
	way := c.wayOut(namespace)
	for range mostFollowed {
		svc := c.serviceAt(namespace, host)
		if svc == nil {
			return host, nil
		}
		full := svc.Name + "." + svc.Namespace + "." + clusterDomain
		if why := way.Name(full, true); why != "" {
			return "", problemf(reasonHostNotAllowed, "%s: %s", full, why)
		}
		if svc.Spec.Type != corev1.ServiceTypeExternalName {
			return full, nil
		}
		if host = serverName(svc); !isHostname(host) || reserved(host) {
			return "", problemf(reasonInvalid, "Service %s: externalName %q is no host name", nameOf(svc), svc.Spec.ExternalName)
		}
		if a, err := netip.ParseAddr(host); err == nil {
			host = a.Unmap().String()
		}
	}
	return "", problemf(reasonInvalid, "%s: ExternalName Services stand for each other without an end", host)
}

// serviceAt is the Service that a host name denotes to an object of a namespace,
// if it is there. In short, as service.namespace, it is one of that namespace
// only: whoever has a namespace called like a domain, such as ai, has no say in
// where other namespaces' names under .ai lead.
func (c *compiler) serviceAt(namespace, host string) *corev1.Service {
	svc, ns, ok := plan.ServiceName(host)
	if !ok {
		if svc, ns, _ = strings.Cut(host, "."); ns != namespace {
			return nil
		}
	}
	return c.services[name{ns, svc}]
}

// private reports an address that a user wrote down and that is nobody's on the
// internet. Partners live there, so it is served.
func (b *backend) private(host string) {
	if a, err := netip.ParseAddr(host); err == nil && (a.IsPrivate() || a.IsLoopback()) {
		b.notes = append(b.notes, host+" is a private address.")
	}
}

// parent notes that a backend is another gateway. It is not asked for usage on
// behalf of clients unless the object says so: what follows from a refusal of
// the question is a second try, and those are the parent's.
func (b *backend) parent(annotations map[string]string) {
	if annotations[annotationParent] == "true" {
		b.plan.Parent = true
		b.plan.AskUsage = annotations[annotationUsage] == "true"
	}
}
