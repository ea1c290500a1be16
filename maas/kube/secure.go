package kube

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"os"
	"sync"
	"time"

	"github.com/egret-gateway/egret/maas"
)

// Figures of a certificate that is made at the start; they are the reference's.
const (
	selfBits  = 4096
	selfYears = 12
)

// serverTLS is the listener's side of TLS.
func serverTLS(c maas.TLS, instance string) (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"}}
	if c.MinVersion == "1.3" {
		config.MinVersion = tls.VersionTLS13
	}
	if c.SelfSigned {
		made, err := selfSigned(instance, time.Now())
		if err != nil {
			return nil, fmt.Errorf("make a certificate: %w", err)
		}
		config.Certificates = []tls.Certificate{*made}
		return config, nil
	}
	files := &certificate{cert: c.Cert, key: c.Key}
	if _, err := files.get(nil); err != nil {
		return nil, err
	}
	config.GetCertificate = files.get
	return config, nil
}

// certificate is a pair of files that is read again when one has changed, so
// that a renewed certificate needs no restart.
type certificate struct {
	cert, key string

	mu     sync.Mutex
	read   [2]time.Time // modification times of what was read
	loaded *tls.Certificate
}

func (c *certificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var changed [2]time.Time
	for i, name := range []string{c.cert, c.key} {
		info, err := os.Stat(name)
		if err != nil {
			return c.last(err)
		}
		changed[i] = info.ModTime()
	}
	if c.loaded != nil && changed == c.read {
		return c.loaded, nil
	}
	pair, err := tls.LoadX509KeyPair(c.cert, c.key)
	if err != nil {
		return c.last(err)
	}
	c.loaded, c.read = &pair, changed
	return c.loaded, nil
}

// last is the certificate read before, for as long as the files are half
// written.
func (c *certificate) last(err error) (*tls.Certificate, error) {
	if c.loaded != nil {
		return c.loaded, nil
	}
	return nil, fmt.Errorf("certificate of the API: %w", err)
}

func selfSigned(instance string, now time.Time) (*tls.Certificate, error) {
	key, err := rsa.GenerateKey(rand.Reader, selfBits)
	if err != nil {
		return nil, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{Organization: []string{instance}},
		NotBefore: now.Add(-time.Minute), NotAfter: now.AddDate(selfYears, 0, 0),
		KeyUsage:              x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true, SignatureAlgorithm: x509.SHA256WithRSA,
		DNSNames: []string{"localhost", "maas-api", instance},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, nil
}
