//go:build services

package redis

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/egret-gateway/egret/lab/service"
	"github.com/egret-gateway/egret/policy/quota"
)

// counts insists that a limiter counts over several buckets.
func counts(t *testing.T, l *Limiter) {
	t.Helper()
	if err := l.Healthy(); err != nil {
		t.Fatal(err)
	}
	settled(t, l, allowed(t, l, tokens("alice", 100), held("bob", 100, 50), calls("carol", 5)).Ticket, 7)
	for key, want := range map[string]int64{"alice": 7, "bob": 7, "carol": 1} {
		if n := used(t, l, key); n != want {
			t.Errorf("%s has %d, want %d", key, n, want)
		}
	}
}

func TestPassword(t *testing.T) {
	s := service.Redis(t, "--requirepass", "s3cret")
	counts(t, replica(t, strings.Replace(s.URL, "//", "//:s3cret@", 1), Options{}))
	wrong := replica(t, strings.Replace(s.URL, "//", "//:wr0ng@", 1), Options{})
	if err := wrong.Healthy(); err == nil || !strings.Contains(err.Error(), "WRONGPASS") || strings.Contains(err.Error(), "wr0ng") {
		t.Errorf("error %v, want one that says WRONGPASS and no password", err)
	}
}

func TestTLS(t *testing.T) {
	roots, cert, key := authority(t)
	port := service.Port(t)
	service.Redis(t, "--tls-port", fmt.Sprint(port), "--tls-cert-file", cert, "--tls-key-file", key, "--tls-auth-clients", "no")
	url := fmt.Sprintf("rediss://127.0.0.1:%d/0", port)
	counts(t, replica(t, url, Options{Roots: roots}))
	t.Run("a certificate of nobody's is refused", func(t *testing.T) {
		if err := replica(t, url, Options{}).Healthy(); err == nil || !strings.Contains(err.Error(), "certificate") {
			t.Errorf("error %v", err)
		}
	})
	t.Run("a certificate of another host is refused", func(t *testing.T) {
		url := fmt.Sprintf("rediss://localhost:%d/0", port)
		if err := replica(t, url, Options{Roots: roots}).Healthy(); err == nil || !strings.Contains(err.Error(), "localhost") {
			t.Errorf("error %v", err)
		}
	})
}

func TestCluster(t *testing.T) {
	s := service.Redis(t, "--cluster-enabled", "yes")
	c := goredis.NewClient(&goredis.Options{Addr: fmt.Sprintf("127.0.0.1:%d", s.Port)})
	defer c.Close()
	if err := c.ClusterAddSlotsRange(t.Context(), 0, 16383).Err(); err != nil {
		t.Fatal(err)
	}
	reach(t, func() bool { return strings.Contains(c.ClusterInfo(t.Context()).Val(), "cluster_state:ok") })
	counts(t, replica(t, fmt.Sprintf("redis://127.0.0.1:%d?addr=127.0.0.1:%d", s.Port, s.Port), Options{}))
}

func TestSentinel(t *testing.T) {
	primary := service.Redis(t)
	sentinel := service.Sentinel(t, primary)
	l := replica(t, fmt.Sprintf("redis://127.0.0.1:%d/0?master_name=main", sentinel.Port), Options{})
	counts(t, l)
	primary.Kill()
	lose(t, l)
	settled(t, l, quota.Ticket{Buckets: []quota.Bucket{tokens("k", 100)}}, 9)
	primary.Start()
	l.turn(t.Context())
	if n := used(t, l, "k"); n != 9 {
		t.Errorf("used %d, want 9", n)
	}
}

// TestReadOnly: a replica answers, but counts nothing.
func TestReadOnly(t *testing.T) {
	primary := service.Redis(t)
	s := service.Redis(t, "--replicaof", fmt.Sprintf("127.0.0.1 %d", primary.Port))
	l := replica(t, s.URL, Options{})
	if err := l.Healthy(); err == nil {
		t.Fatal("a replica cannot count")
	}
	c := goredis.NewClient(&goredis.Options{Addr: fmt.Sprintf("127.0.0.1:%d", s.Port)})
	defer c.Close()
	if err := c.ReplicaOf(t.Context(), "NO", "ONE").Err(); err != nil {
		t.Fatal(err)
	}
	l.turn(t.Context())
	counts(t, l)
}

// authority makes a certificate for 127.0.0.1 that vouches for itself.
func authority(t *testing.T) (roots *x509.CertPool, cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "counters"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	write := func(name, kind string, bytes []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: bytes}), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	cert, key = write("cert.pem", "CERTIFICATE", der), write("key.pem", "PRIVATE KEY", secret)
	roots = x509.NewCertPool()
	roots.AppendCertsFromPEM(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	return roots, cert, key
}
