package envoy

import (
	"bytes"
	"strings"

	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"

	"github.com/egret-gateway/egret/plan"
)

// SystemCAFile is where Linux images keep the certificate authorities that are
// generally trusted.
const SystemCAFile = "/etc/ssl/certs/ca-certificates.crt"

// secretSystemCAs names the resource that Options.SystemCAs become. Names of
// plan Secrets begin with a kind.
const secretSystemCAs = "egret/system-cas"

// certificate tells a key pair as a secret of its own, and returns the
// reference to it. A key never stands in a cluster or a listener (defects B-11,
// B-30).
func (t *translation) certificate(name string) *tlsv3.SdsSecretConfig {
	s := t.secrets[name]
	if s == nil {
		return nil
	}
	t.tell(TypeSecret, name, &tlsv3.Secret{Name: name, Type: &tlsv3.Secret_TlsCertificate{TlsCertificate: &tlsv3.TlsCertificate{
		CertificateChain: inline(s.Item("tls.crt")), PrivateKey: inline(s.Item("tls.key")),
	}}})
	return &tlsv3.SdsSecretConfig{Name: name, SdsConfig: ads()}
}

// validation tells by whom a backend's certificate must be issued, and what
// its authorities have revoked, as one secret, and returns the reference to it.
// So both are renewed without a change of the cluster. Without SystemCAs the
// system's authorities are in a file of the Envoy's.
func (t *translation) validation(c *plan.ClientTLS) *tlsv3.SdsSecretConfig {
	name, context := secretSystemCAs, &tlsv3.CertificateValidationContext{}
	switch {
	case len(c.CAs) > 0:
		name = "ca/" + strings.Join(c.CAs, "+")
		context.TrustedCa = inline(t.together(c.CAs, "ca.crt"))
	case len(t.opts.SystemCAs) > 0:
		context.TrustedCa = inline(t.opts.SystemCAs)
	default:
		context.TrustedCa = file(SystemCAFile)
	}
	if len(c.CRLs) > 0 {
		name += "/crl/" + strings.Join(c.CRLs, "+")
		context.Crl = inline(t.together(c.CRLs, "ca.crl"))
	}
	t.tell(TypeSecret, name, &tlsv3.Secret{Name: name, Type: &tlsv3.Secret_ValidationContext{ValidationContext: context}})
	return &tlsv3.SdsSecretConfig{Name: name, SdsConfig: ads()}
}

// together is the same item of several secrets.
func (t *translation) together(names []string, item string) []byte {
	var pem bytes.Buffer
	for _, name := range names {
		if s := t.secrets[name]; s != nil {
			pem.Write(bytes.TrimSpace(s.Item(item)))
			pem.WriteByte('\n')
		}
	}
	return pem.Bytes()
}

// verify says which certificate of a backend is believed: chain and name, both
// unless the user gave them up in so many words (defect B-08), and what the
// user asks for besides.
func (t *translation) verify(b *plan.Backend, to *tlsv3.CommonTlsContext) {
	c := b.TLS
	v := &tlsv3.CertificateValidationContext{VerifyCertificateSpki: c.Pins, OnlyVerifyLeafCertCrl: c.LeafCRL}
	if c.SkipVerify {
		if len(c.Pins) == 0 { // beside which pins would not count
			v.TrustChainVerification = tlsv3.CertificateValidationContext_ACCEPT_UNTRUSTED
		}
		to.ValidationContextType = &tlsv3.CommonTlsContext_ValidationContext{ValidationContext: v}
		return
	}
	v.MatchTypedSubjectAltNames = altNames(namesOf(b)...)
	if len(c.CAs)+len(c.CRLs)+len(t.opts.SystemCAs) == 0 {
		v.TrustedCa = file(SystemCAFile)
		to.ValidationContextType = &tlsv3.CommonTlsContext_ValidationContext{ValidationContext: v}
		return
	}
	to.ValidationContextType = &tlsv3.CommonTlsContext_CombinedValidationContext{CombinedValidationContext: &tlsv3.CommonTlsContext_CombinedCertificateValidationContext{
		DefaultValidationContext:         v,
		ValidationContextSdsSecretConfig: t.validation(c),
	}}
}

// namesOf are the names of which a backend's certificate must bear one.
func namesOf(b *plan.Backend) []string {
	if len(b.TLS.Names) > 0 {
		return b.TLS.Names
	}
	for _, name := range []string{b.TLS.SNI, b.Host, b.Authority} {
		if name != "" {
			return []string{name}
		}
	}
	return []string{"nobody.invalid"} // whoever has no name cannot prove it (RFC 6761 6.4)
}
