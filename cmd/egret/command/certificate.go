package command

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/egret-gateway/egret/source"
)

// certificate is the gateway's own, made for loopback by a CA that is made
// with it and whose key is not kept.
type certificate struct {
	file     string // the CA's certificate
	crt, key []byte
}

// Names and life of the certificate.
var loopbackNames = []string{"localhost", "*.localhost", "maas.localhost"}

const certificateLife = 365 * 24 * time.Hour

// ensureCertificate reads the certificate kept in dir, or makes one when there
// is none or it ends within a day.
func ensureCertificate(dir string) (*certificate, error) {
	c := &certificate{file: filepath.Join(dir, "ca.crt")}
	crtFile, keyFile := filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")
	var err error
	if c.crt, err = os.ReadFile(crtFile); err == nil {
		if c.key, err = os.ReadFile(keyFile); err == nil && c.lasts() {
			return c, nil
		}
	}
	ca, err := c.make()
	if err != nil {
		return nil, fmt.Errorf("certificate: %w", err)
	}
	for _, f := range []struct {
		name string
		data []byte
		mode os.FileMode
	}{{c.file, ca, 0o644}, {crtFile, c.crt, 0o644}, {keyFile, c.key, 0o600}} {
		if err := os.WriteFile(f.name, f.data, f.mode); err != nil {
			return nil, err
		}
	}
	return c, nil
}

func (c *certificate) lasts() bool {
	pair, err := tls.X509KeyPair(c.crt, c.key)
	return err == nil && time.Until(pair.Leaf.NotAfter) > 24*time.Hour
}

// make creates CA and certificate and returns the CA's certificate.
func (c *certificate) make() (ca []byte, err error) {
	now := time.Now()
	caKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	root := &x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{CommonName: "Egret quickstart CA"}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(certificateLife),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
		PermittedDNSDomainsCritical: true, PermittedDNSDomains: []string{"localhost"}, // good for loopback only, wherever it is trusted
		PermittedIPRanges: []*net.IPNet{{IP: net.IPv4(127, 0, 0, 0).To4(), Mask: net.CIDRMask(8, 32)}, {IP: net.IPv6loopback, Mask: net.CIDRMask(128, 128)}},
	}
	rootDER, err := x509.CreateCertificate(rand.Reader, root, root, caKey.Public(), caKey)
	if err != nil {
		return nil, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	leaf := &x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{CommonName: "localhost"}, NotBefore: root.NotBefore, NotAfter: root.NotAfter,
		DNSNames: loopbackNames, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	leafDER, err := x509.CreateCertificate(rand.Reader, leaf, root, key.Public(), caKey)
	if err != nil {
		return nil, err
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	c.crt = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: leafDER})
	c.key = pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: rootDER}), nil
}

func serial() *big.Int {
	n, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		panic("BUG: " + err.Error()) // crypto/rand does not fail
	}
	return n
}

// amend adds the Secret that the manifests name, unless they hold it.
func (c *certificate) amend(s *source.Snapshot) {
	const namespace, name = "openshift-ingress", "maas-gateway-tls"
	for _, o := range s.Secrets {
		if o.Namespace == namespace && o.Name == name {
			return
		}
	}
	s.Secrets = append(s.Secrets, &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}, Type: corev1.SecretTypeTLS,
		Data: map[string][]byte{corev1.TLSCertKey: c.crt, corev1.TLSPrivateKeyKey: c.key},
	})
}
