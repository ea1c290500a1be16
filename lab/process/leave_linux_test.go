package process

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/egret-gateway/egret/lab/child"
)

// tapped is a provider that keeps every byte that it is told, out of TLS.
type tapped struct {
	net.Listener
	port int
	met  atomic.Int64 // connections, whatever came of them

	mu   sync.Mutex
	told bytes.Buffer
}

// tap opens a provider who is who he says: by name, at an address of loopback.
// What it says is h's, by default that all is well.
func tap(t *testing.T, ca *certificates, name, at string, h http.HandlerFunc) *tapped {
	t.Helper()
	crt, key := ca.pair(t, name)
	pair, err := tls.X509KeyPair([]byte(crt), []byte(key))
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", at)
	if err != nil {
		t.Fatal(err)
	}
	p := &tapped{Listener: l, port: l.Addr().(*net.TCPAddr).Port}
	s := &http.Server{ErrorLog: log.New(io.Discard, "", 0), Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		if h != nil {
			h(w, r)
			return
		}
		_, _ = io.WriteString(w, `{"usage":{"total_tokens":2}}`)
	})}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = s.Serve(tapping{p, &tls.Config{Certificates: []tls.Certificate{pair}}})
	}()
	t.Cleanup(func() {
		s.Close()
		<-ended
	})
	return p
}

// bytes are those that have come so far.
func (p *tapped) bytes() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.told.String()
}

type tapping struct {
	*tapped
	config *tls.Config
}

func (l tapping) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	l.met.Add(1)
	return &tappedConn{tls.Server(c, l.config), l.tapped}, nil
}

type tappedConn struct {
	net.Conn
	of *tapped
}

func (c *tappedConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.of.mu.Lock()
	c.of.told.Write(b[:n])
	c.of.mu.Unlock()
	return n, err
}

// backends are providers with a key each, behind the bridge: names, ports and
// keys by their places. The operator denies one address.
const backends = `
apiVersion: v1
kind: ConfigMap
metadata: {namespace: egret-system, name: egret-egress}
data: {egress.yaml: "namespaces: [{addresses: {deny: [127.0.0.3/32]}}]"}
---
apiVersion: v1
kind: Secret
metadata: {namespace: default, name: keys}
stringData: {one: sk-key-of-one, two: sk-key-of-two, moves: sk-key-of-moves}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {namespace: default, name: providers}
spec:
  parentRefs: [{name: poc-gateway}]
  rules:
  - matches: [{path: {value: /split}}]
    backendRefs:
    - {group: ainetworking.prototype.x-k8s.io, kind: Backend, name: one, port: %[1]d, weight: 1}
    - {group: ainetworking.prototype.x-k8s.io, kind: Backend, name: two, port: %[2]d, weight: 1}
  - matches: [{path: {value: /one}}]
    backendRefs: [{group: ainetworking.prototype.x-k8s.io, kind: Backend, name: one, port: %[1]d}]
  - matches: [{path: {value: /moves}}]
    backendRefs: [{group: ainetworking.prototype.x-k8s.io, kind: Backend, name: moves, port: %[3]d}]
`

const backend = `
---
apiVersion: ainetworking.prototype.x-k8s.io/v0alpha0
kind: XBackendDestination
metadata: {namespace: default, name: %[1]s}
spec:
  destination: {type: Fqdn, fqdn: {hostname: %[1]s.example.com}, ports: [{number: %[2]d, protocol: HTTP, tls: {mode: Simple}}]}
  extensions: [{name: key, type: "gateway.networking.k8s.io/CredentialInjector:v1", rawConfig: {secretRef: {name: keys, key: %[1]s}}}]
`

// TestWhatLeaves: of all bytes that providers are told, none are a user's
// token or another provider's key; and who is only redirected to, or sits at an
// address that is denied, is told nothing, whatever certificate he has.
func TestWhatLeaves(t *testing.T) {
	ca := newCertificates(t)
	const anywhere = "127.0.0.1:0"
	thief := tap(t, ca, "thief.example.com", anywhere, nil)
	two := tap(t, ca, "two.example.com", anywhere, nil)
	one := tap(t, ca, "one.example.com", anywhere, func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/one/moved") {
			http.Redirect(w, r, fmt.Sprintf("https://thief.example.com:%d/stolen", thief.port), http.StatusPermanentRedirect)
		}
	})
	moves := tap(t, ca, "moves.example.com", anywhere, func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Connection", "close") })
	rebound := tap(t, ca, "moves.example.com", fmt.Sprint("127.0.0.3:", moves.port), nil)
	names := newZone(t)
	for _, name := range []string{"one", "two", "moves", "thief"} {
		names.set(name+".example.com", "127.0.0.1")
	}
	text := fmt.Sprintf(backends, one.port, two.port, moves.port)
	for name, p := range map[string]*tapped{"one": one, "two": two, "moves": moves} {
		text += fmt.Sprintf(backend, name, p.port)
	}
	dir := child.Manifests(t)
	child.Write(t, filepath.Join(dir, "providers.yaml"), text)
	users := newPeople(t)
	eva := users.add(t, "eva", "enterprise-group")
	t.Setenv("SSL_CERT_FILE", ca.file(t))
	g := child.Quickstart(t, "--manifests", dir, "--users", string(users))
	token := g.Mint(t, eva)
	ask := func(t *testing.T, path string, fields ...string) int {
		t.Helper()
		status, _ := send(t, g, http.MethodPost, "/external"+path, token, to("m"), fields...)
		return status
	}

	t.Run("gateway-108 gateway-109 each provider is told its own key, and no token wherever the client puts it", func(t *testing.T) {
		places := []string{
			"X-Api-Key: TOKEN", "Api-Key: TOKEN", "X-Goog-Api-Key: TOKEN", "X-Provider-Api-Key: TOKEN", "X_Api_Key: TOKEN", "Proxy-Authorization: Bearer TOKEN",
			"Cookie: TOKEN", "Cookie: a=1; session=TOKEN", "X-Amz-Security-Token: TOKEN",
			"?api_key=TOKEN", "?key=TOKEN", "?a=1&access_token=TOKEN", "?access%5Ftoken=TOKEN&b=2",
		}
		for range 4 { // so that each is put to both
			for _, place := range places {
				path, place := "/split/v1/chat/completions", strings.ReplaceAll(place, "TOKEN", token)
				status := 0
				if query, is := strings.CutPrefix(place, "?"); is {
					status = ask(t, path+"?"+query)
				} else {
					status = ask(t, path, place)
				}
				if status != http.StatusOK {
					t.Errorf("%.30s: %d", place, status)
				}
			}
		}
		for _, p := range []struct {
			*tapped
			own, other string
		}{{one, "sk-key-of-one", "sk-key-of-two"}, {two, "sk-key-of-two", "sk-key-of-one"}} {
			told := p.bytes()
			if !strings.Contains(told, "Authorization: Bearer "+p.own+"\r\n") {
				t.Errorf("the key %s was not told", p.own)
			}
			for _, secret := range []string{p.other, "sk-key-of-moves", token, token[strings.LastIndexByte(token, '.')+1:], eva} {
				if strings.Contains(told, secret) {
					t.Errorf("who has the key %s was told %q", p.own, secret)
				}
			}
		}
	})
	t.Run("gateway-108 who is redirected to is told nothing", func(t *testing.T) {
		if status := redirected(t, g, "/external/one/moved", token); status != http.StatusPermanentRedirect {
			t.Errorf("%d, want the redirection itself", status)
		}
		if n := thief.met.Load(); n > 0 {
			t.Errorf("%d connections, and %q", n, thief.bytes())
		}
	})
	t.Run("gateway-108 an address that the name changes to, and that is denied, is told nothing", func(t *testing.T) {
		if status := ask(t, "/moves"); status != http.StatusOK {
			t.Fatalf("%d, want 200", status)
		}
		names.set("moves.example.com", "127.0.0.3")
		child.Until(t, "the name is looked up again", func() bool { return ask(t, "/moves") != http.StatusOK })
		if status := ask(t, "/moves"); status != http.StatusBadGateway {
			t.Errorf("%d, want 502", status)
		}
		if n := rebound.met.Load(); n > 0 {
			t.Errorf("%d connections, and %q", n, rebound.bytes())
		}
	})
}

// redirected is the status of a call by a client that follows no redirection.
func redirected(t *testing.T, g *child.Gateway, path, token string) int {
	t.Helper()
	stays := *g.Client
	stays.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	status, _ := send(t, &child.Gateway{Process: g.Process, URL: g.URL, Client: &stays}, http.MethodPost, path, token, to("m"))
	return status
}
