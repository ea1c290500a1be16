package proxy

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/netip"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/egret-gateway/egret/engine"
	"github.com/egret-gateway/egret/plan"
	"github.com/egret-gateway/egret/policy/quota"
	"github.com/egret-gateway/egret/provider"
)

const gateway = "ns/gw"

// TestMain fails when goroutines of the plane outlive the tests.
func TestMain(m *testing.M) {
	code := m.Run()
	if left := lingering(10 * time.Second); code == 0 && left != "" {
		fmt.Println("goroutines that outlive the tests:\n" + left)
		code = 1
	}
	os.Exit(code)
}

// lingering waits until no goroutine of a connection is left, and returns
// those that are when the time is over.
func lingering(limit time.Duration) (left string) {
	tick, end := time.NewTicker(10*time.Millisecond), time.After(limit)
	defer tick.Stop()
	for {
		left = ""
		buf := make([]byte, 4<<20)
		for g := range strings.SplitSeq(string(buf[:runtime.Stack(buf, true)]), "\n\n") {
			if strings.Contains(g, "net/http.") || strings.Contains(g, "egret/proxy.(") {
				left += g + "\n\n"
			}
		}
		if left == "" {
			return ""
		}
		select {
		case <-tick.C:
		case <-end:
			return left
		}
	}
}

// draft builds a plan for gateway "ns/gw".
type draft struct{ plan.Plan }

func newDraft() *draft { return &draft{} }

// listener adds one on a port, without routes.
func (d *draft) listener(number int32, name, host string, tls ...string) *draft {
	l := plan.Listener{Name: name, Host: host}
	if len(tls) > 0 {
		l.TLS = &plan.ServerTLS{Certificates: tls}
	}
	domain := host
	if domain == "" {
		domain = "*"
	}
	l.VHosts = []plan.VHost{{Domain: domain}}
	for i := range d.Ports {
		if d.Ports[i].Number == number {
			d.Ports[i].Listeners = append(d.Ports[i].Listeners, l)
			return d
		}
	}
	d.Ports = append(d.Ports, plan.Port{Gateway: gateway, Number: number, TLS: len(tls) > 0, Listeners: []plan.Listener{l}})
	return d
}

// route adds an entry and its rule to a listener.
func (d *draft) route(listener string, m plan.Match, b plan.Backend, tweaks ...func(*plan.Rule)) *draft {
	r := plan.Rule{
		Name: "ns/route/" + strconv.Itoa(len(d.Rules)), Route: "ns/route",
		Targets:  []plan.Target{{Backend: b.Name, Weight: 1}},
		Timeouts: plan.Timeouts{Request: plan.DefaultRequestTimeout, Idle: plan.DefaultIdleTimeout},
	}
	for _, tweak := range tweaks {
		tweak(&r)
	}
	d.Rules = append(d.Rules, r)
	known := false
	for i := range d.Backends {
		known = known || d.Backends[i].Name == b.Name
	}
	if !known {
		d.Backends = append(d.Backends, b)
	}
	for i := range d.Ports {
		for j := range d.Ports[i].Listeners {
			if l := &d.Ports[i].Listeners[j]; l.Name == listener {
				v := &l.VHosts[0]
				v.Entries = append(v.Entries, plan.Entry{ID: "e" + strconv.Itoa(len(v.Entries)), Match: m, Rule: r.Name})
			}
		}
	}
	return d
}

func (d *draft) secret(name string, kind plan.SecretKind, items ...string) *draft {
	s := plan.Secret{Name: name, Kind: kind, Digest: plan.Digest(items)}
	for i := 0; i < len(items); i += 2 {
		s.Data = append(s.Data, plan.Item{Key: items[i], Value: plan.Bytes(items[i+1])})
	}
	d.Secrets = append(d.Secrets, s)
	return d
}

// simple is a plan with one listener for any host and one backend for all.
func simple(b plan.Backend, tweaks ...func(*plan.Rule)) *draft {
	return newDraft().listener(80, "http", "").route("http", prefix("/"), b, tweaks...)
}

func prefix(p string) plan.Match {
	return plan.Match{Path: plan.PathMatch{Kind: plan.PathPrefix, Value: p}}
}

func exact(p string) plan.Match {
	return plan.Match{Path: plan.PathMatch{Kind: plan.PathExact, Value: p}}
}

// timeout writes a rule's time-out explicitly; negative is 0s: none.
func timeout(d time.Duration) func(*plan.Rule) {
	return func(r *plan.Rule) { r.Timeouts = plan.Timeouts{Request: d, Explicit: true} }
}

// rig is a server with backends, all on loopback or all in memory.
type rig struct {
	testing.TB
	inMemory bool
	server   *Server
	pool     *provider.Pool
	records  chan engine.Record
	log      *syncBuffer
	buggy    atomic.Bool   // every request panics
	ledger   time.Duration // that a record takes
	client   *http.Client

	mu       sync.Mutex
	services map[string]*Memory
	front    *Memory // of the first port, in memory

	upstream, downstream writes // in memory: to backends, to clients
}

// outside is a listener in memory that counts as one that everybody reaches.
type outside struct {
	net.Listener
	by *writes
}

func (o outside) Accept() (net.Conn, error) {
	c, err := o.Listener.Accept()
	return counted{c, o.by}, err
}

func newRig(t testing.TB, inMemory bool, tweaks ...func(*engine.Deps)) *rig {
	r := &rig{TB: t, inMemory: inMemory, records: make(chan engine.Record, 4096), log: &syncBuffer{}, services: map[string]*Memory{}}
	log := slog.New(slog.NewTextHandler(r.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	dialer := &provider.Dialer{Memory: r.dialService, Guard: func(netip.Addr) error { return nil }}
	dialer.Gateway = func(ctx context.Context, g string, port int32) (net.Conn, error) { return r.server.Dial(ctx, g, port) }
	r.pool = provider.NewPool(dialer)
	deps := engine.Deps{
		Limiter: quota.NewMemory(quota.Options{}), Now: time.Now, NewID: r.newID, Random: func(int64) int64 { return 0 }, Log: log,
		Record: func(x *engine.Record) {
			time.Sleep(r.ledger)
			select {
			case r.records <- *x:
			default: // nobody counts
			}
		},
	}
	for _, tweak := range tweaks {
		tweak(&deps)
	}
	r.server = New(Options{Engine: engine.New(deps), Pool: r.pool, Listen: r.listen, Drain: 5 * time.Second, Log: log})
	r.client = &http.Client{
		Transport:     r.transport(nil),
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	t.Cleanup(func() {
		r.client.CloseIdleConnections()
		r.server.Shutdown()
		r.pool.Close()
	})
	return r
}

// transport reaches the rig's first port whatever host is asked for.
func (r *rig) transport(change func(*http.Transport)) *http.Transport {
	t := &http.Transport{
		DialContext:        func(ctx context.Context, _, _ string) (net.Conn, error) { return r.reach(ctx) },
		DisableCompression: true, MaxIdleConnsPerHost: 256,
	}
	if change != nil {
		change(t)
	}
	r.Cleanup(t.CloseIdleConnections)
	return t
}

func (r *rig) reach(ctx context.Context) (net.Conn, error) {
	if r.inMemory {
		return r.front.Dial(ctx)
	}
	return r.server.Dial(ctx, gateway, 80)
}

func (r *rig) listen(gateway string, p *plan.Port) (net.Listener, error) {
	if r.inMemory {
		m := NewMemory(gateway + ":" + strconv.Itoa(int(p.Number)))
		if r.front == nil {
			r.front = m
		}
		return outside{m, &r.downstream}, nil
	}
	return net.Listen("tcp", "127.0.0.1:0")
}

func (r *rig) dialService(ctx context.Context, host string, port int32) (net.Conn, bool, error) {
	r.mu.Lock()
	m := r.services[host]
	r.mu.Unlock()
	if m == nil {
		return nil, false, nil
	}
	c, err := m.Dial(ctx)
	return counted{c, &r.upstream}, true, err
}

// writes are how often, and what, a connection was written.
type writes struct {
	mu  sync.Mutex
	all []string
}

type counted struct {
	net.Conn
	by *writes
}

func (w *writes) take() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	all := w.all
	w.all = nil
	return all
}

func (c counted) Write(b []byte) (int, error) {
	c.by.mu.Lock()
	c.by.all = append(c.by.all, string(b))
	c.by.mu.Unlock()
	return c.Conn.Write(b)
}

// at opens a listener for a backend and says how the plan names it.
func (r *rig) at(name string) (net.Listener, plan.Backend) {
	b := plan.Backend{Name: name, Object: "XBackendDestination ns/" + name, Protocol: plan.HTTP, AskUsage: true}
	if r.inMemory {
		m := NewMemory(name)
		r.mu.Lock()
		r.services[name] = m
		r.mu.Unlock()
		b.Host, b.Port = name, 80
		return m, b
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		r.Fatal(err)
	}
	a := l.Addr().(*net.TCPAddr)
	b.Host, b.Port = a.IP.String(), int32(a.Port)
	return l, b
}

// backend serves a handler over HTTP/1.1 and h2c.
func (r *rig) backend(name string, h http.HandlerFunc) plan.Backend {
	l, b := r.at(name)
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	s := &http.Server{Handler: h, Protocols: &protocols, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug)}
	go s.Serve(l)
	r.Cleanup(func() { s.Close() })
	return b
}

// raw gives each connection to do, which speaks for itself.
func (r *rig) raw(name string, do func(net.Conn, *bufio.Reader)) plan.Backend {
	l, b := r.at(name)
	var conns sync.WaitGroup
	conns.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			conns.Go(func() {
				defer c.Close()
				do(c, bufio.NewReader(c))
			})
		}
	})
	r.Cleanup(func() {
		l.Close()
		r.pool.Close()
		conns.Wait()
	})
	return b
}

func (r *rig) apply(d *draft) {
	r.Helper()
	if err := r.server.Apply(context.Background(), &d.Plan); err != nil {
		r.Fatal(err)
	}
}

// dial opens a connection to the rig to be written by hand.
func (r *rig) dial() net.Conn {
	r.Helper()
	c, err := r.reach(context.Background())
	if err != nil {
		r.Fatal(err)
	}
	r.Cleanup(func() { c.Close() })
	return c
}

// send makes one call and reads the whole answer.
func (r *rig) send(method, url, body string, header ...string) (*http.Response, string) {
	r.Helper()
	req, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		r.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Add(header[i], header[i+1])
	}
	res, err := r.client.Do(req)
	if err != nil {
		r.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		r.Fatal(err)
	}
	return res, string(b)
}

// record is the next one.
func (r *rig) record() engine.Record {
	r.Helper()
	select {
	case x := <-r.records:
		return x
	case <-time.After(10 * time.Minute):
		r.Fatal("no record")
		panic("unreachable")
	}
}

// readRequest takes one request off a raw connection.
func readRequest(b *bufio.Reader) (*http.Request, string) {
	req, err := http.ReadRequest(b)
	if err != nil {
		return nil, ""
	}
	body, _ := io.ReadAll(req.Body)
	return req, string(body)
}

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(b)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

func (r *rig) newID() string {
	if r.buggy.Load() {
		panic("BUG: found by a test")
	}
	var b [16]byte
	rand.Read(b[:])
	return hex.EncodeToString(b[:])
}

// newCertificate is self-signed for names; it verifies itself.
func newCertificate(t testing.TB, names ...string) (crt, key string) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	serial, _ := rand.Int(rand.Reader, big.NewInt(1<<62))
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: names[0]}, DNSNames: names,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &k.PublicKey, k)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})), string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}))
}

// trusting is a client's TLS that trusts one certificate.
func trusting(crt, name string) *tls.Config {
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM([]byte(crt))
	return &tls.Config{RootCAs: roots, ServerName: name}
}
