package authority

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"slices"
	"sync"
	"time"
)

// How long certificates live.
const (
	caLife   = 10 * 365 * 24 * time.Hour
	leafLife = 90 * 24 * time.Hour
	skew     = 5 * time.Minute // by which clocks may differ
)

// Authority is a certificate authority with its key. It is safe for concurrent
// use and prints without the key.
type Authority struct {
	ca   *x509.Certificate
	key  *ecdsa.PrivateKey
	now  func() time.Time
	pem  []byte // of ca
	mu   sync.Mutex
	leaf map[string]*tls.Certificate // by the names it is for
}

// String names the authority.
func (a *Authority) String() string {
	return fmt.Sprintf("%s, valid until %s", a.ca.Subject, a.ca.NotAfter.UTC().Format(time.DateOnly))
}

// GoString is String.
func (a *Authority) GoString() string { return a.String() }

// New makes an authority that is valid for ten years; now is its clock for as
// long as it is used.
func New(now func() time.Time) (*Authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make the xDS authority: %w", err)
	}
	from := now()
	template := &x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{CommonName: "egret xDS authority"},
		NotBefore: from.Add(-skew), NotAfter: from.Add(caLife),
		IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return nil, fmt.Errorf("make the xDS authority: %w", err)
	}
	return from509(der, key, now)
}

// Parse reads what Bytes wrote. An authority that does not outlive a server
// certificate is refused: make a new one instead.
func Parse(b []byte, now func() time.Time) (*Authority, error) {
	var der []byte
	var key *ecdsa.PrivateKey
	for block, rest := pem.Decode(b); block != nil; block, rest = pem.Decode(rest) {
		switch block.Type {
		case "CERTIFICATE":
			der = block.Bytes
		case "PRIVATE KEY":
			k, err := x509.ParsePKCS8PrivateKey(block.Bytes)
			if err != nil {
				return nil, errors.New("read the xDS authority: the private key is damaged")
			}
			key, _ = k.(*ecdsa.PrivateKey)
		}
	}
	if der == nil || key == nil {
		return nil, errors.New("read the xDS authority: a certificate and an ECDSA key are needed")
	}
	a, err := from509(der, key, now)
	if err != nil {
		return nil, err
	}
	if !a.ca.IsCA || !key.PublicKey.Equal(a.ca.PublicKey) {
		return nil, errors.New("read the xDS authority: certificate and key do not belong together")
	}
	if at := now(); at.Before(a.ca.NotBefore) || at.Add(leafLife).After(a.ca.NotAfter) {
		return nil, fmt.Errorf("read the xDS authority: it is valid from %s to %s only", a.ca.NotBefore.UTC().Format(time.DateOnly), a.ca.NotAfter.UTC().Format(time.DateOnly))
	}
	return a, nil
}

func from509(der []byte, key *ecdsa.PrivateKey, now func() time.Time) (*Authority, error) {
	ca, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("read the xDS authority: %w", err)
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	return &Authority{ca: ca, key: key, now: now, pem: text, leaf: map[string]*tls.Certificate{}}, nil
}

// CA returns the certificate in PEM, for whoever is to trust the server.
func (a *Authority) CA() []byte { return bytes.Clone(a.pem) }

// Bytes returns certificate and private key in PEM, for Parse.
func (a *Authority) Bytes() ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(a.key)
	if err != nil {
		return nil, fmt.Errorf("write the xDS authority: %w", err)
	}
	return append(a.CA(), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})...), nil
}

// TLS is the configuration of a server with these DNS names or IP addresses.
// Its certificate is made at the first connection and again when two thirds of
// its 90 days are over.
func (a *Authority) TLS(names ...string) *tls.Config {
	names = slices.Clone(names)
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		NextProtos: []string{"h2"},
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			return a.certificate(names)
		},
	}
}

func (a *Authority) certificate(names []string) (*tls.Certificate, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	id, now := fmt.Sprint(names), a.now()
	if c := a.leaf[id]; c != nil && now.Before(c.Leaf.NotAfter.Add(-leafLife/3)) && !now.Before(c.Leaf.NotBefore) {
		return c, nil
	}
	c, err := a.sign(names, now)
	if err != nil {
		return nil, fmt.Errorf("make the xDS server's certificate: %w", err)
	}
	a.leaf[id] = c
	return c, nil
}

func (a *Authority) sign(names []string, now time.Time) (*tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{CommonName: "egret xDS"},
		NotBefore: now.Add(-skew), NotAfter: now.Add(leafLife),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	for _, n := range names {
		if ip := net.ParseIP(n); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, n)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.ca, &key.PublicKey, a.key)
	if err != nil {
		return nil, err
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, nil
}

// serial returns 127 random bits.
func serial() *big.Int {
	b := make([]byte, 16)
	_, _ = rand.Read(b) // never fails (crypto/rand)
	b[0] &= 0x7f
	return new(big.Int).SetBytes(b)
}
