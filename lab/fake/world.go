package fake

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// World is all fake vendors, serving on loopback until it is closed.
type World struct {
	CA    *CA
	Addr  string // of the vendors that speak TLS, as 127.0.0.1:PORT
	Plain string // of the metadata servers, which speak cleartext

	OpenAI, Anthropic, Azure, Gemini, Bedrock *Vendor
	STS, Google, Entra, OAuth, Metadata       *Vendor
	AWS                                       *AWS            // the keys and roles that Bedrock and STS know
	ServiceAccount                            *ServiceAccount // of Google
	App                                       *App            // the application registered at Entra
	Client                                    *Client         // the client registered at OAuth
	Cluster                                   *Issuer         // whose tokens STS, Google and Entra trust: the cluster's ServiceAccount issuer

	tokens  tokens
	byHost  map[string]*Vendor
	certs   sync.Map // *tls.Certificate by host
	servers []*http.Server
	clock   atomic.Pointer[func() time.Time]
}

// New starts a World that ends with the test.
func New(t testing.TB) *World {
	t.Helper()
	w, err := Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.Close() })
	return w
}

// Start starts a World on two free ports.
func Start() (*World, error) {
	w := &World{byHost: map[string]*Vendor{}}
	w.Clock(time.Now)
	var err error
	if w.CA, err = NewCA(); err != nil {
		return nil, err
	}
	if err := w.settle(); err != nil {
		return nil, err
	}
	for host, v := range w.byHost {
		if v == w.Metadata {
			continue
		}
		cert, err := w.CA.Issue(nil, host)
		if err != nil {
			return nil, err
		}
		w.Present(host, cert)
	}
	secure := &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
		if cert, ok := w.certs.Load(hello.ServerName); ok {
			return cert.(*tls.Certificate), nil
		}
		return nil, fmt.Errorf("no vendor is called %q", hello.ServerName)
	}}
	if w.Addr, err = w.listen(secure); err != nil {
		return nil, err
	}
	if w.Plain, err = w.listen(nil); err != nil {
		_ = w.Close()
		return nil, err
	}
	return w, nil
}

// settle makes the vendors and those who are known to them.
func (w *World) settle() error {
	var err error
	if w.Cluster, err = newIssuer("https://kubernetes.default.svc.cluster.local", w.now); err != nil {
		return err
	}
	if w.ServiceAccount, err = newServiceAccount(); err != nil {
		return err
	}
	if w.App, err = newApp(w.CA); err != nil {
		return err
	}
	w.AWS, w.Client = newAWS(), newClient()
	w.OpenAI, w.Anthropic = w.openAI(), w.anthropic()
	w.Azure, w.Gemini, w.Bedrock = w.azure(), w.gemini(), w.bedrock()
	w.STS, w.Google, w.Entra, w.OAuth = w.sts(), w.google(), w.entra(), w.oauth()
	w.Metadata = w.metadata()
	for _, v := range w.Vendors() {
		for _, host := range v.Hosts {
			w.byHost[host] = v
		}
	}
	return nil
}

// Vendors returns all vendors of the World.
func (w *World) Vendors() []*Vendor {
	return []*Vendor{w.OpenAI, w.Anthropic, w.Azure, w.Gemini, w.Bedrock, w.STS, w.Google, w.Entra, w.OAuth, w.Metadata}
}

// listen serves on a free port of loopback, over TLS unless secure is nil.
func (w *World) listen(secure *tls.Config) (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	server := &http.Server{Handler: w, TLSConfig: secure, ErrorLog: log.New(io.Discard, "", 0), ReadHeaderTimeout: 10 * time.Second}
	w.servers = append(w.servers, server)
	go func() {
		if secure == nil {
			_ = server.Serve(l)
			return
		}
		_ = server.ServeTLS(l, "", "")
	}()
	return l.Addr().String(), nil
}

// Close ends the World and what it has under way.
func (w *World) Close() error {
	var all error
	for _, server := range w.servers {
		all = errors.Join(all, server.Close())
	}
	return all
}

// ServeHTTP hands a request to the vendor it names. A name that is not that of
// the TLS handshake is answered 421, as the vendors' front ends do (RFC 9110, 15.5.20).
func (w *World) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	host := r.Host
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	v := w.byHost[strings.ToLower(host)]
	if v == nil || (r.TLS == nil) != (v == w.Metadata) || r.TLS != nil && r.TLS.ServerName != strings.ToLower(host) {
		http.Error(rw, "misdirected request", http.StatusMisdirectedRequest)
		return
	}
	v.ServeHTTP(rw, r)
}

// Present makes a host show this certificate from the next handshake on: one
// that is renewed, expired, for another name or of another CA (CA.Issue).
func (w *World) Present(host string, cert tls.Certificate) { w.certs.Store(host, &cert) }

// Dial connects to the World whatever name is asked for: port 80 is that of
// the metadata servers, any other that of the rest.
func (w *World) Dial(ctx context.Context, network, addr string) (net.Conn, error) {
	to := w.Addr
	if strings.HasSuffix(addr, ":80") {
		to = w.Plain
	}
	var d net.Dialer
	return d.DialContext(ctx, network, to)
}

// HTTP returns a client that finds every vendor under its own name, trusts
// only the World's CA and follows redirects as clients do.
func (w *World) HTTP() *http.Client {
	return &http.Client{Transport: &http.Transport{
		DialContext:       w.Dial,
		TLSClientConfig:   &tls.Config{RootCAs: w.CA.Pool(), MinVersion: tls.VersionTLS12},
		ForceAttemptHTTP2: true,
	}}
}

// Clock makes all vendors tell the time by now.
func (w *World) Clock(now func() time.Time) { w.clock.Store(&now) }

func (w *World) now() time.Time { return (*w.clock.Load())() }
