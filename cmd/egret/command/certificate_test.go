package command

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"os"
	"path/filepath"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/egret-gateway/egret/source"
)

func TestCertificate(t *testing.T) {
	dir := t.TempDir()
	c, err := ensureCertificate(dir)
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.X509KeyPair(c.crt, c.key)
	if err != nil {
		t.Fatal(err)
	}
	ca, err := os.ReadFile(c.file)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	f := func(name string, want bool) {
		t.Helper()
		_, err := pair.Leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: name})
		if (err == nil) != want {
			t.Errorf("%s: %v, want %v", name, err, want)
		}
	}
	f("localhost", true)
	f("maas.localhost", true)
	f("127.0.0.1", true)
	f("::1", true)
	f("example.com", false)
	f("192.0.2.1", false)

	t.Run("the key is for its owner alone", func(t *testing.T) {
		info, err := os.Stat(filepath.Join(dir, "tls.key"))
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%v %v, want mode 0600", info.Mode(), err)
		}
	})
	t.Run("a later start keeps it", func(t *testing.T) {
		again, err := ensureCertificate(dir)
		if err != nil || !bytes.Equal(again.crt, c.crt) {
			t.Errorf("another certificate, %v", err)
		}
	})
	t.Run("one that cannot be read is made anew", func(t *testing.T) {
		if err := os.WriteFile(filepath.Join(dir, "tls.crt"), []byte("no certificate"), 0o644); err != nil {
			t.Fatal(err)
		}
		again, err := ensureCertificate(dir)
		if err != nil || !again.lasts() || bytes.Equal(again.key, c.key) {
			t.Errorf("%v", err)
		}
	})
	t.Run("the manifests' own Secret wins", func(t *testing.T) {
		own := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "openshift-ingress", Name: "maas-gateway-tls"}}
		with, without := source.Snapshot{Secrets: []*corev1.Secret{own}}, source.Snapshot{}
		c.amend(&with)
		c.amend(&without)
		if len(with.Secrets) != 1 || with.Secrets[0] != own || len(without.Secrets) != 1 || !bytes.Equal(without.Secrets[0].Data[corev1.TLSCertKey], c.crt) {
			t.Errorf("with: %d Secrets, without: %d, want 1 and 1", len(with.Secrets), len(without.Secrets))
		}
	})
}

func TestReadable(t *testing.T) {
	f := func(in, want string) {
		t.Helper()
		if got := string(readable([]byte(in))); got != want {
			t.Errorf("%s: %s, want %s", in, got, want)
		}
	}
	f(`  "window": 60000000000,`, `  "window": "1m0s",`)
	f(`  "request": -1`, `  "request": "none"`)
	f(`  "backend": "default-x-80",`, `  "backend": "default-x-80",`)
	f(`  "limit": 60000000000`, `  "limit": 60000000000`)
	f(`  "ttl": 99999999999999999999`, `  "ttl": 99999999999999999999`)
}
