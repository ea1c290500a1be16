package compile

import (
	"cmp"
	"fmt"
	"net/netip"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"
	gwxv1alpha1 "sigs.k8s.io/gateway-api/apisx/v1alpha1"

	"github.com/egret-gateway/egret/api/ainetworking/v0alpha0"
	"github.com/egret-gateway/egret/plan"
)

// kindXBackend is Gateway API's own kind of external host, still on trial. Its
// TLS is that of a BackendTLSPolicy.
const kindXBackend = "XBackend"

// compileXBackend compiles a backendRef to an XBackend.
func (c *compiler) compileXBackend(k backendKey, b *backend) {
	x := c.xbackends[k.name]
	if x == nil {
		b.problem = problemf(string(gwv1.RouteReasonBackendNotFound), "%s %s not found", kindXBackend, k.name)
		return
	}
	if number := int32(x.Spec.Port.Port); number != k.port {
		b.problem = problemf(string(gwv1.RouteReasonBackendNotFound), "%s %s has no port %d; it has %d", kindXBackend, k.name, k.port, number)
		return
	}
	b.plan = plan.Backend{
		Name:     fmt.Sprintf("%s-%s-%d", k.ns, k.name.name, k.port),
		Object:   kindXBackend + " " + k.name.String(),
		AskUsage: x.Annotations[annotationUsage] != "false",
	}
	b.speakAs(deref(x.Spec.Protocol, gwxv1alpha1.BackendProtocolHTTP))
	if x.Spec.Type != gwxv1alpha1.BackendTypeExternalHostname || x.Spec.ExternalHostname == nil {
		b.unable(500, reasonInvalid, "type %q needs more than this version of it has; use %s with an externalHostname", x.Spec.Type, gwxv1alpha1.BackendTypeExternalHostname)
		return
	}
	server := c.placeHost(x.Namespace, string(x.Spec.ExternalHostname.Hostname), &v0alpha0.Port{Number: uint32(k.port)}, b)
	if _, err := netip.ParseAddr(b.plan.Host); err == nil || c.inCluster(x.Namespace, server) {
		b.unable(500, reasonInvalid, "hostname %q is an address or a name of this cluster, which an %s must not lead to; use a Service or an XBackendDestination", b.plan.Host, kindXBackend)
	}
	if b.plan.Host != "" {
		b.closed(c.outward(x.Namespace, b))
	}
	c.originateX(x, b, server)
}

// speakAs sets the protocol.
func (b *backend) speakAs(p gwxv1alpha1.BackendProtocol) {
	b.plan.Protocol = plan.HTTP
	switch p {
	case gwxv1alpha1.BackendProtocolHTTP, gwxv1alpha1.BackendProtocolHTTP11:
	case gwxv1alpha1.BackendProtocolHTTP2, gwxv1alpha1.BackendProtocolH2C, gwxv1alpha1.BackendProtocolGRPC:
		b.plan.Protocol = plan.HTTP2
	case gwxv1alpha1.BackendProtocolMCP:
		b.plan.Protocol = plan.MCP // at the path that the route says: the kind has no field for it
	default:
		b.unable(500, reasonUnsupportedProtocol, "protocol %s cannot be spoken by an HTTPRoute", p)
	}
}

// originateX compiles the TLS that is spoken to an XBackend. Without a
// validation the system's authorities count, for the host's name.
func (c *compiler) originateX(x *gwxv1alpha1.XBackend, b *backend, server string) {
	spec := x.Spec.TLS
	if spec == nil || spec.Mode == gwxv1alpha1.BackendTLSModeNone {
		return
	}
	b.plan.TLS = &plan.ClientTLS{SNI: server}
	if deref(x.Spec.Protocol, "") == gwxv1alpha1.BackendProtocolH2C {
		b.unable(500, reasonInvalid, "protocol H2C is HTTP/2 without TLS; use HTTP2, or leave out tls")
	}
	from := referrer{gwxv1alpha1.GroupName, kindXBackend, x.Namespace}
	if v := &spec.Validation; v.Hostname != "" || v.WellKnownCACertificates != nil || len(v.CACertificateRefs)+len(v.SubjectAltNames) > 0 {
		to, refs, invalid := c.validation(from, v)
		b.plan.TLS = to
		if p := cmp.Or(refs, invalid); p != nil {
			b.unable(500, p.reason, "tls: %s", p.message)
		}
	}
	switch spec.Mode {
	case gwxv1alpha1.BackendTLSModeServerOnly:
	case gwxv1alpha1.BackendTLSModeClientAndServer:
		c.identify(from, "tls", string(spec.Mode), spec.ClientCertificateRef, b)
	default:
		b.unable(500, reasonInvalid, "tls.mode %q is not one of None, ServerOnly, ClientAndServer", spec.Mode)
	}
}

// reportXBackends reports on the XBackends, once for each Gateway of ours whose
// routes lead to them.
func (c *compiler) reportXBackends() {
	through := c.leadingTo(kindXBackend)
	for _, x := range c.snapshot.XBackends {
		self := subject{kind: kindXBackend, object: x}
		b := c.backends[backendKey{kindXBackend, nameOf(x), int32(x.Spec.Port.Port)}]
		if b == nil && c.options.Alone {
			c.report(self, conditionAccepted, metav1.ConditionUnknown, "NotReferenced", "No route refers to it.")
		}
		for gw := range through[nameOf(x)] {
			if b == nil {
				continue
			}
			self.parent = gw.ref()
			said := "The backend is in the plan."
			if b.plan.TLS == nil {
				said += " It is spoken to without TLS, which anybody on the way can read."
			}
			c.promise(self, conditionAccepted, conditionAccepted, said, b.unavailable)
		}
	}
}
