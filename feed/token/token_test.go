package token_test

import (
	"context"
	"crypto/tls"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/egret-gateway/egret/feed/authority"
	"github.com/egret-gateway/egret/feed/token"
)

func TestFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "token")
	creds := token.File(path)
	f := func(content, want string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := creds.GetRequestMetadata(t.Context())
		if got["authorization"] != want || (err == nil) != (want != "") {
			t.Errorf("%q: %q, %v; want %q", content, got["authorization"], err, want)
		}
		if err != nil && strings.Contains(err.Error(), "one") && strings.Contains(err.Error(), "two") {
			t.Errorf("the error holds the token: %v", err)
		}
	}
	f("first\n", "Bearer first")
	f("second", "Bearer second") // the kubelet has replaced it
	f("", "")
	f("one\ntwo", "")
	f(strings.Repeat("x", 2<<20), "")
	if !creds.RequireTransportSecurity() {
		t.Error("the token may go in the clear")
	}
}

// TestTLS: the server must show a certificate for the host that was dialled, by
// the authority that is in the file at that moment.
func TestTLS(t *testing.T) {
	first, second := make509(t), make509(t)
	path := filepath.Join(t.TempDir(), "ca.crt")
	creds := token.TLS(path)
	f := func(name string, ca []byte, shown *authority.Authority, host string, version uint16, ok bool) {
		t.Helper()
		if err := os.WriteFile(path, ca, 0o600); err != nil {
			t.Fatal(err)
		}
		err := handshake(t, shown, version, func(ctx context.Context, c net.Conn) error {
			_, _, err := creds.Clone().ClientHandshake(ctx, host, c)
			return err
		})
		if (err == nil) != ok {
			t.Errorf("%s: %v", name, err)
		}
	}
	f("its own", first.CA(), first, "egret.egret-system.svc:15001", 0, true)
	f("an address", first.CA(), first, "10.0.0.1:15001", 0, true)
	f("another authority", first.CA(), second, "egret.egret-system.svc:15001", 0, false)
	f("after the file was replaced", second.CA(), second, "egret.egret-system.svc:15001", 0, true)
	f("both", append(first.CA(), second.CA()...), first, "egret.egret-system.svc:15001", 0, true)
	f("another host", first.CA(), first, "maas.egret-system.svc:15001", 0, false)
	f("no certificate", []byte("none"), first, "egret.egret-system.svc:15001", 0, false)
	f("TLS 1.1", first.CA(), first, "egret.egret-system.svc:15001", tls.VersionTLS11, false)
}

func make509(t *testing.T) *authority.Authority {
	t.Helper()
	a, err := authority.New(time.Now)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// handshake runs the client against a server of at most that version.
func handshake(t *testing.T, a *authority.Authority, version uint16, client func(context.Context, net.Conn) error) error {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	config := a.TLS("egret.egret-system.svc", "10.0.0.1")
	config.MaxVersion = version
	if version != 0 {
		config.MinVersion = version
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		if c, err := l.Accept(); err == nil {
			_ = tls.Server(c, config).HandshakeContext(t.Context())
			_ = c.Close()
		}
	}()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	err = client(t.Context(), c)
	_ = c.Close()
	<-done
	_ = l.Close()
	return err
}
