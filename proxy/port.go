package proxy

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/egret-gateway/egret/plan"
)

// Limits of a downstream connection.
const (
	headerTimeout  = 10 * time.Second // for a TLS handshake, and for the request head
	keepAlive      = 120 * time.Second
	maxHeaderBytes = 256 << 10
	maxStreams     = 256 // at once on one HTTP/2 connection
	pingAfter      = 30 * time.Second
	pingTimeout    = 15 * time.Second
)

// port is one bound address. It speaks TLS while it has certificates, and may
// begin or stop to do so without being bound again.
type port struct {
	server  *Server
	gateway string
	number  int32
	inner   bool // in memory: only our own gateways can reach it
	socket  net.Listener
	http    *http.Server
	tls     *tls.Config

	certificates atomic.Pointer[certificates] // nil = cleartext
	released     atomic.Bool
	active       atomic.Int64   // requests under way
	upgraded     sync.WaitGroup // connections that have left HTTP
	cut          context.CancelCauseFunc
}

func newPort(s *Server, pp *plan.Port, l net.Listener) *port {
	_, memory := l.(*Memory)
	p := &port{server: s, gateway: pp.Gateway, number: pp.Number, inner: memory, socket: l}
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(true)
	protocols.SetUnencryptedHTTP2(true)
	base, cut := context.WithCancelCause(context.Background())
	p.cut = cut
	p.tls = &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: p.certificate, NextProtos: []string{"h2", "http/1.1"}}
	p.http = &http.Server{
		Handler:           http.HandlerFunc(p.handle),
		BaseContext:       func(net.Listener) context.Context { return base },
		ReadHeaderTimeout: headerTimeout,
		IdleTimeout:       keepAlive,
		MaxHeaderBytes:    maxHeaderBytes,
		Protocols:         &protocols,
		HTTP2: &http.HTTP2Config{
			MaxConcurrentStreams: maxStreams, SendPingTimeout: pingAfter, PingTimeout: pingTimeout, WriteByteTimeout: stall,
		},
		DisableGeneralOptionsHandler: true,
		ErrorLog:                     slog.NewLogLogger(s.o.Log.Handler(), slog.LevelDebug), // clients' mistakes
	}
	return p
}

// load takes what may change while the port stays bound.
func (p *port) load(pp *plan.Port, secrets map[string]*plan.Secret) {
	if !pp.TLS {
		p.certificates.Store(nil)
		return
	}
	p.certificates.Store(newCertificates(pp, secrets, p.certificates.Load(), p.server.o.Log))
}

// Accept makes a port the listener of its HTTP server: whether a connection
// speaks TLS is decided when it arrives.
func (p *port) Accept() (net.Conn, error) {
	c, err := p.socket.Accept()
	if err != nil || p.certificates.Load() == nil {
		return c, err
	}
	return tls.Server(c, p.tls), nil
}

// Close releases the address; connections stay.
func (p *port) Close() error { return p.socket.Close() }

// Addr is where the port is bound.
func (p *port) Addr() net.Addr { return p.socket.Addr() }

// stale reports whether a request came over a connection that the port would
// not take any more, because it speaks TLS now or does not.
func (p *port) stale(r *http.Request) bool {
	return (r.TLS != nil) != (p.certificates.Load() != nil)
}

func (p *port) serve() {
	err := p.http.Serve(p)
	if err != nil && !errors.Is(err, http.ErrServerClosed) && !p.released.Load() {
		p.server.o.Log.Error("a port stopped serving", "gateway", p.gateway, "port", p.number, "error", err)
	}
}

// fading is for how long a connection of a server that stops is served on after
// its last answer: a client that was not told to close it, because that answer
// had begun before, may have its next request on the way.
const fading = time.Second

// fade serves the connections that there are until no request has been under
// way for a while, or ctx ends.
func (p *port) fade(ctx context.Context) {
	tick := time.NewTicker(fading / 20)
	defer tick.Stop()
	for last := time.Now(); time.Since(last) < fading; {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			if p.active.Load() > 0 {
				last = now
			}
		}
	}
}

// drain waits for the requests under way and for connections that were
// upgraded, then cuts them.
func (p *port) drain(limit time.Duration) {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	if p.server.leaving.Load() {
		p.fade(ctx)
	}
	if p.http.Shutdown(ctx) == nil {
		go func() {
			p.upgraded.Wait()
			cancel()
		}()
		<-ctx.Done()
	}
	p.cut(errDrained)
	p.http.Close()
	p.upgraded.Wait()
	p.settle()
}

// settling bounds how long requests that were cut may take to be charged and
// recorded: the state behind the engine is closed after the port.
const settling = 2 * time.Second

// settle waits until no request is under way: closing an HTTP server waits for
// none of its handlers.
func (p *port) settle() {
	tick := time.NewTicker(settling / 100)
	defer tick.Stop()
	for end := time.After(settling); p.active.Load() > 0; {
		select {
		case <-end:
			p.server.o.Log.Warn("requests were cut that nobody has charged or recorded", "gateway", p.gateway, "port", p.number, "requests", p.active.Load())
			return
		case <-tick.C:
		}
	}
}
