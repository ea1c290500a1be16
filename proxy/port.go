package proxy

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/egret-gateway/egret/plan"
)

// Limits of a downstream connection.
const (
	headerTimeout   = 10 * time.Second // for the request head (slow clients)
	bodyIdleTimeout = 30 * time.Second // between two pieces of a request body that is read whole
	keepAlive       = 120 * time.Second
	maxHeaderBytes  = 256 << 10
)

// port is one bound address.
type port struct {
	server  *Server
	gateway string
	number  int32
	tls     bool
	inner   bool // in memory: only our own gateways can reach it
	socket  net.Listener
	http    *http.Server
	certs   atomic.Pointer[certificates]
}

func newPort(s *Server, pp *plan.Port, l net.Listener) *port {
	_, memory := l.(*Memory)
	p := &port{server: s, gateway: pp.Gateway, number: pp.Number, tls: pp.TLS, inner: memory, socket: l}
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	if pp.TLS {
		protocols.SetHTTP2(true)
	} else {
		protocols.SetUnencryptedHTTP2(true)
	}
	p.http = &http.Server{
		Handler:           http.HandlerFunc(p.handle),
		ReadHeaderTimeout: headerTimeout,
		IdleTimeout:       keepAlive,
		MaxHeaderBytes:    maxHeaderBytes,
		Protocols:         &protocols,
		ErrorLog:          slog.NewLogLogger(s.o.Log.Handler(), slog.LevelDebug), // clients' mistakes
	}
	if pp.TLS {
		p.http.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: p.certificate, NextProtos: []string{"h2", "http/1.1"}}
	}
	return p
}

// load takes what may change while the port stays bound.
func (p *port) load(pp *plan.Port, secrets []plan.Secret) {
	p.certs.Store(newCertificates(pp, secrets, p.server.o.Log))
}

func (p *port) serve() {
	var err error
	if p.tls {
		err = p.http.ServeTLS(p.socket, "", "")
	} else {
		err = p.http.Serve(p.socket)
	}
	if err != nil && !errors.Is(err, http.ErrServerClosed) {
		p.server.o.Log.Error("a port stopped serving", "gateway", p.gateway, "port", p.number, "error", err)
	}
}

// drain closes the socket, waits for the requests under way, then cuts.
func (p *port) drain(limit time.Duration) {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	if err := p.http.Shutdown(ctx); err != nil {
		p.http.Close()
	}
}

// certificates of one port by host name.
type certificates struct {
	exact    map[string]*tls.Certificate
	wildcard []wildcard // longest first
	any      *tls.Certificate
}

type wildcard struct {
	suffix string // ".example.com"
	cert   *tls.Certificate
}

func newCertificates(pp *plan.Port, secrets []plan.Secret, log *slog.Logger) *certificates {
	c := &certificates{exact: map[string]*tls.Certificate{}}
	if !pp.TLS {
		return c
	}
	byName := map[string]*plan.Secret{}
	for i := range secrets {
		byName[secrets[i].Name] = &secrets[i]
	}
	for i := range pp.Listeners { // most specific host first
		l := &pp.Listeners[i]
		if l.TLS == nil {
			continue
		}
		for _, name := range l.TLS.Certificates {
			s := byName[name]
			if s == nil {
				continue
			}
			pair, err := tls.X509KeyPair(s.Item("tls.crt"), s.Item("tls.key"))
			if err != nil {
				log.Error("a certificate cannot be used", "gateway", pp.Gateway, "listener", l.Name, "secret", name, "error", err)
				continue
			}
			c.add(l.Host, &pair)
		}
	}
	return c
}

func (c *certificates) add(host string, pair *tls.Certificate) {
	switch {
	case host == "":
		if c.any == nil {
			c.any = pair
		}
	case strings.HasPrefix(host, "*."):
		c.wildcard = append(c.wildcard, wildcard{host[1:], pair})
	case c.exact[host] == nil:
		c.exact[host] = pair
	}
}

// certificate chooses by SNI: the exact host, the longest wildcard, the
// listener for any host.
func (p *port) certificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	c := p.certs.Load()
	name := strings.ToLower(strings.TrimSuffix(hello.ServerName, "."))
	if pair := c.exact[name]; pair != nil {
		return pair, nil
	}
	for _, w := range c.wildcard {
		if strings.HasSuffix(name, w.suffix) && len(name) > len(w.suffix) {
			return w.cert, nil
		}
	}
	if c.any != nil {
		return c.any, nil
	}
	return nil, errors.New("no listener for this server name")
}
