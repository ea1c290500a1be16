package envoy_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"

	"github.com/egret-gateway/egret/envoy"
	"github.com/egret-gateway/egret/feed/authority"
	"github.com/egret-gateway/egret/lab/envoybin"
	"github.com/egret-gateway/egret/plan"
	"github.com/egret-gateway/egret/xds"
)

const (
	gatewayName = "default/gw"
	nodeID      = "envoy-proxy-8f1b1b2f0a3c"
)

// shop has a port of HTTP with two listeners and one of HTTPS. Its rule leads
// to a Service, and to a name that nobody here resolves.
const shop = `
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {namespace: default, name: gw}
spec:
  gatewayClassName: egret
  listeners:
  - {name: named, port: %[1]d, protocol: HTTP, hostname: named.example.com}
  - {name: others, port: %[1]d, protocol: HTTP}
  - {name: secure, port: %[2]d, protocol: HTTPS, hostname: localhost, tls: {certificateRefs: [{name: pair}]}}
---
apiVersion: v1
kind: Secret
metadata: {namespace: default, name: pair}
type: kubernetes.io/tls
data: {tls.crt: %[3]s, tls.key: %[4]s}
---
apiVersion: v1
kind: Service
metadata: {namespace: default, name: web}
spec: {ports: [{name: a, port: 80}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {namespace: default, name: web-1, labels: {kubernetes.io/service-name: web}}
addressType: IPv4
endpoints: [{addresses: [10.0.0.2]}]
ports: [{name: a, port: 80}]
---
apiVersion: ainetworking.prototype.x-k8s.io/v0alpha0
kind: XBackendDestination
metadata: {namespace: default, name: far}
spec:
  destination: {type: Fqdn, fqdn: {hostname: far.example.com}, ports: [{number: 443, protocol: HTTP2, tls: {mode: Simple}}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {namespace: default, name: r}
spec:
  parentRefs: [{name: gw}]
  rules:
  - matches: [{path: {value: %[5]s}}]
    backendRefs:
    - {name: web, port: 80}
    - {name: far, port: 443, group: ainetworking.prototype.x-k8s.io, kind: XBackendDestination}
`

// TestServed: a real Envoy that knows no more than its bootstrap takes a
// gateway from the controller's server, serves it, refuses everything as long
// as the engine is away, and is sent nothing that it has.
func TestServed(t *testing.T) {
	t.Parallel()
	plain, secure, pair := freePort(t), freePort(t), newIssuer(t)
	crt, key := pairPEM(t, pair)
	text := func(path string) *plan.Plan {
		return newCompiler(t).plan([]byte(fmt.Sprintf(shop, plain, secure, base64.StdEncoding.EncodeToString(crt), base64.StdEncoding.EncodeToString(key), path))).For(gatewayName)
	}
	set := func(p *plan.Plan, id string) *xds.Set {
		s := xds.NewSet(envoy.Types, envoy.Translate(p, gatewayName, envoy.Options{SystemCAs: []byte(pair.pem)}))
		s.ID, s.Gate = id, envoy.Gate
		return s
	}
	c := newXDS(t)
	c.server.Put(nodeID, set(text("/a"), "first"))
	admin := c.envoy(t)

	t.Run("B-30 gateway-43 gateway-98 everything is acknowledged, by token and TLS", func(t *testing.T) { c.acknowledged(t, "first") })
	t.Run("B-26 nothing passes while the engine is away", func(t *testing.T) {
		for _, host := range []string{"named.example.com", "other.example.com"} {
			status, _ := get(t, fmt.Sprintf("http://127.0.0.1:%d/a", plain), host, nil)
			if status != http.StatusInternalServerError {
				t.Errorf("%s: status %d", host, status)
			}
		}
	})
	t.Run("B-11 HTTPS is served with the certificate, by HTTP/2 and TLS 1.2 at least", func(t *testing.T) {
		roots := x509.NewCertPool()
		roots.AppendCertsFromPEM([]byte(pair.pem))
		status, state := get(t, fmt.Sprintf("https://localhost:%d/a", secure), "", &tls.Config{RootCAs: roots})
		if status != http.StatusInternalServerError || state.NegotiatedProtocol != "h2" {
			t.Errorf("status %d by %q", status, state.NegotiatedProtocol)
		}
		old := &tls.Config{RootCAs: roots, ServerName: "localhost", MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}
		if conn, err := tls.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", secure), old); err == nil {
			conn.Close()
			t.Error("TLS 1.1 is accepted")
		}
	})
	t.Run("B-15 B-29 gateway-100 what is the same is not sent again", func(t *testing.T) {
		before := pushes(c.server)
		c.server.Put(nodeID, set(text("/a"), "again"))
		c.acknowledged(t, "again")
		if diff := cmp.Diff(before, pushes(c.server)); diff != "" {
			t.Errorf("sent (-before +after)\n%s", diff)
		}
	})
	t.Run("B-41 an edit of a route leaves the listeners alone", func(t *testing.T) {
		want := pushes(c.server)
		want[envoy.TypeRoute] += 2 // the routes of both ports
		c.server.Put(nodeID, set(text("/b"), "edited"))
		c.acknowledged(t, "edited")
		if diff := cmp.Diff(want, pushes(c.server)); diff != "" {
			t.Errorf("resources sent (-want +got)\n%s", diff)
		}
	})
	t.Run("B-30 gateway-92 the configuration that Envoy shows has no private key", func(t *testing.T) {
		dump := show(t, admin, "/config_dump?include_eds")
		for _, part := range []string{"PRIVATE KEY", base64.StdEncoding.EncodeToString(key)[:60]} {
			if strings.Contains(dump, part) {
				t.Errorf("the dump has %q", part)
			}
		}
		for _, name := range []string{"secret/default/pair", "default-synsvc-web-80", "listener_named_routes", "gw-vh-"} {
			if !strings.Contains(dump, name) {
				t.Errorf("the dump has no %s", name)
			}
		}
	})
}

// xdsServer is the controller's, with an authority and a token.
type xdsServer struct {
	server    *xds.Server
	authority *authority.Authority
	port      uint32
	changed   chan struct{}
}

func newXDS(t *testing.T) *xdsServer {
	t.Helper()
	a, err := authority.New(time.Now)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "localhost:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &xdsServer{authority: a, port: uint32(l.Addr().(*net.TCPAddr).Port), changed: make(chan struct{}, 1)}
	c.server = xds.NewServer(xds.Options{
		Authenticate: func(ctx context.Context) (xds.Peer, error) {
			md, _ := metadata.FromIncomingContext(ctx)
			if v := md.Get("authorization"); len(v) != 1 || v[0] != "Bearer one" {
				return xds.Peer{}, errors.New("nobody's token")
			}
			return xds.Peer{Nodes: func(node string) bool { return node == nodeID }}, nil
		},
		Changed: func(string) {
			select {
			case c.changed <- struct{}{}:
			default:
			}
		},
	})
	g := grpc.NewServer(append(xds.ServerOptions(), grpc.Creds(credentials.NewTLS(a.TLS("localhost"))))...)
	c.server.Register(g)
	done := make(chan struct{})
	go func() {
		defer close(done)
		g.Serve(l)
	}()
	t.Cleanup(func() {
		g.Stop()
		<-done
	})
	return c
}

// envoy starts an Envoy with a fleet's files, and returns the path of its
// admin interface. No engine is beside it.
func (c *xdsServer) envoy(t *testing.T) string {
	return c.envoyBeside(t, filepath.Join(t.TempDir(), "nobody.sock"))
}

func (c *xdsServer) envoyBeside(t *testing.T, engine string) string {
	t.Helper()
	dir := t.TempDir()
	o := envoy.BootstrapOptions{
		NodeID: nodeID, Gateway: gatewayName, Controller: "localhost", Port: c.port,
		Admin: filepath.Join(dir, "admin.sock"), Socket: engine,
		Token: write(t, filepath.Join(dir, "token"), []byte("one")),
		CA:    write(t, filepath.Join(dir, "ca.crt"), c.authority.CA()),
	}
	for name, text := range envoy.Files(o) {
		write(t, filepath.Join(dir, name), []byte(text))
	}
	start(t, envoybin.Newest, filepath.Join(dir, "envoy.yaml"), false)
	return o.Admin
}

// acknowledged waits until the Envoy has acknowledged all types of a set.
func (c *xdsServer) acknowledged(t *testing.T, set string) {
	t.Helper()
	c.acknowledgedTypes(t, set, len(envoy.Types))
}

// acknowledgedTypes waits until it has acknowledged so many of them.
func (c *xdsServer) acknowledgedTypes(t *testing.T, set string, types int) {
	t.Helper()
	late := time.After(patience)
	for {
		streams := c.server.Streams(nodeID)
		done := 0
		for _, s := range streams {
			for _, sub := range s.Types {
				if sub.Nack != nil {
					t.Fatalf("%s is refused: %s", sub.Type, sub.Nack.Message)
				}
				if sub.Acked == set {
					done++
				}
			}
		}
		if done == types {
			return
		}
		select {
		case <-c.changed:
		case <-late:
			t.Fatalf("set %q is not acknowledged: %+v", set, streams)
		}
	}
}

// pushes are the resources that were sent, by type.
func pushes(s *xds.Server) map[string]uint64 {
	out := map[string]uint64{}
	for t, n := range s.Counts() {
		out[t] = n.Resources
	}
	return out
}

func get(t *testing.T, url, host string, config *tls.Config) (int, *tls.ConnectionState) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Host = host
	res, err := (&http.Transport{DisableKeepAlives: true, TLSClientConfig: config, ForceAttemptHTTP2: true}).RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	return res.StatusCode, res.TLS
}

// show asks the admin interface.
func show(t *testing.T, socket, path string) string {
	t.Helper()
	to := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", socket)
	}}
	res, err := (&http.Client{Transport: to}).Get("http://envoy" + path)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("%s: status %d, error %v", path, res.StatusCode, err)
	}
	return string(text)
}

func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// pairPEM is the server certificate of an authority, with its key.
func pairPEM(t *testing.T, a *issuer) (crt, key []byte) {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(a.server.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.server.Certificate[0]}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}
