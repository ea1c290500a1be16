package proxy

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
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
	// Drain is how long a released port or a stopping server waits for
	// requests under way; 0 = 30 s.
	Drain time.Duration
	Log   *slog.Logger
}

// Server serves plans on Go listeners.
type Server struct {
	o Options

	mu       sync.Mutex // guards ports and closed; never held while serving
	ports    map[portKey]*port
	closed   bool
	draining sync.WaitGroup
}

type portKey struct {
	gateway string
	number  int32
}

// New returns a server without ports.
func New(o Options) *Server {
	if o.Drain <= 0 {
		o.Drain = 30 * time.Second
	}
	return &Server{o: o, ports: map[portKey]*port{}}
}

// Apply makes p the plan that is served. It returns when every port of the
// plan is bound; ports that are gone are drained in the background. When a
// port cannot be bound or the plan cannot be loaded, the old plan serves on
// and the error says which.
func (s *Server) Apply(ctx context.Context, p *plan.Plan) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return errors.New("the server has stopped")
	}
	// Everything that can fail comes first; then the parts are swapped.
	opened, err := s.open(p)
	if err != nil {
		return err
	}
	if err := s.o.Pool.Load(p); err != nil {
		release(opened)
		return err
	}
	if err := s.o.Engine.Load(p); err != nil {
		release(opened)
		return err
	}
	s.swap(p, opened)
	return nil
}

// open binds the ports of p that are not bound yet and checks the certificates
// of all.
func (s *Server) open(p *plan.Plan) (map[portKey]*port, error) {
	opened := map[portKey]*port{}
	for i := range p.Ports {
		pp := &p.Ports[i]
		key := portKey{pp.Gateway, pp.Number}
		if old := s.ports[key]; old != nil && old.tls == pp.TLS {
			continue
		}
		l, err := s.o.Listen(pp.Gateway, pp)
		if err != nil {
			release(opened)
			return nil, fmt.Errorf("gateway %s port %d: %w", pp.Gateway, pp.Number, err)
		}
		opened[key] = newPort(s, pp, l)
	}
	return opened, nil
}

func release(ports map[portKey]*port) {
	for _, p := range ports {
		p.socket.Close()
	}
}

// swap cannot fail.
func (s *Server) swap(p *plan.Plan, opened map[portKey]*port) {
	keep := map[portKey]*port{}
	for i := range p.Ports {
		pp := &p.Ports[i]
		key := portKey{pp.Gateway, pp.Number}
		if fresh := opened[key]; fresh != nil {
			keep[key] = fresh
		} else {
			keep[key] = s.ports[key]
		}
		keep[key].load(pp, p.Secrets)
	}
	for key, old := range s.ports {
		if keep[key] != old {
			s.draining.Go(func() { old.drain(s.o.Drain) })
		}
	}
	s.ports = keep
	for _, fresh := range opened {
		s.draining.Go(fresh.serve)
	}
}

// Bound is a port that is being served.
type Bound struct {
	Gateway string
	Port    int32
	TLS     bool
	Address net.Addr
}

// Bound lists the ports being served.
func (s *Server) Bound() []Bound {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []Bound
	for key, p := range s.ports {
		out = append(out, Bound{Gateway: key.gateway, Port: key.number, TLS: p.tls, Address: p.socket.Addr()})
	}
	return out
}

// Shutdown stops taking connections and returns when the requests under way
// have ended or the drain time is over.
func (s *Server) Shutdown() {
	s.mu.Lock()
	s.closed = true
	for _, p := range s.ports {
		s.draining.Go(func() { p.drain(s.o.Drain) })
	}
	s.ports = map[portKey]*port{}
	s.mu.Unlock()
	s.draining.Wait()
}

// Dial connects to one of the server's own ports, as one gateway does that
// forwards to another.
func (s *Server) Dial(ctx context.Context, gateway string, number int32) (net.Conn, error) {
	s.mu.Lock()
	p := s.ports[portKey{gateway, number}]
	s.mu.Unlock()
	if p == nil {
		return nil, fmt.Errorf("gateway %s does not listen on port %d", gateway, number)
	}
	if m, ok := p.socket.(*Memory); ok {
		return m.Dial(ctx)
	}
	var d net.Dialer
	return d.DialContext(ctx, p.socket.Addr().Network(), p.socket.Addr().String())
}
