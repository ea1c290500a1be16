package authority_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"testing"
	"time"

	"github.com/egret-gateway/egret/feed/authority"
)

const day = 24 * time.Hour

func TestAuthority(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	clock := func() time.Time { return now }
	a, err := authority.New(clock)
	if err != nil {
		t.Fatal(err)
	}
	config := a.TLS("egret.egret-system.svc", "10.96.0.9")
	leaf := func() *x509.Certificate {
		t.Helper()
		c, err := config.GetCertificate(&tls.ClientHelloInfo{})
		if err != nil {
			t.Fatal(err)
		}
		return c.Leaf
	}
	first := leaf()
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(a.CA()) {
		t.Fatal("no CA")
	}
	f := func(name string, c *x509.Certificate, ok bool) {
		t.Helper()
		_, err := c.Verify(x509.VerifyOptions{DNSName: name, Roots: roots, CurrentTime: now})
		if (err == nil) != ok {
			t.Errorf("%s: %v", name, err)
		}
	}
	f("egret.egret-system.svc", first, true)
	f("10.96.0.9", first, true)
	f("other.egret-system.svc", first, false)
	if key := first.PublicKey.(*ecdsa.PublicKey); key.Curve != elliptic.P256() || config.MinVersion != tls.VersionTLS12 {
		t.Errorf("curve %v, TLS %x", key.Curve, config.MinVersion)
	}

	now = now.Add(59 * day)
	if !leaf().Equal(first) {
		t.Error("renewed before two thirds of its life")
	}
	now = now.Add(2 * day)
	second := leaf()
	if second.Equal(first) {
		t.Error("not renewed after two thirds of its life")
	}
	f("egret.egret-system.svc", second, true)
	if bytes.Contains(fmt.Appendf(nil, "%v %+v %#v", a, a, a), []byte("0x")) {
		t.Errorf("printed: %#v", a)
	}
}

func TestKept(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	clock := func() time.Time { return now }
	a, err := authority.New(clock)
	if err != nil {
		t.Fatal(err)
	}
	kept, err := a.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	other, err := authority.New(clock)
	if err != nil {
		t.Fatal(err)
	}
	foreign, err := other.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	f := func(name string, b []byte, at time.Duration, ok bool) {
		t.Helper()
		start := now
		now = now.Add(at)
		got, err := authority.Parse(b, clock)
		if (err == nil) != ok {
			t.Errorf("%s: %v", name, err)
		}
		if ok && err == nil && !bytes.Equal(got.CA(), a.CA()) {
			t.Errorf("%s: another CA", name)
		}
		now = start
	}
	f("kept", kept, 0, true)
	f("nine years later", kept, 9*365*day, true)
	f("too late for a server certificate", kept, (3650-89)*day, false)
	f("before it began", kept, -day, false)
	f("nothing", nil, 0, false)
	f("without a key", a.CA(), 0, false)
	f("another's key", append(bytes.Clone(foreign), a.CA()...), 0, false)
	f("damaged", bytes.Replace(kept, []byte("MHcCAQ"), []byte("AAAAAA"), 1)[:len(kept)-60], 0, false)
}
