package process

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// pair issues a certificate to a server or a client, in PEM.
func (c *certificates) pair(t *testing.T, name string) (crt, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c.n++
	crt = c.sign(t, &x509.Certificate{
		SerialNumber: big.NewInt(c.n), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name}, NotBefore: c.root.NotBefore, NotAfter: c.root.NotAfter,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}, private.Public())
	return crt, string(pemKey(t, private))
}

// bundle is the authority's own certificate, in PEM.
func (c *certificates) bundle(t *testing.T) string { return c.sign(t, c.root, c.key.Public()) }

// partner is somebody outside who wants a key and a client's certificate, and
// who changes them as he likes.
type partner struct {
	crt      atomic.Pointer[tls.Certificate] // that is shown from the next handshake on
	clients  atomic.Pointer[x509.CertPool]   // whose certificates are taken
	draining sync.Map                        // local addresses that are about to go away
	end      chan struct{}                   // closed: streams end

	mu    sync.Mutex
	keys  []string       // that are taken
	count map[string]int // answered calls, by what they came with
}

func newPartner() *partner { return &partner{count: map[string]int{}, end: make(chan struct{})} }

// show changes the certificate to a new one of an authority.
func (p *partner) show(t *testing.T, ca *certificates, name string) {
	t.Helper()
	crt, key := ca.pair(t, name)
	pair, err := tls.X509KeyPair([]byte(crt), []byte(key))
	if err != nil {
		t.Fatal(err)
	}
	p.crt.Store(&pair)
}

// trust changes whose clients are taken.
func (p *partner) trust(bundles ...string) {
	pool := x509.NewCertPool()
	for _, b := range bundles {
		pool.AppendCertsFromPEM([]byte(b))
	}
	p.clients.Store(pool)
}

// take changes the keys that are taken.
func (p *partner) take(keys ...string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.keys = keys
}

// seen is how many calls came with something: "key k", "client c", "server s"
// for the serial number of the certificate that was shown to them, "at a".
func (p *partner) seen(what string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.count[what]
}

// site is the partner at one address.
type site struct {
	*http.Server
	at   string
	port int
}

// listen opens a site.
func (p *partner) listen(t *testing.T, at string) *site {
	t.Helper()
	l, err := net.Listen("tcp", at)
	if err != nil {
		t.Fatal(err)
	}
	protocols := []string{"h2", "http/1.1"}
	s := &site{at: l.Addr().String(), port: l.Addr().(*net.TCPAddr).Port, Server: &http.Server{
		Handler: p, ErrorLog: log.New(io.Discard, "", 0), ReadHeaderTimeout: time.Minute,
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			return context.WithValue(ctx, shown{}, new(atomic.Pointer[string]))
		},
	}}
	s.TLSConfig = &tls.Config{NextProtos: protocols, GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		crt := p.crt.Load()
		serial := crt.Leaf.SerialNumber.String()
		if at, ok := hello.Context().Value(shown{}).(*atomic.Pointer[string]); ok {
			at.Store(&serial)
		}
		return &tls.Config{
			Certificates: []tls.Certificate{*crt}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: p.clients.Load(),
			NextProtos: protocols, SessionTicketsDisabled: true,
		}, nil
	}}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = s.ServeTLS(l, "", "")
	}()
	t.Cleanup(func() {
		s.Close()
		<-ended
	})
	return s
}

// shown is the key of a connection's context at which the certificate is noted.
type shown struct{}

func (p *partner) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	at := r.Context().Value(http.LocalAddrContextKey).(net.Addr).String()
	if _, going := p.draining.Load(at); going {
		w.Header().Set("Connection", "close") // GOAWAY in HTTP/2
	}
	key, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !p.note(key, r, at) {
		http.Error(w, "the key "+key+" is not taken", http.StatusUnauthorized)
		return
	}
	if r.URL.Path != "/stream" {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2}}`)
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for n := 0; ; n++ {
		fmt.Fprintf(w, "data: {\"n\":%d}\n\n", n)
		_ = http.NewResponseController(w).Flush()
		select {
		case <-tick.C:
		case <-p.end:
			_, _ = io.WriteString(w, "data: [DONE]\n\n")
			return
		case <-r.Context().Done():
			return
		}
	}
}

// note counts a call and reports whether its key is taken.
func (p *partner) note(key string, r *http.Request, at string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, k := range p.keys {
		if k != key {
			continue
		}
		p.count["key "+key]++
		p.count["client "+r.TLS.PeerCertificates[0].Subject.CommonName]++
		p.count["at "+at]++
		p.count["by "+r.Proto]++
		if s := r.Context().Value(shown{}).(*atomic.Pointer[string]).Load(); s != nil {
			p.count["server "+*s]++
		}
		return true
	}
	return false
}
