package provider

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/egret-gateway/egret/plan"
)

func TestDial(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			c.Close()
		}
	}()
	port := l.Addr().(*net.TCPAddr).Port
	var m Mapping
	m.Set("api.example.com", 443, l.Addr().String())
	m.Set("metadata.example.com", 80, "169.254.169.254:80")
	var asked []string
	d := &Dialer{
		Names: m.Lookup,
		Gateway: func(_ context.Context, g string, p int32) (net.Conn, error) {
			asked = append(asked, fmt.Sprint(g, " ", p))
			return net.Dial("tcp", l.Addr().String())
		},
		Memory: func(_ context.Context, host string, p int32) (net.Conn, bool, error) {
			if host != "svc.ns" {
				return nil, false, nil
			}
			c, _ := net.Pipe()
			return c, true, nil
		},
	}
	f := func(name, address, want string) {
		t.Run(name, func(t *testing.T) {
			c, err := d.Dial(t.Context(), "tcp", address)
			if err == nil {
				c.Close()
			}
			if (err == nil) != (want == "") || err != nil && (!strings.Contains(err.Error(), want) || !Connecting(err)) {
				t.Errorf("error %v, want %q", err, want)
			}
		})
	}
	f("an address", l.Addr().String(), "")
	f("a name, which the guard sees resolved", fmt.Sprint("localhost:", port), "")
	f("a mapped name", "api.example.com:443", "")
	f("a mapped name in other letters", "API.example.com.:443", "")
	f("a service in memory", "svc.ns:80", "")
	f("one of our gateways", Address(plan.Endpoint{Gateway: "ns/gw", Port: 80}), "")
	f("metadata, by address", "169.254.169.254:80", "never dialled")
	f("metadata, in IPv6 clothes", "[::ffff:169.254.169.254]:80", "never dialled")
	f("metadata, by a mapped name", "metadata.example.com:80", "never dialled")
	f("unspecified", "[::]:80", "never dialled")
	f("no port", "example.com", "missing port")
	f("a port that is none", "example.com:http", "port")
	if len(asked) != 1 || asked[0] != "ns/gw 80" {
		t.Errorf("gateways asked: %q", asked)
	}
	t.Run("a guard of one's own is asked after resolution", func(t *testing.T) {
		var seen []netip.Addr
		d := &Dialer{Guard: func(a netip.Addr) error {
			seen = append(seen, a)
			return errors.New("not this one")
		}}
		if _, err := d.Dial(t.Context(), "tcp", fmt.Sprint("localhost:", port)); err == nil || len(seen) == 0 || !seen[0].IsLoopback() {
			t.Errorf("error %v, seen %v", err, seen)
		}
	})
	t.Run("10s at most", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			d := &Dialer{Memory: func(ctx context.Context, _ string, _ int32) (net.Conn, bool, error) {
				<-ctx.Done()
				return nil, true, ctx.Err()
			}}
			began := time.Now()
			if _, err := d.Dial(t.Context(), "tcp", "x:1"); !Connecting(err) || time.Since(began) != plan.DefaultConnectTimeout {
				t.Errorf("%v after %v", err, time.Since(began))
			}
		})
	})
}

func TestParseResolve(t *testing.T) {
	f := func(in, want string) {
		t.Helper()
		name, port, address, err := ParseResolve(in)
		got := fmt.Sprintf("%s %d %s", name, port, address)
		if err != nil {
			got = "error"
		}
		if got != want {
			t.Errorf("%q: %s (%v), want %s", in, got, err, want)
		}
	}
	f("api.example.com:443:127.0.0.1:8443", "api.example.com 443 127.0.0.1:8443")
	f("api.example.com:443:127.0.0.1", "api.example.com 443 127.0.0.1:443")
	f("a:80:[::1]:8080", "a 80 [::1]:8080")
	f("a:80:[::1]", "a 80 [::1]:80")
	f("a:80:::1", "a 80 [::1]:80")
	for _, bad := range []string{"", "a", "a:80", "a:80:", ":80:127.0.0.1", "a:0:127.0.0.1", "a:x:127.0.0.1", "a:80:b", "a:80:127.0.0.1:0", "a:80:127.0.0.1:99999", "a:80:127.0.0.1:x"} {
		f(bad, "error")
	}
}

func TestAddress(t *testing.T) {
	for want, e := range map[string]plan.Endpoint{
		"10.0.0.1:80":              {Address: "10.0.0.1", Port: 80},
		"[::1]:80":                 {Address: "::1", Port: 80},
		"gw.ns.gateway.invalid:80": {Gateway: "ns/gw", Port: 80},
	} {
		if got := Address(e); got != want {
			t.Errorf("%+v: %s, want %s", e, got, want)
		}
	}
}

// pki is a CA and what it signed.
type pki struct {
	ca     string
	signed func(names ...string) (crt, key string)
}

func newPKI(t *testing.T) pki {
	t.Helper()
	sign := func(template, parent *x509.Certificate, key, by *ecdsa.PrivateKey) string {
		der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, by)
		if err != nil {
			t.Fatal(err)
		}
		return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	}
	template := func(n int64, ca bool) *x509.Certificate {
		return &x509.Certificate{
			SerialNumber: big.NewInt(n), Subject: pkix.Name{CommonName: fmt.Sprint("n", n)}, NotBefore: time.Now().Add(-time.Hour),
			NotAfter: time.Now().Add(time.Hour), IsCA: ca, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
		}
	}
	caKey, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	ca := template(1, true)
	serial := int64(1)
	return pki{ca: sign(ca, ca, caKey, caKey), signed: func(names ...string) (string, string) {
		serial++
		key, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		leaf := template(serial, false)
		leaf.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
		for _, n := range names {
			if ip := net.ParseIP(n); ip != nil {
				leaf.IPAddresses = append(leaf.IPAddresses, ip)
			} else {
				leaf.DNSNames = append(leaf.DNSNames, n)
			}
		}
		pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			t.Fatal(err)
		}
		return sign(leaf, ca, key, caKey), string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}))
	}}
}

func secret(name string, kind plan.SecretKind, items ...string) plan.Secret {
	s := plan.Secret{Name: name, Kind: kind, Digest: plan.Digest(items)}
	for i := 0; i < len(items); i += 2 {
		s.Data = append(s.Data, plan.Item{Key: items[i], Value: plan.Bytes(items[i+1])})
	}
	return s
}

// get makes one request by way of a backend.
func get(t *testing.T, links *Links, b *plan.Backend) (string, error) {
	t.Helper()
	transport, scheme, address, err := links.Target(b)
	if err != nil {
		return "", err
	}
	req, _ := http.NewRequestWithContext(t.Context(), "GET", scheme+"://"+address+"/", nil)
	res, err := transport.RoundTrip(req)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	return string(body), err
}

// TestTLS: what is verified of a backend by default and by BackendTLSPolicy's
// validation, and what it is shown.
func TestTLS(t *testing.T) {
	p, other := newPKI(t), newPKI(t)
	crt, key := p.signed("api.example.com", "127.0.0.1")
	pair, err := tls.X509KeyPair([]byte(crt), []byte(key))
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		clients := "nobody"
		if len(r.TLS.PeerCertificates) > 0 {
			clients = r.TLS.PeerCertificates[0].DNSNames[0]
		}
		fmt.Fprintf(w, "%s sni=%s client=%s", r.Proto, r.TLS.ServerName, clients)
	}))
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	theirs := x509.NewCertPool() // whom the server names when it asks for a certificate
	theirs.AppendCertsFromPEM([]byte(other.ca))
	s.TLS = &tls.Config{Certificates: []tls.Certificate{pair}, ClientAuth: tls.RequestClientCert, ClientCAs: theirs}
	s.EnableHTTP2 = true
	s.StartTLS()
	defer s.Close()
	clientCrt, clientKey := p.signed("client.example.com")
	secrets := []plan.Secret{
		secret("ca", plan.SecretCA, "ca.crt", p.ca), secret("other", plan.SecretCA, "ca.crt", other.ca), secret("empty", plan.SecretCA, "ca.crt", "nothing"),
		secret("me", plan.SecretTLS, "tls.crt", clientCrt, "tls.key", clientKey), secret("broken", plan.SecretTLS, "tls.crt", "x", "tls.key", "y"),
	}
	var names Mapping
	port := int32(s.Listener.Addr().(*net.TCPAddr).Port)
	for _, n := range []string{"api.example.com", "www.example.com"} {
		names.Set(n, port, s.Listener.Addr().String())
	}
	f := func(name, host string, proto plan.Protocol, c plan.ClientTLS, want, wantErr string) {
		t.Run(name, func(t *testing.T) {
			pool := NewPool(&Dialer{Names: names.Lookup})
			defer pool.Close()
			pl := &plan.Plan{Backends: []plan.Backend{{Name: "b", Object: "XBackendDestination ns/b", Protocol: proto, Host: host, Port: port, TLS: &c}}, Secrets: secrets}
			pool.Load(pl)
			got, err := get(t, pool.Links(), &pl.Backends[0])
			if got != want || (err == nil) != (wantErr == "") || err != nil && !strings.Contains(err.Error(), wantErr) {
				t.Errorf("%q, %v; want %q, %q", got, err, want, wantErr)
			}
			if err != nil && !Connecting(err) && !errors.Is(err, ErrUnusable) {
				t.Errorf("not known as a failure to connect: %v", err)
			}
		})
	}
	const api, www = "api.example.com", "www.example.com"
	ca := []string{"ca"}
	f("by the given CA, for the host", api, plan.HTTP, plan.ClientTLS{CAs: ca}, "HTTP/1.1 sni=api.example.com client=nobody", "")
	f("by the system's CAs unless given", api, plan.HTTP, plan.ClientTLS{}, "", "unknown authority")
	f("another CA", api, plan.HTTP, plan.ClientTLS{CAs: []string{"other"}}, "", "unknown authority")
	f("one of two CAs", api, plan.HTTP, plan.ClientTLS{CAs: []string{"other", "ca"}}, "HTTP/1.1 sni=api.example.com client=nobody", "")
	f("another name", www, plan.HTTP, plan.ClientTLS{CAs: ca}, "", "not www.example.com")
	f("the SNI is what is verified", www, plan.HTTP, plan.ClientTLS{CAs: ca, SNI: api}, "HTTP/1.1 sni=api.example.com client=nobody", "")
	f("names win over the SNI", www, plan.HTTP, plan.ClientTLS{CAs: ca, Names: []string{"x.example.com", api}}, "HTTP/1.1 sni=www.example.com client=nobody", "")
	f("none of the names", api, plan.HTTP, plan.ClientTLS{CAs: ca, Names: []string{"x.example.com"}}, "", "not x.example.com")
	f("names do not replace the chain", api, plan.HTTP, plan.ClientTLS{CAs: []string{"other"}, Names: []string{api}}, "", "unknown authority")
	f("an address is verified and not sent", "127.0.0.1", plan.HTTP, plan.ClientTLS{CAs: ca}, "HTTP/1.1 sni= client=nobody", "")
	f("not verified when told so", www, plan.HTTP, plan.ClientTLS{SkipVerify: true}, "HTTP/1.1 sni=www.example.com client=nobody", "")
	f("a client certificate, whatever authority the server names", api, plan.HTTP, plan.ClientTLS{CAs: ca, Identity: "me"}, "HTTP/1.1 sni=api.example.com client=client.example.com", "")
	f("gateway-93 HTTP/2 by ALPN", api, plan.HTTP2, plan.ClientTLS{CAs: ca}, "HTTP/2.0 sni=api.example.com client=nobody", "")
	f("a CA that is not there", api, plan.HTTP, plan.ClientTLS{CAs: []string{"none"}}, "", "CA bundle none is not there")
	f("a CA without certificates", api, plan.HTTP, plan.ClientTLS{CAs: []string{"empty"}}, "", "holds no certificate")
	f("a client certificate that is not there", api, plan.HTTP, plan.ClientTLS{CAs: ca, Identity: "none"}, "", "client certificate none is not there")
	f("a client certificate that cannot be read", api, plan.HTTP, plan.ClientTLS{CAs: ca, Identity: "broken"}, "", "client certificate broken")
}

func TestOldTLSIsNotSpoken(t *testing.T) {
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {}))
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.TLS = &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}
	s.StartTLS()
	defer s.Close()
	a := s.Listener.Addr().(*net.TCPAddr)
	pool := NewPool(&Dialer{})
	defer pool.Close()
	pl := &plan.Plan{Backends: []plan.Backend{{Name: "b", Host: a.IP.String(), Port: int32(a.Port), TLS: &plan.ClientTLS{SkipVerify: true}}}}
	pool.Load(pl)
	if _, err := get(t, pool.Links(), &pl.Backends[0]); err == nil || !strings.Contains(err.Error(), "protocol version") {
		t.Errorf("TLS 1.1: %v, want a refusal of the version", err)
	}
}

func TestH2C(t *testing.T) {
	t.Run("gateway-93 HTTP/2 in the clear by prior knowledge", func(t *testing.T) {
		s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.Proto) }))
		s.Config.Protocols = new(http.Protocols)
		s.Config.Protocols.SetUnencryptedHTTP2(true)
		s.Start()
		defer s.Close()
		a := s.Listener.Addr().(*net.TCPAddr)
		pl := &plan.Plan{Backends: []plan.Backend{{Name: "b", Protocol: plan.HTTP2, Endpoints: []plan.Endpoint{{Address: a.IP.String(), Port: int32(a.Port)}}}}}
		pool := NewPool(&Dialer{})
		defer pool.Close()
		pool.Load(pl)
		if got, err := get(t, pool.Links(), &pl.Backends[0]); got != "HTTP/2.0" {
			t.Errorf("%q, %v", got, err)
		}
	})
}

func TestLinks(t *testing.T) {
	build := func(host string) *plan.Plan {
		return &plan.Plan{Backends: []plan.Backend{{Name: "b", Protocol: plan.HTTP, Host: host, Port: 80}, {Name: "none", Protocol: plan.HTTP}}}
	}
	address := func(t *testing.T, l *Links, p *plan.Plan) string {
		t.Helper()
		_, _, a, err := l.Target(&p.Backends[0])
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	pool := NewPool(&Dialer{})
	first := build("first")
	pool.Load(first)
	held := pool.Links()
	t.Run("who holds links finds the backends of its plan, before and after", func(t *testing.T) {
		var later []*plan.Plan
		for i := range 5 {
			p := build(fmt.Sprint("h", i))
			later = append(later, p)
			next := pool.Prepare(p)
			if got := address(t, held, p); got != fmt.Sprint("h", i, ":80") {
				t.Errorf("prepared: %s", got)
			}
			pool.Use(next)
		}
		for i, p := range later {
			if got := address(t, held, p); got != fmt.Sprint("h", i, ":80") {
				t.Errorf("%d: %s", i, got)
			}
		}
		if got := address(t, held, first); got != "first:80" {
			t.Errorf("its own: %s", got)
		}
	})
	t.Run("unchanged TLS keeps the transport", func(t *testing.T) {
		was, _, _, _ := held.Target(&first.Backends[0])
		p := build("next")
		pool.Load(p)
		is, _, _, _ := pool.Links().Target(&p.Backends[0])
		if was != is {
			t.Error("another transport")
		}
	})
	t.Run("no endpoint", func(t *testing.T) {
		if _, _, _, err := held.Target(&first.Backends[1]); !errors.Is(err, ErrNoEndpoint) {
			t.Errorf("error %v", err)
		}
	})
	t.Run("endpoints take turns", func(t *testing.T) {
		p := &plan.Plan{Backends: []plan.Backend{{Name: "b", Endpoints: []plan.Endpoint{{Address: "10.0.0.1", Port: 1}, {Address: "10.0.0.2", Port: 1}}}}}
		pool.Load(p)
		seen := map[string]int{}
		for range 10 {
			seen[address(t, pool.Links(), p)]++
		}
		if seen["10.0.0.1:1"] != 5 || seen["10.0.0.2:1"] != 5 {
			t.Errorf("turns %v", seen)
		}
	})
}
