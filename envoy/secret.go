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

// authorities tells the CAs of those names as one secret, and returns the
// reference to it.
func (t *translation) authorities(names []string) *tlsv3.SdsSecretConfig {
	if len(names) == 0 {
		return t.validation(secretSystemCAs, t.opts.SystemCAs)
	}
	var pem bytes.Buffer
	for _, name := range names {
		if s := t.secrets[name]; s != nil {
			pem.Write(bytes.TrimSpace(s.Item("ca.crt")))
			pem.WriteByte('\n')
		}
	}
	return t.validation("ca/"+strings.Join(names, "+"), pem.Bytes())
}

func (t *translation) validation(name string, pem []byte) *tlsv3.SdsSecretConfig {
	t.tell(TypeSecret, name, &tlsv3.Secret{Name: name, Type: &tlsv3.Secret_ValidationContext{
		ValidationContext: &tlsv3.CertificateValidationContext{TrustedCa: inline(pem)},
	}})
	return &tlsv3.SdsSecretConfig{Name: name, SdsConfig: ads()}
}

// verify says which certificate of a backend is believed: chain and name, both
// unless the user gave them up in so many words (defect B-08).
func (t *translation) verify(b *plan.Backend, to *tlsv3.CommonTlsContext) {
	c := b.TLS
	if c.SkipVerify {
		to.ValidationContextType = &tlsv3.CommonTlsContext_ValidationContext{ValidationContext: &tlsv3.CertificateValidationContext{
			TrustChainVerification: tlsv3.CertificateValidationContext_ACCEPT_UNTRUSTED,
		}}
		return
	}
	v := &tlsv3.CertificateValidationContext{MatchTypedSubjectAltNames: altNames(namesOf(b)...)}
	if len(c.CAs) == 0 && len(t.opts.SystemCAs) == 0 {
		v.TrustedCa = file(SystemCAFile)
		to.ValidationContextType = &tlsv3.CommonTlsContext_ValidationContext{ValidationContext: v}
		return
	}
	to.ValidationContextType = &tlsv3.CommonTlsContext_CombinedValidationContext{CombinedValidationContext: &tlsv3.CommonTlsContext_CombinedCertificateValidationContext{
		DefaultValidationContext:         v,
		ValidationContextSdsSecretConfig: t.authorities(c.CAs),
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
