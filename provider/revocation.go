package provider

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"time"

	"github.com/egret-gateway/egret/plan"
)

// revocation is lists of certificates that their authorities take back. It
// decides as Envoy's library does: an authority without a list, or whose list
// has ended or is not yet in force, vouches for nobody.
type revocation struct {
	lists []list
	leaf  bool // only the server's own certificate is looked up
}

// list is a revocation list with the serial numbers on it.
type list struct {
	*x509.RevocationList
	serials map[string]bool
}

func newRevocation(c *plan.ClientTLS, secrets map[string]*plan.Secret) (*revocation, error) {
	r := &revocation{leaf: c.LeafCRL}
	for _, name := range c.CRLs {
		s := secrets[name]
		if s == nil {
			return nil, fmt.Errorf("revocation list %s is not there", name)
		}
		before := len(r.lists)
		for block, rest := pem.Decode(s.Item("ca.crl")); block != nil; block, rest = pem.Decode(rest) {
			l, err := x509.ParseRevocationList(block.Bytes)
			if err != nil {
				return nil, fmt.Errorf("revocation list %s: %w", name, err)
			}
			serials := make(map[string]bool, len(l.RevokedCertificateEntries))
			for _, e := range l.RevokedCertificateEntries {
				serials[string(e.SerialNumber.Bytes())] = true
			}
			r.lists = append(r.lists, list{l, serials})
		}
		if len(r.lists) == before {
			return nil, fmt.Errorf("revocation list %s holds none in PEM under ca.crl", name)
		}
	}
	return r, nil
}

// check looks up the certificates of a chain, from the server's to the one that
// is trusted, or only the first.
func (r *revocation) check(chain []*x509.Certificate) error {
	last := len(chain) - 1
	if r.leaf {
		last = 0
	}
	for i, crt := range chain[:last+1] {
		issuer := chain[min(i+1, len(chain)-1)]
		if crt == issuer && !bytes.Equal(crt.RawIssuer, crt.RawSubject) {
			return fmt.Errorf("the revocation of %q cannot be looked up, since the certificate of its issuer %q is not trusted; add that, or look up leaves only", crt.Subject, crt.Issuer)
		}
		l, err := r.of(issuer, time.Now())
		if err != nil {
			return err
		}
		if l.serials[string(crt.SerialNumber.Bytes())] {
			return fmt.Errorf("certificate %s of %q is revoked", crt.SerialNumber.Text(16), crt.Subject)
		}
	}
	return nil
}

// of returns the newest list of an issuer that is in force.
func (r *revocation) of(issuer *x509.Certificate, now time.Time) (best list, err error) {
	err = fmt.Errorf("there is no revocation list of %q", issuer.Subject)
	for _, l := range r.lists {
		switch {
		case !bytes.Equal(l.RawIssuer, issuer.RawSubject):
		case now.Before(l.ThisUpdate):
			err = fmt.Errorf("the revocation list of %q is not in force before %s", issuer.Subject, l.ThisUpdate.Format(time.RFC3339))
		case !l.NextUpdate.IsZero() && now.After(l.NextUpdate):
			err = fmt.Errorf("the revocation list of %q ended at %s", issuer.Subject, l.NextUpdate.Format(time.RFC3339))
		case best.RevocationList != nil && !l.ThisUpdate.After(best.ThisUpdate):
		default:
			if wrong := l.CheckSignatureFrom(issuer); wrong != nil {
				err = fmt.Errorf("the revocation list of %q: %w", issuer.Subject, wrong)
				continue
			}
			best = l
		}
	}
	if best.RevocationList != nil {
		return best, nil
	}
	return best, err
}
