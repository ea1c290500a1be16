package envoy_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/egret-gateway/egret/engine"
	"github.com/egret-gateway/egret/envoy"
	"github.com/egret-gateway/egret/envoy/endpoint"
	"github.com/egret-gateway/egret/plan"
	"github.com/egret-gateway/egret/xds"
)

// outward is a gateway to a partner by HTTP/1.1 and HTTP/2: its port, the
// partner's, what both backends share, and the objects that are changed.
const outward = `
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {namespace: default, name: gw}
spec: {gatewayClassName: egret, listeners: [{name: http, port: %[1]d, protocol: HTTP}]}
---
apiVersion: ainetworking.prototype.x-k8s.io/v0alpha0
kind: XBackendDestination
metadata: {namespace: default, name: one}
spec:
  destination: {type: Fqdn, fqdn: {hostname: partner.example.com}, ports: [{number: %[2]d, protocol: HTTP, tls: {mode: Mutual, clientCertificateRef: {name: me}, caBundleRef: [{group: "", kind: ConfigMap, name: ca}]}}]}
  extensions: [{name: key, type: "gateway.networking.k8s.io/CredentialInjector:v1", rawConfig: {secretRef: {name: key, key: key}}}]
---
apiVersion: ainetworking.prototype.x-k8s.io/v0alpha0
kind: XBackendDestination
metadata: {namespace: default, name: two}
spec:
  destination: {type: Fqdn, fqdn: {hostname: partner.example.com}, ports: [{number: %[2]d, protocol: HTTP2, tls: {mode: Mutual, clientCertificateRef: {name: me}, caBundleRef: [{group: "", kind: ConfigMap, name: ca}]}}]}
  extensions: [{name: key, type: "gateway.networking.k8s.io/CredentialInjector:v1", rawConfig: {secretRef: {name: key, key: key}}}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {namespace: default, name: r}
spec:
  parentRefs: [{name: gw}]
  rules:
  - backendRefs:
    - {group: ainetworking.prototype.x-k8s.io, kind: Backend, name: one, port: %[2]d, weight: 1}
    - {group: ainetworking.prototype.x-k8s.io, kind: Backend, name: two, port: %[2]d, weight: 1}
---
apiVersion: v1
kind: Secret
metadata: {namespace: default, name: key}
stringData: {key: %[3]s}
---
apiVersion: v1
kind: Secret
metadata: {namespace: default, name: me}
type: kubernetes.io/tls
stringData: {tls.crt: %[4]s, tls.key: %[5]s}
---
apiVersion: v1
kind: ConfigMap
metadata: {namespace: default, name: ca}
data: {ca.crt: %[6]s}
`

// wanting is a server who wants a key and a client's certificate.
type wanting struct {
	show    atomic.Pointer[tls.Certificate]
	clients atomic.Pointer[x509.CertPool]
	keys    atomic.Pointer[string] // that are taken, with spaces between
	leaving sync.Map               // local addresses that are about to go away
	calls   atomic.Int64
	end     chan struct{} // closed: streams end

	mu   sync.Mutex
	seen map[string]int // answered calls, by what they came with
}

func (s *wanting) trust(ps ...*partner) {
	pool := x509.NewCertPool()
	for _, p := range ps {
		pool.AddCert(p.crt)
	}
	s.clients.Store(pool)
}

func (s *wanting) listen(t *testing.T, at string) (*http.Server, *net.TCPAddr) {
	t.Helper()
	l, err := net.Listen("tcp", at)
	if err != nil {
		t.Fatal(err)
	}
	protocols := []string{"h2", "http/1.1"}
	server := &http.Server{Handler: s, ErrorLog: log.New(io.Discard, "", 0), TLSConfig: &tls.Config{NextProtos: protocols, GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
		return &tls.Config{
			Certificates: []tls.Certificate{*s.show.Load()}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: s.clients.Load(),
			NextProtos: protocols, SessionTicketsDisabled: true,
		}, nil
	}}}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = server.ServeTLS(l, "", "")
	}()
	t.Cleanup(func() {
		server.Close()
		<-ended
	})
	return server, l.Addr().(*net.TCPAddr)
}

// recycled is after how many calls a connection is ended, as servers do.
const recycled = 40

func (s *wanting) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	at := r.Context().Value(http.LocalAddrContextKey).(net.Addr).String()
	if _, is := s.leaving.Load(at); is || s.calls.Add(1)%recycled == 0 {
		w.Header().Set("Connection", "close") // GOAWAY in HTTP/2
	}
	key := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !strings.Contains(" "+*s.keys.Load()+" ", " "+key+" ") {
		http.Error(w, "the key "+key+" is not taken", http.StatusUnauthorized)
		return
	}
	s.mu.Lock()
	for _, what := range []string{"key " + key, "client " + r.TLS.PeerCertificates[0].DNSNames[0], "at " + at, r.Proto} {
		s.seen[what]++
	}
	s.mu.Unlock()
	if r.URL.Path != "/stream" {
		_, _ = io.WriteString(w, "{}")
		return
	}
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for n := 0; ; n++ {
		fmt.Fprintf(w, "%d\n", n)
		_ = http.NewResponseController(w).Flush()
		select {
		case <-tick.C:
		case <-r.Context().Done():
			return
		case <-s.end:
			_, _ = io.WriteString(w, "end\n")
			return
		}
	}
}

// count is how many calls came with something: "key k", "client c", "at a", a protocol.
func (s *wanting) count(what string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.seen[what]
}

// more waits until so many further calls came with something.
func (s *wanting) more(t *testing.T, what string, enough int) {
	t.Helper()
	before, tick, late := s.count(what), time.NewTicker(10*time.Millisecond), time.After(patience)
	defer tick.Stop()
	for s.count(what) < before+enough {
		select {
		case <-tick.C:
		case <-late:
			t.Fatalf("%d calls come with %s", s.count(what), what)
		}
	}
}

// crowd is who calls a gateway.
type crowd struct {
	t             *testing.T
	base          string
	client        *http.Client
	group         sync.WaitGroup
	calls, failed atomic.Int64
}

// fail counts a failure, and tells the first ones.
func (c *crowd) fail(format string, args ...any) {
	if c.failed.Add(1) <= 5 {
		c.t.Errorf(format, args...)
	}
}

// open opens streams, which are read to their end.
func (c *crowd) open(streams int) {
	opened := make(chan struct{}, streams)
	for range streams {
		c.group.Go(func() { c.stream(opened) })
	}
	for range streams {
		<-opened
	}
}

// stream reads a stream, of which nothing may be missing.
func (c *crowd) stream(opened chan<- struct{}) {
	res, err := c.client.Get(c.base + "/stream")
	opened <- struct{}{}
	if err != nil {
		c.fail("a stream: %v", err)
		return
	}
	defer res.Body.Close()
	n := 0
	for lines := bufio.NewScanner(res.Body); lines.Scan(); n++ {
		switch line := lines.Text(); line {
		case fmt.Sprint(n):
		case "end":
			return
		default:
			c.fail("piece %d of a stream (%d) is %q", n, res.StatusCode, line)
			return
		}
	}
	c.fail("a stream (%d) broke off after %d pieces", res.StatusCode, n)
}

// pace begins so many calls a second until ctx ends, and does not wait for them.
func (c *crowd) pace(ctx context.Context, rate int) {
	tick := time.NewTicker(time.Second / time.Duration(rate))
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			c.group.Go(c.call)
		}
	}
}

func (c *crowd) call() {
	c.calls.Add(1)
	res, err := c.client.Post(c.base+"/v1/chat/completions", "application/json", strings.NewReader(`{"model":"m","messages":[]}`))
	if err != nil {
		c.fail("a call: %v", err)
		return
	}
	defer res.Body.Close()
	if b, err := io.ReadAll(res.Body); res.StatusCode != http.StatusOK || string(b) != "{}" || err != nil {
		c.fail("a call: %d %s %v", res.StatusCode, b, err)
	}
}

// TestRotationUnderLoad changes all that a way out depends on while 300
// requests a second and 50 streams pass a real Envoy: nobody notices.
func TestRotationUnderLoad(t *testing.T) {
	const rate, streams, enough, host = 300 / gentle, 50 / gentle, 100 / gentle, "partner.example.com"
	first, second := newPartner(t, "first"), newPartner(t, "second")
	s := &wanting{seen: map[string]int{}, end: make(chan struct{})}
	show := func(p *partner) {
		crt := p.issue(t, host)
		s.show.Store(&crt)
	}
	take := func(keys string) { s.keys.Store(&keys) }
	show(first)
	take("sk-one")
	s.trust(first)
	old, at := s.listen(t, "127.0.0.1:0")
	_, next := s.listen(t, fmt.Sprint("127.0.0.2:", at.Port))
	var leads atomic.Pointer[net.TCPAddr]
	leads.Store(at)

	port, compiler := freePort(t), newCompiler(t)
	clients := map[string]tls.Certificate{"one": first.issue(t, "one"), "two": second.issue(t, "two")}
	build := func(key, client string, bundle ...*partner) *plan.Plan {
		t.Helper()
		der, err := x509.MarshalPKCS8PrivateKey(clients[client].PrivateKey)
		if err != nil {
			t.Fatal(err)
		}
		var cas []byte
		for _, p := range bundle {
			cas = append(cas, pemOf("CERTIFICATE", p.crt.Raw)...)
		}
		text := func(b []byte) string { q, _ := json.Marshal(string(b)); return string(q) }
		return compiler.plan(fmt.Appendf(nil, outward, port, at.Port, key, text(pemOf("CERTIFICATE", clients[client].Certificate[0])), text(pemOf("PRIVATE KEY", der)), text(cas))).For(gatewayName)
	}
	users := &crowd{t: t, base: fmt.Sprintf("http://127.0.0.1:%d", port), client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 500}}}
	defer users.client.CloseIdleConnections()
	lookup := func(context.Context, string) ([]netip.Addr, error) {
		return []netip.Addr{leads.Load().AddrPort().Addr()}, nil
	}
	p := build("sk-one", "one", first)
	socket, load := besideOf(t, p, endpoint.Options{Lookup: lookup, Every: 100 * time.Millisecond}, func(r *engine.Record) {
		if r.Status != http.StatusOK {
			users.fail("record: %d %s %s", r.Status, r.Code, r.Reason)
		}
	})
	c, turn := newXDS(t), 0
	put := func(p *plan.Plan) string {
		turn++
		set := xds.NewSet(envoy.Types, envoy.Translate(p, gatewayName, envoy.Options{}))
		set.ID, set.Gate = fmt.Sprint(turn), envoy.Gate
		c.server.Put(nodeID, set)
		return set.ID
	}
	serve := func(p *plan.Plan) {
		t.Helper()
		load(p)
		c.acknowledgedTypes(t, put(p), len(envoy.Types)-1)
	}
	id := put(p)
	c.envoyBeside(t, socket)
	c.acknowledgedTypes(t, id, len(envoy.Types)-1)

	users.open(streams)
	ctx, stop := context.WithCancel(t.Context())
	begun := time.Now()
	users.group.Go(func() { users.pace(ctx, rate) })
	more := func(what string) {
		t.Helper()
		s.more(t, what, enough)
	}
	more("key sk-one")
	t.Run("gateway-108 a key is rotated", func(t *testing.T) {
		take("sk-one sk-two")
		serve(build("sk-two", "one", first))
		more("key sk-two")
		take("sk-two")
		more("key sk-two")
	})
	t.Run("gateway-90 gateway-96 the client's certificate is renewed, by another authority", func(t *testing.T) {
		s.trust(first, second)
		serve(build("sk-two", "two", first))
		more("client two")
		s.trust(second)
		more("client two")
	})
	t.Run("gateway-96 the server's certificate is renewed, and its authority replaced", func(t *testing.T) {
		serve(build("sk-two", "two", first, second))
		show(second)
		serve(build("sk-two", "two", second))
		more("client two")
	})
	t.Run("the name leads elsewhere, and the server that was there goes away", func(t *testing.T) {
		leads.Store(next)
		more("at " + next.String())
		s.leaving.Store(at.String(), true)
		for before := -1; before != s.count("at "+at.String()); {
			before = s.count("at " + at.String())
			more("at " + next.String())
		}
		gone := make(chan error, 1)
		go func() { gone <- old.Shutdown(t.Context()) }()
		more("at " + next.String())
		close(s.end)
		if err := <-gone; err != nil {
			t.Errorf("the old server has not ended: %v", err)
		}
		more("at " + next.String())
	})
	took := time.Since(begun)
	stop()
	users.group.Wait()
	if n := users.failed.Load(); n > 0 {
		t.Errorf("%d failures", n)
	}
	calls := users.calls.Load()
	for _, protocol := range []string{"HTTP/1.1", "HTTP/2.0"} {
		if s.count(protocol) < int(calls/4) {
			t.Errorf("%d of %d calls by %s", s.count(protocol), calls, protocol)
		}
	}
	if want := int64(float64(rate) * took.Seconds() * 3 / 4); calls < want {
		t.Errorf("%d calls in %v, want %d at least: the machine is too slow for this test to mean something", calls, took, want)
	}
	t.Logf("%d calls in %v beside %d streams", calls, took, streams)
}
