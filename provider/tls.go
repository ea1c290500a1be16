package provider

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"strings"

	"github.com/egret-gateway/egret/plan"
)

// serverName is the SNI and, unless other names are given, what the peer's
// certificate must be valid for. IP literals are verified but not sent as SNI
// (RFC 6066 3; crypto/tls leaves them out). "" leaves it to the address that
// is dialled, which is then what must be in the certificate.
func serverName(b *plan.Backend) string {
	if b.TLS.SNI != "" {
		return b.TLS.SNI
	}
	return strings.TrimSuffix(b.Host, ".")
}

// clientTLS is how TLS to a backend is spoken; nil for cleartext. Peers are
// verified unless the plan says otherwise: by the given CAs or the system's,
// for the server name or one of the given names, and by what is pinned and
// revoked.
func clientTLS(b *plan.Backend, secrets map[string]*plan.Secret) (*tls.Config, error) {
	if b.TLS == nil {
		return nil, nil
	}
	c := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: serverName(b), InsecureSkipVerify: b.TLS.SkipVerify}
	if b.TLS.MinVersion == "1.3" {
		c.MinVersion = tls.VersionTLS13
	}
	if len(b.TLS.CAs) > 0 {
		c.RootCAs = x509.NewCertPool()
		for _, name := range b.TLS.CAs {
			s := secrets[name]
			if s == nil {
				return nil, fmt.Errorf("CA bundle %s is not there", name)
			}
			if !c.RootCAs.AppendCertsFromPEM(s.Item("ca.crt")) {
				return nil, fmt.Errorf("CA bundle %s holds no certificate in PEM under ca.crt", name)
			}
		}
	}
	if b.TLS.Identity != "" {
		s := secrets[b.TLS.Identity]
		if s == nil {
			return nil, fmt.Errorf("client certificate %s is not there", b.TLS.Identity)
		}
		pair, err := tls.X509KeyPair(s.Item("tls.crt"), s.Item("tls.key"))
		if err != nil {
			return nil, fmt.Errorf("client certificate %s: %w", b.TLS.Identity, err)
		}
		// Whatever authorities the server names: with Certificates a pair of
		// another one, or one whose chain is not whole, would be left out in
		// silence, and the server's refusal would not say why. Envoy shows it too.
		c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }
	}
	v, err := newVerifier(b.TLS, c.RootCAs, secrets)
	if err != nil {
		return nil, err
	}
	if v != nil {
		c.VerifyConnection = v.verify
		c.InsecureSkipVerify = c.InsecureSkipVerify || len(v.names) > 0 // the whole verification is v's then
	}
	return c, nil
}
