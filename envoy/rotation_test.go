package envoy_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"

	"github.com/egret-gateway/egret/engine"
	"github.com/egret-gateway/egret/envoy"
	"github.com/egret-gateway/egret/envoy/endpoint"
	"github.com/egret-gateway/egret/envoy/extproc"
	"github.com/egret-gateway/egret/plan"
	"github.com/egret-gateway/egret/policy/auth"
	"github.com/egret-gateway/egret/xds"
)

// partner is an authority, what it issued to a server and to a client, and
// what it takes back.
type partner struct {
	key *ecdsa.PrivateKey
	crt *x509.Certificate
}

func newPartner(t *testing.T, name string) *partner {
	key, crt := newCertificate(t, nil, nil, &x509.Certificate{
		Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	})
	return &partner{key, crt}
}

func (p *partner) issue(t *testing.T, name string) tls.Certificate {
	key, crt := newCertificate(t, p.key, p.crt, &x509.Certificate{Subject: pkix.Name{CommonName: name}, DNSNames: []string{name}, KeyUsage: x509.KeyUsageDigitalSignature})
	return tls.Certificate{Certificate: [][]byte{crt.Raw}, PrivateKey: key, Leaf: crt}
}

func (p *partner) list(t *testing.T, serials ...*big.Int) []byte {
	l := &x509.RevocationList{Number: big.NewInt(1), ThisUpdate: time.Now().Add(-time.Hour), NextUpdate: time.Now().Add(time.Hour)}
	for _, n := range serials {
		l.RevokedCertificateEntries = append(l.RevokedCertificateEntries, x509.RevocationListEntry{SerialNumber: n, RevocationTime: time.Now()})
	}
	der, err := x509.CreateRevocationList(rand.Reader, l, p.crt, p.key)
	if err != nil {
		t.Fatal(err)
	}
	return pemOf("X509 CRL", der)
}

func pemOf(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

// TestRotation: a real Envoy takes up what is changed in Secrets for its next
// connections, and goes on with what is open.
func TestRotation(t *testing.T) {
	t.Parallel()
	const host = "partner.example.com"
	first, second := newPartner(t, "first"), newPartner(t, "second")
	servers := []tls.Certificate{first.issue(t, host), second.issue(t, host)}
	clients := []tls.Certificate{first.issue(t, "one.example.com"), first.issue(t, "two.example.com")}
	var now, calls atomic.Int32
	more := make(chan string)
	upstream := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		calls.Add(1)
		fmt.Fprint(w, r.TLS.PeerCertificates[0].DNSNames[0])
		http.NewResponseController(w).Flush()
		if r.URL.Path == "/stream" {
			fmt.Fprint(w, <-more)
		}
	}))
	upstream.Config.ErrorLog = log.New(io.Discard, "", 0)
	upstream.Config.SetKeepAlivesEnabled(false) // each request has a connection of its own
	upstream.TLS = &tls.Config{ClientAuth: tls.RequireAnyClientCert, GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return &servers[now.Load()], nil }}
	upstream.StartTLS()
	defer upstream.Close()

	port := freePort(t)
	build := func(ca *partner, client tls.Certificate, list []byte) *plan.Plan {
		key, err := x509.MarshalPKCS8PrivateKey(client.PrivateKey)
		if err != nil {
			t.Fatal(err)
		}
		p := routesOf([]string{"/.*"})
		p.Ports[0].Number = int32(port)
		p.Backends = []plan.Backend{{
			Name: "b", Protocol: plan.HTTP, Host: host, Port: 443, Authority: host,
			TLS: &plan.ClientTLS{SNI: host, CAs: []string{"ca"}, CRLs: []string{"crl"}, Identity: "me"},
		}}
		p.Rules = []plan.Rule{{Name: "r", Route: "default/r", Targets: []plan.Target{{Backend: "b", Weight: 1}}}}
		for i := range p.Ports[0].Listeners[0].VHosts[0].Entries {
			p.Ports[0].Listeners[0].VHosts[0].Entries[i].Rule = "r"
		}
		p.Secrets = []plan.Secret{
			{Name: "ca", Kind: plan.SecretCA, Data: []plan.Item{{Key: "ca.crt", Value: pemOf("CERTIFICATE", ca.crt.Raw)}}},
			{Name: "crl", Kind: plan.SecretCRL, Data: []plan.Item{{Key: "ca.crl", Value: list}}},
			{Name: "me", Kind: plan.SecretTLS, Data: []plan.Item{{Key: "tls.crt", Value: pemOf("CERTIFICATE", client.Certificate[0])}, {Key: "tls.key", Value: pemOf("PRIVATE KEY", key)}}},
		}
		return p
	}
	records := make(chan engine.Record, 10)
	socket := beside(t, build(first, clients[0], first.list(t)), upstream.Listener.Addr().String(), records)
	c := newXDS(t)
	turn := 0
	serve := func(p *plan.Plan) {
		t.Helper()
		turn++
		s := xds.NewSet(envoy.Types, envoy.Translate(p, gatewayName, envoy.Options{}))
		s.ID, s.Gate = fmt.Sprint(turn), envoy.Gate
		c.server.Put(nodeID, s)
		c.acknowledgedTypes(t, s.ID, len(envoy.Types)-1) // the addresses come from beside
	}
	p := build(first, clients[0], first.list(t))
	s := xds.NewSet(envoy.Types, envoy.Translate(p, gatewayName, envoy.Options{}))
	s.ID, s.Gate = "0", envoy.Gate
	c.server.Put(nodeID, s)
	c.envoyBeside(t, socket)
	c.acknowledgedTypes(t, "0", len(envoy.Types)-1)

	ask := func(path string) *http.Response {
		t.Helper()
		req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, fmt.Sprintf("http://127.0.0.1:%d%s", port, path), nil)
		req.Header.Set("X-Api-Key", "sk-secret")
		res, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		return res
	}
	expect := func(t *testing.T, status int, client, why string) {
		t.Helper()
		before := calls.Load()
		res := ask("/")
		defer res.Body.Close()
		body, _ := io.ReadAll(res.Body)
		r := <-records
		if res.StatusCode != status || status == 200 && string(body) != client || !strings.Contains(r.Reason, why) {
			t.Errorf("%d %s, reason %q; want %d %s %q", res.StatusCode, body, r.Reason, status, client, why)
		}
		if status != 200 && calls.Load() != before {
			t.Error("the server was asked")
		}
	}
	stream := ask("/stream")
	defer stream.Body.Close()
	expect(t, 200, "one.example.com", "")
	t.Run("gateway-96 a client certificate is renewed", func(t *testing.T) {
		serve(build(first, clients[1], first.list(t)))
		expect(t, 200, "two.example.com", "")
	})
	t.Run("gateway-96 gateway-111 the server's certificate is revoked", func(t *testing.T) {
		serve(build(first, clients[1], first.list(t, servers[0].Leaf.SerialNumber)))
		expect(t, 502, "", "certificate")
	})
	t.Run("gateway-96 the server's authority is replaced", func(t *testing.T) {
		now.Store(1)
		serve(build(second, clients[1], second.list(t)))
		expect(t, 200, "two.example.com", "")
	})
	t.Run("gateway-96 what was open stays open", func(t *testing.T) {
		more <- " and more"
		if body, err := io.ReadAll(stream.Body); string(body) != "one.example.com and more" {
			t.Errorf("%q, %v", body, err)
		}
	})
}

// beside runs the engine as it is in an Envoy's pod, and returns its socket.
func beside(t *testing.T, p *plan.Plan, upstream string, records chan<- engine.Record) string {
	t.Helper()
	socket, _ := besideOf(t, p, endpoint.Options{Names: func(string, int32) (string, bool) { return upstream, true }}, func(r *engine.Record) { records <- *r })
	return socket
}

// besideOf is beside with what names lead to, and how to load another plan.
func besideOf(t *testing.T, p *plan.Plan, o endpoint.Options, record func(*engine.Record)) (socket string, load func(*plan.Plan)) {
	t.Helper()
	e := engine.New(engine.Deps{
		Auth: auth.Deps{Caches: auth.NewCaches(), Now: time.Now, Log: slog.New(slog.DiscardHandler)}, Now: time.Now,
		Record: record, NewID: func() string { return fmt.Sprintf("%032x", time.Now().UnixNano()) },
		Random: func(int64) int64 { return 0 }, Log: slog.New(slog.DiscardHandler), Routed: true,
	})
	where := endpoint.New(o)
	processor := extproc.New(extproc.Options{Engine: e, Drain: time.Nanosecond, Register: []func(grpc.ServiceRegistrar){where.Register}})
	load = func(p *plan.Plan) {
		t.Helper()
		where.Load(p)
		if err := processor.Load(p); err != nil {
			t.Fatal(err)
		}
	}
	load(p)
	socket = filepath.Join(t.TempDir(), "extproc.sock")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = where.Run(ctx) })
	running.Go(func() { processor.Run(ctx, l) })
	t.Cleanup(func() {
		cancel()
		running.Wait()
	})
	return socket, load
}
