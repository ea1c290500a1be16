package provider

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"net/url"
	"slices"
	"strings"

	"github.com/egret-gateway/egret/plan"
)

// verifier checks of a peer what crypto/tls does not: one of several names,
// pins and revocation. It runs before anything of a request is sent.
type verifier struct {
	skip    bool // neither chain nor name
	roots   *x509.CertPool
	names   []string
	pins    []string
	revoked *revocation
}

// newVerifier returns nil when crypto/tls does all that is asked.
func newVerifier(c *plan.ClientTLS, roots *x509.CertPool, secrets map[string]*plan.Secret) (*verifier, error) {
	v := &verifier{skip: c.SkipVerify, roots: roots, pins: c.Pins}
	if !c.SkipVerify {
		v.names = c.Names
	}
	if len(c.CRLs) > 0 {
		var err error
		if v.revoked, err = newRevocation(c, secrets); err != nil {
			return nil, err
		}
	}
	if len(v.names) == 0 && len(v.pins) == 0 && v.revoked == nil {
		return nil, nil
	}
	return v, nil
}

// verify is a tls.Config's VerifyConnection.
func (v *verifier) verify(cs tls.ConnectionState) error {
	if err := v.judge(cs); err != nil {
		return &tls.CertificateVerificationError{UnverifiedCertificates: cs.PeerCertificates, Err: err}
	}
	return nil
}

func (v *verifier) judge(cs tls.ConnectionState) error {
	leaf := cs.PeerCertificates[0]
	chains := cs.VerifiedChains
	if len(v.names) > 0 {
		inter := x509.NewCertPool()
		for _, crt := range cs.PeerCertificates[1:] {
			inter.AddCert(crt)
		}
		var err error
		if chains, err = leaf.Verify(x509.VerifyOptions{Roots: v.roots, Intermediates: inter}); err != nil {
			return err
		}
		if err = v.named(leaf); err != nil {
			return err
		}
	}
	if len(v.pins) > 0 && !slices.Contains(v.pins, pin(leaf)) {
		return errors.New("the public key " + pin(leaf) + " is not one of those that are pinned")
	}
	if v.revoked == nil {
		return nil
	}
	err := errors.New("there is no verified chain to look up in revocation lists")
	for _, chain := range chains {
		if err = v.revoked.check(chain); err == nil {
			return nil
		}
	}
	return err
}

// named checks that a certificate bears one of the names.
func (v *verifier) named(leaf *x509.Certificate) (err error) {
	for _, n := range v.names {
		if strings.Contains(n, "://") {
			if slices.ContainsFunc(leaf.URIs, func(u *url.URL) bool { return u.String() == n }) {
				return nil
			}
			err = errors.New("x509: certificate does not bear the URI " + n)
		} else if err = leaf.VerifyHostname(n); err == nil {
			return nil
		}
	}
	return err
}

// pin is what a certificate's public key is pinned by.
func pin(crt *x509.Certificate) string {
	sum := sha256.Sum256(crt.RawSubjectPublicKeyInfo)
	return base64.StdEncoding.EncodeToString(sum[:])
}
