package compile

import (
	"fmt"
	"net/netip"
	"net/url"
	"strings"

	gwv1 "sigs.k8s.io/gateway-api/apis/v1"

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
		c.harden(d, port, b)
		return
	}
	if spec.Mode != v0alpha0.TLSSimple && spec.Mode != v0alpha0.TLSMutual {
		b.unable(500, reasonInvalid, "port %d: tls.mode %q is not one of Simple, Mutual, None", port.Number, spec.Mode)
		return
	}
	out := &plan.ClientTLS{SNI: server, SkipVerify: deref(spec.InsecureSkipVerify, false)}
	b.plan.TLS = out
	if spec.SNI != "" {
		out.SNI = strings.ToLower(strings.TrimSuffix(spec.SNI, "."))
	}
	if spec.SNI != "" && (!bearable(out.SNI) || strings.Contains(out.SNI, "://")) {
		b.unable(500, reasonInvalid, "port %d: tls.sni %q is no host name", port.Number, spec.SNI)
	}
	for i, n := range spec.SubjectAltNames {
		if !strings.Contains(n, "://") {
			n = strings.ToLower(strings.TrimSuffix(n, "."))
		}
		if !bearable(strings.TrimPrefix(n, "*.")) {
			b.unable(500, reasonInvalid, "port %d: tls.subjectAltNames[%d]: %q is no name that a certificate could bear", port.Number, i, n)
		}
		out.Names = append(out.Names, n)
	}
	from := destinationRef(d.Namespace)
	for _, ref := range spec.CABundleRef {
		ca, p := c.bundle(from, ref)
		if p != nil {
			if p.reason == string(gwv1.BackendTLSPolicyReasonInvalidKind) {
				p.reason = string(gwv1.BackendTLSPolicyReasonInvalidCACertificateRef)
			}
			b.unable(500, p.reason, "port %d: %s", port.Number, p.message)
			continue
		}
		out.CAs = append(out.CAs, ca)
	}
	if spec.Mode == v0alpha0.TLSMutual {
		c.identify(from, fmt.Sprintf("port %d", port.Number), "Mutual", port.TLS.ClientCertificateRef, b)
	}
	c.harden(d, port, b)
	switch {
	case out.SkipVerify && len(out.Pins) > 0:
		b.degraded = append(b.degraded, problemf(reasonInsecureTLS,
			"port %d: insecureSkipVerify leaves chain and name unverified; only the pinned keys count", port.Number))
	case out.SkipVerify:
		b.degraded = append(b.degraded, problemf(reasonInsecureTLS,
			"port %d: insecureSkipVerify accepts any server; name a CA bundle instead", port.Number))
	}
}

// identify resolves the client certificate that a mode of TLS asks for; at is where
// the settings are.
func (c *compiler) identify(from referrer, at, mode string, ref *gwv1.SecretObjectReference, b *backend) {
	if ref == nil {
		b.unable(500, reasonInvalidClientCert, "%s: mode %s needs a clientCertificateRef", at, mode)
		return
	}
	identity, p := c.certificate(from, *ref)
	switch {
	case p == nil:
		b.plan.TLS.Identity = identity
	case p.reason == "RefNotPermitted":
		b.unable(500, p.reason, "%s: %s", at, p.message)
	default:
		b.unable(500, reasonInvalidClientCert, "%s: %s", at, p.message)
	}
}

// bearable reports whether a certificate can be for that name: a host name, an
// address or a URI.
func bearable(n string) bool {
	if strings.Contains(n, "://") {
		u, err := url.Parse(n)
		return err == nil && u.Scheme != "" && len(n) <= 2048
	}
	_, err := netip.ParseAddr(n)
	return err == nil || isHostname(n)
}
