package proxy

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/egret-gateway/egret/engine"
	"github.com/egret-gateway/egret/plan"
	"github.com/egret-gateway/egret/provider"
)

// Options of a Server.
type Options struct {
	Engine *engine.Engine
	Pool   *provider.Pool
	// Listen opens the socket of a port of the plan. It may return a listener
	// in memory.
	Listen func(gateway string, p *plan.Port) (net.Listener, error)
	// Inner reports whether a request for a Gateway comes from another of ours,
	// in a pod of its own; nil = none does.
	Inner func(gateway string, h http.Header) bool
	// Drain is how long a released port or a stopping server waits for
	// requests under way; 0 = 30 s.
	Drain time.Duration
	Log   *slog.Logger
}

// Server serves plans on Go listeners.
type Server struct {
	o       Options
	buffers buffers

	ports    atomic.Pointer[ports] // being served
	mu       sync.Mutex            // one Apply or Shutdown at a time
	closed   bool
	draining sync.WaitGroup
	leaving  atomic.Bool
}

type ports map[portKey]*port

type portKey struct {
	gateway string
	number  int32
}

// New returns a server without ports.
func New(o Options) *Server {
	if o.Drain <= 0 {
		o.Drain = 30 * time.Second
	}
	if o.Inner == nil {
		o.Inner = func(string, http.Header) bool { return false }
	}
	s := &Server{o: o}
	s.buffers.init()
	s.ports.Store(&ports{})
	return s
}

// ErrStopped is the answer to a plan that comes after Shutdown.
var ErrStopped = errors.New("the server has stopped")

// Apply makes p the plan that is served. It returns when every port of the
// plan is bound; ports that are gone are drained in the background. When a
// port cannot be bound or the plan cannot be loaded, the old plan serves on
// and the error says why.
func (s *Server) Apply(ctx context.Context, p *plan.Plan) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return ErrStopped
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	// Everything that can fail comes first; then the parts are swapped.
	opened, err := s.open(p)
	if err != nil {
		return err
	}
	links := s.o.Pool.Prepare(p)
	if err := s.o.Engine.Load(p); err != nil {
		for _, fresh := range opened {
			fresh.socket.Close()
		}
		return err
	}
	s.o.Pool.Use(links)
	s.swap(p, opened)
	return nil
}

// open binds the ports of p that are not bound yet.
func (s *Server) open(p *plan.Plan) (ports, error) {
	bound, opened := *s.ports.Load(), ports{}
	for i := range p.Ports {
		pp := &p.Ports[i]
		key := portKey{pp.Gateway, pp.Number}
		if bound[key] != nil {
			continue
		}
		l, err := s.o.Listen(pp.Gateway, pp)
		if err != nil {
			for _, fresh := range opened {
				fresh.socket.Close()
			}
			return nil, fmt.Errorf("gateway %s port %d: %w", pp.Gateway, pp.Number, err)
		}
		opened[key] = newPort(s, pp, l)
	}
	return opened, nil
}

// swap cannot fail.
func (s *Server) swap(p *plan.Plan, opened ports) {
	bound, next := *s.ports.Load(), ports{}
	secrets := make(map[string]*plan.Secret, len(p.Secrets))
	for i := range p.Secrets {
		secrets[p.Secrets[i].Name] = &p.Secrets[i]
	}
	for i := range p.Ports {
		pp := &p.Ports[i]
		key := portKey{pp.Gateway, pp.Number}
		if next[key] = bound[key]; next[key] == nil {
			next[key] = opened[key]
		}
		next[key].load(pp, secrets)
	}
	s.ports.Store(&next)
	for key, old := range bound {
		if next[key] != old {
			s.release(old)
		}
	}
	for _, fresh := range opened {
		s.draining.Go(fresh.serve)
	}
}

// release closes a port's socket at once, so that its address is free when
// Apply returns, and drains it in the background.
func (s *Server) release(p *port) {
	p.released.Store(true)
	p.socket.Close()
	s.draining.Go(func() { p.drain(s.o.Drain) })
}

// Bound is a port that is being served.
type Bound struct {
	Gateway string
	Port    int32
	TLS     bool
	Address net.Addr
}

// Bound lists the ports being served, in no order.
func (s *Server) Bound() []Bound {
	var out []Bound
	for key, p := range *s.ports.Load() {
		out = append(out, Bound{Gateway: key.gateway, Port: key.number, TLS: p.certificates.Load() != nil, Address: p.socket.Addr()})
	}
	return out
}

// Leave has clients close their connections after the next answer: HTTP/1.1 by
// "Connection: close", HTTP/2 by GOAWAY. New ones are taken as before.
func (s *Server) Leave() { s.leaving.Store(true) }

// Shutdown stops taking connections and returns when the requests under way
// have ended or the drain time is over.
func (s *Server) Shutdown() {
	s.mu.Lock()
	s.closed = true
	for _, p := range *s.ports.Swap(&ports{}) {
		s.release(p)
	}
	s.mu.Unlock()
	s.draining.Wait()
}

// Dial connects to one of the server's own ports, as one gateway does that
// forwards to another.
func (s *Server) Dial(ctx context.Context, gateway string, number int32) (net.Conn, error) {
	p := (*s.ports.Load())[portKey{gateway, number}]
	if p == nil {
		return nil, fmt.Errorf("gateway %s does not listen on port %d", gateway, number)
	}
	if m, ok := p.socket.(*Memory); ok {
		return m.Dial(ctx)
	}
	var d net.Dialer
	return d.DialContext(ctx, p.socket.Addr().Network(), p.socket.Addr().String())
}
