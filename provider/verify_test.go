package provider

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/egret-gateway/egret/plan"
)

// issuer is an authority that can take back what it issued.
type issuer struct {
	t   *testing.T
	crt *x509.Certificate
	key *ecdsa.PrivateKey
	n   int64
}

func newIssuer(t *testing.T, name string, use x509.KeyUsage) *issuer {
	i := &issuer{t: t, n: 1}
	i.key, _ = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	crt := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: use,
	}
	der, err := x509.CreateCertificate(rand.Reader, crt, crt, &i.key.PublicKey, i.key)
	if err != nil {
		t.Fatal(err)
	}
	i.crt, _ = x509.ParseCertificate(der)
	return i
}

func (i *issuer) pem() string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: i.crt.Raw}))
}

// issue makes a certificate; edit may spoil it.
func (i *issuer) issue(name string, edit func(*x509.Certificate)) tls.Certificate {
	i.n++
	key, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	crt := &x509.Certificate{
		SerialNumber: big.NewInt(i.n), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name}, NotBefore: i.crt.NotBefore, NotAfter: i.crt.NotAfter,
		BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature,
	}
	if edit != nil {
		edit(crt)
	}
	der, err := x509.CreateCertificate(rand.Reader, crt, i.crt, &key.PublicKey, i.key)
	if err != nil {
		i.t.Fatal(err)
	}
	leaf, _ := x509.ParseCertificate(der)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

// list is what the issuer takes back, in force between two times from now.
func (i *issuer) list(from, to time.Duration, serials ...*big.Int) string {
	l := &x509.RevocationList{Number: big.NewInt(1), ThisUpdate: time.Now().Add(from), NextUpdate: time.Now().Add(to)}
	for _, n := range serials {
		l.RevokedCertificateEntries = append(l.RevokedCertificateEntries, x509.RevocationListEntry{SerialNumber: n, RevocationTime: time.Now()})
	}
	signs := *i.crt
	signs.KeyUsage |= x509.KeyUsageCRLSign
	der, err := x509.CreateRevocationList(rand.Reader, l, &signs, i.key)
	if err != nil {
		i.t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: der}))
}

const signsAll = x509.KeyUsageCertSign | x509.KeyUsageCRLSign

// recorder is a server that remembers all bytes that reach it, as they are on
// the wire and out of TLS, and answers nothing.
type recorder struct {
	net.Listener
	mu        sync.Mutex
	raw, said []byte
	done      chan struct{} // one for each connection that ended
}

func newRecorder(t *testing.T, config *tls.Config) *recorder {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &recorder{Listener: l, done: make(chan struct{}, 10)}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go r.serve(c, config)
		}
	}()
	return r
}

func (r *recorder) serve(c net.Conn, config *tls.Config) {
	defer func() { r.done <- struct{}{} }()
	defer c.Close()
	tapped := &tap{Conn: c, of: r}
	var said []byte
	if config == nil {
		io.WriteString(c, "220 mail.example.com ESMTP\r\n")
		io.ReadAll(tapped)
	} else {
		said, _ = io.ReadAll(tls.Server(tapped, config))
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.said = append(r.said, said...)
}

type tap struct {
	net.Conn
	of *recorder
}

func (t *tap) Read(b []byte) (int, error) {
	n, err := t.Conn.Read(b)
	t.of.mu.Lock()
	t.of.raw = append(t.of.raw, b[:n]...)
	t.of.mu.Unlock()
	return n, err
}

// TestNothingIsSent: a server that does not prove who it is gets the beginning
// of a handshake and not one byte of a request.
func TestNothingIsSent(t *testing.T) {
	ca := newIssuer(t, "ca", signsAll)
	const host, key = "api.example.com", "sk-very-secret"
	good := ca.issue(host, nil)
	revoked := ca.issue(host, nil)
	other := newIssuer(t, "other", signsAll).issue(host, nil)
	secrets := []plan.Secret{
		secret("ca", plan.SecretCA, "ca.crt", ca.pem()),
		secret("crl", plan.SecretCRL, "ca.crl", ca.list(-time.Hour, time.Hour, revoked.Leaf.SerialNumber)),
		secret("ended", plan.SecretCRL, "ca.crl", ca.list(-time.Hour, -time.Minute)),
	}
	serve := func(crt tls.Certificate) *tls.Config { return &tls.Config{Certificates: []tls.Certificate{crt}} }
	old := serve(good)
	old.MinVersion, old.MaxVersion = tls.VersionTLS10, tls.VersionTLS11
	trust := plan.ClientTLS{CAs: []string{"ca"}}
	f := func(name string, server *tls.Config, c plan.ClientTLS, want string) {
		t.Run(name, func(t *testing.T) {
			r := newRecorder(t, server)
			var names Mapping
			names.Set(host, 443, r.Addr().String())
			pool := NewPool(&Dialer{Names: names.Lookup})
			defer pool.Close()
			pl := &plan.Plan{Backends: []plan.Backend{{Name: "b", Protocol: plan.HTTP, Host: host, Port: 443, TLS: &c}}, Secrets: secrets}
			pool.Load(pl)
			to, scheme, address, err := pool.Links().Target(&pl.Backends[0])
			if err != nil {
				t.Fatal(err)
			}
			req, _ := http.NewRequestWithContext(t.Context(), "POST", scheme+"://"+address+"/secret/path", strings.NewReader("secret body"))
			req.Header.Set("Authorization", "Bearer "+key)
			_, err = to.RoundTrip(req)
			if err == nil || !strings.Contains(err.Error(), want) || !Connecting(err) {
				t.Errorf("error %v, want a failure to connect: %q", err, want)
			}
			<-r.done
			r.mu.Lock()
			defer r.mu.Unlock()
			if len(r.said) > 0 {
				t.Errorf("the server was told %q", r.said)
			}
			for _, part := range []string{key, "secret", "POST", "HTTP/1.1\r\n"} {
				if bytes.Contains(r.raw, []byte(part)) {
					t.Errorf("%q is among the bytes", part)
				}
			}
			if len(r.raw) == 0 || r.raw[0] != 22 { // a record of a handshake (RFC 8446 5.1)
				t.Errorf("the first of %d bytes does not begin a handshake", len(r.raw))
			}
		})
	}
	f("gateway-87 signed by itself or by nobody that is known", serve(other), trust, "unknown authority")
	f("gateway-87 the system's authorities do not know it", serve(good), plan.ClientTLS{}, "unknown authority")
	f("gateway-87 for another name", serve(ca.issue("other.example.com", nil)), trust, "not api.example.com")
	f("gateway-87 its time is over", serve(ca.issue(host, func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) })), trust, "expired")
	f("gateway-87 no TLS at all", nil, trust, "does not look like a TLS handshake")
	f("gateway-89 none of the names", serve(good), plan.ClientTLS{CAs: trust.CAs, Names: []string{"a.example.com", "spiffe://x/y"}}, "spiffe://x/y")
	f("gateway-111 revoked", serve(revoked), plan.ClientTLS{CAs: trust.CAs, CRLs: []string{"crl"}}, "is revoked")
	f("gateway-111 revoked, with names", serve(revoked), plan.ClientTLS{CAs: trust.CAs, CRLs: []string{"crl"}, Names: []string{host}}, "is revoked")
	f("gateway-111 the list is of another day", serve(good), plan.ClientTLS{CAs: trust.CAs, CRLs: []string{"ended"}}, "ended at")
	f("gateway-111 another key than the pinned", serve(good), plan.ClientTLS{CAs: trust.CAs, Pins: []string{pin(revoked.Leaf)}}, "not one of those that are pinned")
	f("gateway-111 another key, where nothing else counts", serve(other), plan.ClientTLS{SkipVerify: true, Pins: []string{pin(good.Leaf)}}, "not one of those that are pinned")
	f("TLS 1.1", old, trust, "protocol version")
	f("TLS 1.2 where 1.3 is asked for", &tls.Config{Certificates: []tls.Certificate{good}, MaxVersion: tls.VersionTLS12}, plan.ClientTLS{CAs: trust.CAs, MinVersion: "1.3"}, "protocol version")
}

// TestRevocation: whose lists count.
// TestTurnedAway: a server that asks for a certificate and gets none says so,
// under TLS 1.3 when the request is already on its way.
func TestTurnedAway(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		t.Run(tls.VersionName(version), func(t *testing.T) {
			s := httptest.NewUnstartedServer(http.NotFoundHandler())
			s.TLS = &tls.Config{ClientAuth: tls.RequireAnyClientCert, MaxVersion: version}
			s.Config.ErrorLog = log.New(io.Discard, "", 0)
			s.StartTLS()
			defer s.Close()
			res, err := s.Client().Get(s.URL)
			if err == nil {
				t.Fatal(res.Status)
			}
			if alert := TurnedAway(fmt.Errorf("around: %w", err)); alert == nil || !strings.HasPrefix(alert.Error(), "remote error: tls: ") {
				t.Errorf("%v was not seen to be an alert (%v)", err, alert)
			}
		})
	}
	if err := TurnedAway(&net.OpError{Op: "read", Err: io.EOF}); err != nil {
		t.Error(err)
	}
}

func TestRevocation(t *testing.T) {
	ca, mute, twin := newIssuer(t, "ca", signsAll), newIssuer(t, "mute", x509.KeyUsageCertSign), newIssuer(t, "ca", signsAll)
	leaf := ca.issue("a.example.com", nil).Leaf
	f := func(name string, chain []*x509.Certificate, want string, lists ...string) {
		t.Run(name, func(t *testing.T) {
			s := secret("l", plan.SecretCRL, "ca.crl", strings.Join(lists, ""))
			r, err := newRevocation(&plan.ClientTLS{CRLs: []string{"l"}}, map[string]*plan.Secret{"l": &s})
			if err == nil {
				err = r.check(chain)
			}
			if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
				t.Errorf("error %v, want %q", err, want)
			}
		})
	}
	own := []*x509.Certificate{leaf, ca.crt}
	const hour = time.Hour
	on := leaf.SerialNumber
	f("not on it", own, "", ca.list(-hour, hour))
	f("on it", own, "is revoked", ca.list(-hour, hour, on))
	f("the newest in force counts", own, "", ca.list(-2*hour, hour, on), ca.list(-hour, hour))
	f("also when it is the first", own, "is revoked", ca.list(-hour, hour, on), ca.list(-2*hour, hour))
	f("one that is over does not", own, "", ca.list(-hour, -time.Minute, on), ca.list(-2*hour, hour))
	f("one that is not yet in force does not", own, "not in force before", ca.list(hour, 2*hour))
	f("the authority itself is on it", own, "is revoked", ca.list(-hour, hour, ca.crt.SerialNumber))
	f("of another authority", own, `no revocation list of "CN=ca"`, mute.list(-hour, hour))
	f("of another authority of that name", own, "ECDSA verification failure", twin.list(-hour, hour))
	f("of one that may not make any", []*x509.Certificate{mute.issue("a.example.com", nil).Leaf, mute.crt}, "revocation list of", mute.list(-hour, hour))
	f("none in it", own, "holds none in PEM", "")
	f("damaged", own, "revocation list l: x509", "-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n")
	t.Run("not there", func(t *testing.T) {
		if _, err := newRevocation(&plan.ClientTLS{CRLs: []string{"l"}}, nil); err == nil {
			t.Error("no error")
		}
	})
}

func TestNamesOfKinds(t *testing.T) {
	ca := newIssuer(t, "ca", signsAll)
	crt := ca.issue("api.example.com", func(c *x509.Certificate) {
		c.URIs, c.IPAddresses = []*url.URL{{Scheme: "spiffe", Host: "x", Path: "/y"}}, []net.IP{net.IPv4(10, 0, 0, 1)}
	}).Leaf
	f := func(want bool, names ...string) {
		t.Helper()
		if err := (&verifier{names: names}).named(crt); (err == nil) != want {
			t.Errorf("%q: %v, want %v", names, err, want)
		}
	}
	f(true, "spiffe://x/y")
	f(true, "nobody.example.com", "API.example.com")
	f(true, "10.0.0.1")
	f(false, "spiffe://x/z")
	f(false, "10.0.0.2", "example.com")
}

// TestRotation: what is changed in a Secret counts for the next connection, and
// what is open stays open.
func TestRotation(t *testing.T) {
	const host = "api.example.com"
	first, second := newIssuer(t, "first", signsAll), newIssuer(t, "second", signsAll)
	crts := []tls.Certificate{first.issue(host, nil), second.issue(host, nil)}
	clients := []tls.Certificate{first.issue("one.example.com", nil), first.issue("two.example.com", nil)}
	var now atomic.Int32
	more := make(chan string)
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, r.TLS.PeerCertificates[0].DNSNames[0])
		http.NewResponseController(w).Flush()
		if r.URL.Path == "/stream" {
			fmt.Fprint(w, <-more)
		}
	}))
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.TLS = &tls.Config{ClientAuth: tls.RequireAnyClientCert, GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return &crts[now.Load()], nil }}
	s.StartTLS()
	defer s.Close()
	var names Mapping
	names.Set(host, 443, s.Listener.Addr().String())
	pool := NewPool(&Dialer{Names: names.Lookup})
	defer pool.Close()
	load := func(ca *issuer, client tls.Certificate, list string) *plan.Backend {
		key, _ := x509.MarshalPKCS8PrivateKey(client.PrivateKey)
		pl := &plan.Plan{
			Backends: []plan.Backend{{Name: "b", Protocol: plan.HTTP, Host: host, Port: 443, TLS: &plan.ClientTLS{CAs: []string{"ca"}, CRLs: []string{"crl"}, Identity: "me"}}},
			Secrets: []plan.Secret{
				secret("ca", plan.SecretCA, "ca.crt", ca.pem()), secret("crl", plan.SecretCRL, "ca.crl", list),
				secret("me", plan.SecretTLS, "tls.crt", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: client.Certificate[0]})),
					"tls.key", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}))),
			},
		}
		pool.Load(pl)
		return &pl.Backends[0]
	}
	ask := func(b *plan.Backend, path string) (*http.Response, error) {
		to, scheme, address, err := pool.Links().Target(b)
		if err != nil {
			t.Fatal(err)
		}
		req, _ := http.NewRequestWithContext(t.Context(), "GET", scheme+"://"+address+path, nil)
		return to.RoundTrip(req)
	}
	expect := func(t *testing.T, b *plan.Backend, client, refusal string) {
		t.Helper()
		res, err := ask(b, "/")
		if err != nil {
			if refusal == "" || !strings.Contains(err.Error(), refusal) {
				t.Errorf("error %v, want %q", err, refusal)
			}
			return
		}
		defer res.Body.Close()
		if body, _ := io.ReadAll(res.Body); string(body) != client || refusal != "" {
			t.Errorf("client %s, want %s or %q", body, client, refusal)
		}
	}
	const hour = time.Hour
	stream, err := ask(load(first, clients[0], first.list(-hour, hour)), "/stream")
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Body.Close()
	expect(t, load(first, clients[0], first.list(-hour, hour)), "one.example.com", "") // leaves an idle connection
	t.Run("gateway-96 a client certificate is renewed", func(t *testing.T) {
		expect(t, load(first, clients[1], first.list(-hour, hour)), "two.example.com", "")
	})
	t.Run("gateway-96 gateway-111 a certificate is revoked, whatever connections are kept", func(t *testing.T) {
		expect(t, load(first, clients[1], first.list(-hour, hour, crts[0].Leaf.SerialNumber)), "", "is revoked")
	})
	t.Run("gateway-96 the server's authority is replaced", func(t *testing.T) {
		now.Store(1)
		expect(t, load(second, clients[1], second.list(-hour, hour)), "two.example.com", "")
	})
	t.Run("gateway-96 what was open stays open", func(t *testing.T) {
		more <- " and more"
		if body, err := io.ReadAll(stream.Body); string(body) != "one.example.com and more" {
			t.Errorf("%q, %v", body, err)
		}
	})
}

func TestHTTP2IsAgreedTo(t *testing.T) {
	t.Run("gateway-93 a server that does not agree to HTTP/2 is told nothing", func(t *testing.T) {
		ca := newIssuer(t, "ca", signsAll)
		r := newRecorder(t, &tls.Config{Certificates: []tls.Certificate{ca.issue("localhost", nil)}})
		port := int32(r.Addr().(*net.TCPAddr).Port)
		pl := &plan.Plan{
			Backends: []plan.Backend{{Name: "b", Protocol: plan.HTTP2, Host: "localhost", Port: port, TLS: &plan.ClientTLS{CAs: []string{"ca"}}}},
			Secrets:  []plan.Secret{secret("ca", plan.SecretCA, "ca.crt", ca.pem())},
		}
		pool := NewPool(&Dialer{})
		defer pool.Close()
		pool.Load(pl)
		if _, err := get(t, pool.Links(), &pl.Backends[0]); err == nil || !strings.Contains(err.Error(), "does not agree to HTTP/2") || !Connecting(err) {
			t.Errorf("error %v", err)
		}
		<-r.done
		if len(r.said) > 0 {
			t.Errorf("the server was told %q", r.said)
		}
	})
}
