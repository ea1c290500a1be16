package sim

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"strconv"

	"github.com/egret-gateway/egret/sim/serve"
)

// Server simulates one model with all its data-parallel ranks.
type Server struct {
	cfg   Config
	ranks []*rank
}

// New makes a simulator, or says what is wrong with its configuration.
func New(c Config) (*Server, error) {
	if err := c.Check(); err != nil {
		return nil, err
	}
	c.fill()
	s := &Server{cfg: c}
	for i := range c.DataParallelSize {
		s.ranks = append(s.ranks, newRank(c, i))
	}
	return s, nil
}

// Handler serves rank 0 without a listener of its own.
func (s *Server) Handler() http.Handler { return s.ranks[0] }

// Run listens on the configured ports, one per rank, and serves until ctx ends and open requests are drained.
func (s *Server) Run(ctx context.Context) error {
	listeners := make([]net.Listener, 0, len(s.ranks))
	for i := range s.ranks {
		l, err := new(net.ListenConfig).Listen(ctx, "tcp", net.JoinHostPort("", strconv.Itoa(s.cfg.Port+i)))
		if err != nil {
			for _, l := range listeners {
				_ = l.Close() // never served
			}
			return fmt.Errorf("simulator rank %d: %w", i, err)
		}
		listeners = append(listeners, l)
	}
	return s.Serve(ctx, listeners...)
}

// Serve is Run with listeners that are there already, one per rank in order; it closes them.
func (s *Server) Serve(ctx context.Context, listeners ...net.Listener) error {
	if len(listeners) != len(s.ranks) {
		return fmt.Errorf("simulator: %d listeners for %d ranks", len(listeners), len(s.ranks))
	}
	tls, err := serve.TLS{CertFile: s.cfg.SSLCertFile, KeyFile: s.cfg.SSLKeyFile, SelfSigned: s.cfg.SelfSignedCerts}.Config()
	if err != nil {
		return fmt.Errorf("simulator: %w", err)
	}
	sites := make([]serve.Site, len(listeners))
	for i, l := range listeners {
		sites[i] = serve.Site{Listener: l, Handler: s.ranks[i]}
		s.cfg.Log.Info("simulator listens", "address", l.Addr().String(), "model", s.cfg.Model, "rank", i, "tls", tls != nil)
	}
	return serve.Run(ctx, tls, sites...)
}
