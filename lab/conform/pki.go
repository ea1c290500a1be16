package conform

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"net/url"
	"strings"
	"time"
)

// secureSuffix ends the names of upstreams with certificates of their own; what
// stands before it says which.
const secureSuffix = ".tls.example.com"

// Certificates are good in a bubble, where time begins with the year 2000, and
// outside of it, or else in neither.
var (
	validFrom = time.Date(1999, 1, 1, 0, 0, 0, 0, time.UTC)
	validTo   = time.Date(2199, 1, 1, 0, 0, 0, 0, time.UTC)
	longGone  = time.Date(1999, 2, 1, 0, 0, 0, 0, time.UTC)
)

// pki is what upstreams prove themselves by. Manifests refer to it: {{ca}} is
// the authority of most, {{public}} one that the system trusts, {{crl}} what the
// first has revoked, {{crl-ended}} a list of another day, {{between}} and
// {{crl-between}} the same of the authority of chain.tls.example.com, {{client.crt}} and
// {{client.key}} what mutual.tls.example.com asks for, {{self}} a certificate
// that signs itself, and {{pin NAME}} the key of NAME.tls.example.com.
type pki struct {
	public  string // in PEM
	servers map[string]*tls.Config
	words   *strings.Replacer
}

// signer is an authority.
type signer struct {
	crt *x509.Certificate
	key *ecdsa.PrivateKey
}

// newPKI makes the servers
//
//	good, h2, old, mutual   with what their names say they need
//	public                  of the authority that the system trusts
//	plain                   without TLS
//	expired, wrong, self    of another time, for another name, of nobody
//	revoked, chain          on the list; by an authority between, which is on no list
//	spiffe                  for a URI
//	httpbin.org, api.…      as they stand, of the authority that the system trusts
func newPKI() *pki {
	ca, public := authority("ca", nil), authority("public", nil)
	between := authority("between", ca)
	p := &pki{public: public.pem(), servers: map[string]*tls.Config{}}
	pair := func(by *signer, edit func(*x509.Certificate), names ...string) tls.Certificate {
		key := newKey()
		t := template(names[0])
		t.DNSNames, t.ExtKeyUsage = names, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
		if edit != nil {
			edit(t)
		}
		out := tls.Certificate{PrivateKey: key}
		if by == nil {
			by = &signer{t, key}
		}
		out.Certificate = [][]byte{sign(t, by.crt, key.Public(), by.key)}
		if by == between {
			out.Certificate = append(out.Certificate, between.crt.Raw)
		}
		return out
	}
	add := func(name string, crt tls.Certificate) *tls.Config {
		p.servers[name] = &tls.Config{Certificates: []tls.Certificate{crt}, NextProtos: []string{"http/1.1"}}
		return p.servers[name]
	}
	for _, name := range []string{"good", "revoked", "old"} {
		add(name, pair(ca, nil, name+secureSuffix))
	}
	p.servers["old"].MaxVersion = tls.VersionTLS12
	add("h2", pair(ca, nil, "h2"+secureSuffix)).NextProtos = []string{"h2"}
	add("public", pair(public, nil, "public"+secureSuffix))
	add("wrong", pair(public, nil, "other.example.com"))
	add("expired", pair(public, func(t *x509.Certificate) { t.NotAfter = longGone }, "expired"+secureSuffix))
	add("self", pair(nil, nil, "self"+secureSuffix))
	for _, name := range []string{"httpbin.org", "api.openai.com", "api.anthropic.com"} {
		add(name, pair(public, nil, name))
	}
	add("chain", pair(between, nil, "chain"+secureSuffix))
	add("spiffe", pair(ca, func(t *x509.Certificate) {
		t.DNSNames, t.URIs = nil, []*url.URL{{Scheme: "spiffe", Host: "example.com", Path: "/model"}}
	}, "spiffe"))
	mutual := add("mutual", pair(ca, nil, "mutual"+secureSuffix))
	mutual.ClientAuth, mutual.ClientCAs = tls.RequireAndVerifyClientCert, x509.NewCertPool()
	mutual.ClientCAs.AddCert(ca.crt)
	p.servers["plain"] = nil

	client := pair(ca, nil, "gateway.example.com")
	clientKey, err := x509.MarshalPKCS8PrivateKey(client.PrivateKey)
	must(err)
	serial := p.leaf("revoked").SerialNumber
	words := []string{
		"{{ca}}", quoted(ca.pem()), "{{public}}", quoted(public.pem()), "{{between}}", quoted(between.pem()),
		"{{crl}}", quoted(ca.revoke(validTo, serial)), "{{crl-ended}}", quoted(ca.revoke(longGone)), "{{crl-between}}", quoted(between.revoke(validTo)),
		"{{client.crt}}", quoted(encoded("CERTIFICATE", client.Certificate[0])), "{{client.key}}", quoted(encoded("PRIVATE KEY", clientKey)),
		"{{self}}", quoted(encoded("CERTIFICATE", p.leaf("self").Raw)),
	}
	for name, c := range p.servers {
		if c != nil {
			sum := sha256.Sum256(p.leaf(name).RawSubjectPublicKeyInfo)
			words = append(words, "{{pin "+name+"}}", base64.StdEncoding.EncodeToString(sum[:]))
		}
	}
	p.words = strings.NewReplacer(words...)
	return p
}

func (p *pki) leaf(name string) *x509.Certificate {
	crt, err := x509.ParseCertificate(p.servers[name].Certificates[0].Certificate[0])
	must(err)
	return crt
}

// proves reports whether an upstream of that name has a certificate, or is to
// have one.
func (p *pki) proves(host string) bool {
	name, ours := strings.CutSuffix(host, secureSuffix)
	_, has := p.servers[name]
	return ours || has
}

// fill puts certificates in the places of their names.
func (p *pki) fill(manifests []byte) []byte { return []byte(p.words.Replace(string(manifests))) }

func authority(name string, by *signer) *signer {
	key := newKey()
	t := template(name)
	t.IsCA, t.KeyUsage = true, x509.KeyUsageCertSign|x509.KeyUsageCRLSign
	if by == nil {
		by = &signer{t, key}
	}
	crt, err := x509.ParseCertificate(sign(t, by.crt, key.Public(), by.key))
	must(err)
	return &signer{crt, key}
}

func (s *signer) pem() string { return encoded("CERTIFICATE", s.crt.Raw) }

// revoke makes a list that is in force until then.
func (s *signer) revoke(until time.Time, serials ...*big.Int) string {
	list := &x509.RevocationList{Number: big.NewInt(1), ThisUpdate: validFrom, NextUpdate: until}
	for _, n := range serials {
		list.RevokedCertificateEntries = append(list.RevokedCertificateEntries, x509.RevocationListEntry{SerialNumber: n, RevocationTime: validFrom})
	}
	der, err := x509.CreateRevocationList(rand.Reader, list, s.crt, s.key)
	must(err)
	return encoded("X509 CRL", der)
}

func template(name string) *x509.Certificate {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	must(err)
	return &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: name}, NotBefore: validFrom, NotAfter: validTo,
		BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature,
	}
}

func sign(t, parent *x509.Certificate, public crypto.PublicKey, key *ecdsa.PrivateKey) []byte {
	der, err := x509.CreateCertificate(rand.Reader, t, parent, public, key)
	must(err)
	return der
}

func newKey() *ecdsa.PrivateKey {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(err)
	return key
}

func encoded(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

func quoted(text string) string {
	out, err := json.Marshal(text)
	must(err)
	return string(out)
}

func must(err error) {
	if err != nil {
		panic("BUG: a certificate of the test's cannot be made: " + err.Error())
	}
}
