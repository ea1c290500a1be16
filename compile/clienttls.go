package compile

import (
	"slices"

	"github.com/egret-gateway/egret/api/ainetworking/v0alpha0"
	"github.com/egret-gateway/egret/plan"
)

// originate compiles the TLS that is spoken to a destination's port. Without
// a CA bundle the system's roots count, and the server's name is always
// checked, unless insecureSkipVerify is written down. What cannot be resolved
// leaves the backend closed, never in the clear or unverified.
func (c *compiler) originate(d *v0alpha0.XBackendDestination, port *v0alpha0.Port, b *backend, server string) {
	spec := port.TLS
	if spec == nil || spec.Mode == v0alpha0.TLSNone {
		return
	}
	if spec.Mode != v0alpha0.TLSSimple && spec.Mode != v0alpha0.TLSMutual {
		b.unable(500, reasonInvalid, "port %d: tls.mode %q is not one of Simple, Mutual, None", port.Number, spec.Mode)
		return
	}
	out := &plan.ClientTLS{
		SNI:        server,
		Names:      slices.Clone(spec.SubjectAltNames),
		SkipVerify: deref(spec.InsecureSkipVerify, false),
	}
	if spec.SNI != "" {
		out.SNI = spec.SNI
	}
	b.plan.TLS = out
	from := destinationRef(d.Namespace)
	for _, ref := range spec.CABundleRef {
		ca, p := c.bundle(from, ref)
		if p != nil {
			b.unable(500, p.reason, "port %d: %s", port.Number, p.message)
			continue
		}
		out.CAs = append(out.CAs, ca)
	}
	if spec.Mode == v0alpha0.TLSMutual {
		c.identify(from, port, b)
	}
	if out.SkipVerify {
		b.degraded = append(b.degraded, problemf(reasonInsecureTLS,
			"port %d: insecureSkipVerify accepts any server; name a CA bundle instead", port.Number))
	}
}

// identify resolves the client certificate of mode Mutual.
func (c *compiler) identify(from referrer, port *v0alpha0.Port, b *backend) {
	ref := port.TLS.ClientCertificateRef
	if ref == nil {
		b.unable(500, reasonInvalidClientCert, "port %d: mode Mutual needs a clientCertificateRef", port.Number)
		return
	}
	identity, p := c.certificate(from, *ref)
	switch {
	case p == nil:
		b.plan.TLS.Identity = identity
	case p.reason == "RefNotPermitted":
		b.unable(500, p.reason, "port %d: %s", port.Number, p.message)
	default:
		b.unable(500, reasonInvalidClientCert, "port %d: %s", port.Number, p.message)
	}
}
