package endpoint

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/egret-gateway/egret/plan"
	"github.com/egret-gateway/egret/provider"
)

// Every is how often a name is looked up: 5 s, more or less by a quarter.
const Every = 5 * time.Second

const (
	together  = 16              // lookups at once
	patience  = 2 * time.Second // for one lookup
	addresses = 32              // of one name that are used
)

// Options of a Server. The zero value looks names up in DNS.
type Options struct {
	// Lookup returns the addresses of a name, which is one of those that
	// provider.Rooted makes; nil = provider.System.
	Lookup func(ctx context.Context, host string) ([]netip.Addr, error)
	// Names maps host and port to an address instead (--resolve); nil maps
	// nothing.
	Names func(host string, port int32) (string, bool)
	// Guard refuses addresses; nil = plan.Refused.
	Guard func(netip.Addr) error
	// Outside refuses more addresses of names that are not the cluster's own
	// (plan.LocalName); nil refuses none.
	Outside func(netip.Addr) error
	// Relay returns the socket that leads to a backend by its proxy; nil leads
	// to none.
	Relay func(*plan.Backend) string
	// Every is the time between two lookups of a name; 0 means Every.
	Every time.Duration
	Log   *slog.Logger     // nil = none
	Now   func() time.Time // nil = time.Now
}

// Server knows where the backends of a plan are.
type Server struct {
	opts Options
	kick chan struct{}

	mu       sync.Mutex
	hosts    map[string]*name       // by host name
	backends map[string]destination // by the backend's name
	withheld map[string]bool        // "<backend> <address>" that the log has already
	told     map[string]resource    // by the backend's name
	changed  chan struct{}          // closed when told changes
}

type destination struct {
	host  string
	port  int32
	fence *provider.Lists // the operator's for the namespace
	relay string          // the socket that leads there, "" = directly
	shut  bool            // nothing leads there
}

// name is what is known of a host name.
type name struct {
	addrs   []netip.Addr // checked, sorted
	known   bool         // it has been looked up, with whatever result
	failed  error        // of the last lookup
	at      time.Time
	refused []netip.Addr // that the log has already
	due     time.Time
}

// New returns a server that knows no backend.
func New(o Options) *Server {
	if o.Lookup == nil {
		o.Lookup = provider.System
	}
	if o.Names == nil {
		o.Names = func(string, int32) (string, bool) { return "", false }
	}
	if o.Guard == nil {
		o.Guard = plan.Refused
	}
	if o.Outside == nil {
		o.Outside = func(netip.Addr) error { return nil }
	}
	if o.Every <= 0 {
		o.Every = Every
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Server{
		opts: o, kick: make(chan struct{}, 1), changed: make(chan struct{}),
		withheld: map[string]bool{}, hosts: map[string]*name{}, backends: map[string]destination{}, told: map[string]resource{},
	}
}

// Load makes p's the backends that are known. Names that were known stay so.
func (s *Server) Load(p *plan.Plan) {
	s.mu.Lock()
	defer s.mu.Unlock()
	hosts := map[string]*name{}
	clear(s.backends)
	clear(s.withheld)
	for i := range p.Backends {
		b := &p.Backends[i]
		if b.Host == "" {
			continue
		}
		to, err := s.destination(b)
		if err != nil {
			s.opts.Log.Error("a backend cannot be reached", "backend", b.Name, "error", err)
		}
		to.shut = err != nil || b.Fault != nil // of a host that may not be used, nobody need know where it is
		s.backends[b.Name] = to
		if to.shut || to.relay != "" {
			continue
		}
		if hosts[b.Host] = s.hosts[b.Host]; hosts[b.Host] == nil {
			hosts[b.Host] = &name{}
		}
	}
	s.hosts = hosts
	s.tell()
	select {
	case s.kick <- struct{}{}:
	default:
	}
}

// destination reads where a backend is. One that is reached by a proxy is at a
// socket in the pod, behind which the tunnel begins (Options.Relay).
func (s *Server) destination(b *plan.Backend) (to destination, err error) {
	to = destination{host: b.Host, port: b.Port}
	if b.Proxy != nil {
		if s.opts.Relay == nil {
			return to, errors.New("no relay leads to proxies here")
		}
		to.relay = s.opts.Relay(b)
		return to, nil
	}
	to.fence, err = provider.NewLists(b.Fence)
	return to, err
}

// Run looks names up until ctx ends.
func (s *Server) Run(ctx context.Context) error {
	for {
		timer := time.NewTimer(s.round(ctx))
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-timer.C:
		case <-s.kick:
			timer.Stop()
		}
	}
}

// round looks up what is due, and returns how long nothing will be.
func (s *Server) round(ctx context.Context) time.Duration {
	s.mu.Lock()
	now := s.opts.Now()
	var due []string
	for host, n := range s.hosts {
		if !now.Before(n.due) {
			due = append(due, host)
		}
	}
	s.mu.Unlock()
	slices.Sort(due)
	room := make(chan struct{}, together)
	var all sync.WaitGroup
	for _, host := range due {
		room <- struct{}{}
		all.Go(func() {
			defer func() { <-room }()
			s.refresh(ctx, host)
		})
	}
	all.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(due) > 0 {
		s.tell()
	}
	next := s.opts.Every
	for _, n := range s.hosts {
		next = min(next, n.due.Sub(s.opts.Now()))
	}
	return max(next, 10*time.Millisecond)
}

// refresh looks one name up. A failure leaves what was known.
func (s *Server) refresh(ctx context.Context, host string) {
	found, err := s.lookup(ctx, host)
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.hosts[host]
	if n == nil || ctx.Err() != nil {
		return
	}
	n.due = s.opts.Now().Add(s.opts.Every*3/4 + rand.N(s.opts.Every/2+1))
	n.known, n.at = true, s.opts.Now()
	was := n.failed
	if n.failed = err; err != nil {
		if provider.Gone(err) && provider.Gone(was) {
			n.addrs = nil
		}
		if was == nil {
			s.opts.Log.Warn("a backend's name cannot be looked up; its last addresses serve on unless it is gone", "host", host, "addresses", len(n.addrs), "error", err)
		}
		return
	}
	n.addrs = s.check(n, host, found)
}

func (s *Server) lookup(ctx context.Context, host string) ([]netip.Addr, error) {
	if a, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{a}, nil
	}
	if err := provider.Stray(host); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return s.opts.Lookup(ctx, provider.Rooted(host))
}

// Known is what the last lookup of a backend's name came to; at is zero when
// there was none, or when the name is not looked up here.
func (s *Server) Known(b *plan.Backend) (found []netip.Addr, at time.Time, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	to, ok := s.backends[b.Name]
	n := s.hosts[to.host]
	if !ok || to.relay != "" || to.shut || n == nil {
		return nil, time.Time{}, nil
	}
	if n.failed != nil {
		return nil, n.at, n.failed
	}
	there, _ := s.addresses(b.Name, to)
	if len(there) == 0 && n.known {
		return nil, n.at, fmt.Errorf("%s leads to no address that may be dialled", to.host)
	}
	for _, a := range there {
		found = append(found, a.Addr())
	}
	return found, n.at, nil
}

// check leaves out what must not be dialled and says so once. Of an answer that
// is longer than what is used, nothing is said of the rest. The caller holds s.mu.
func (s *Server) check(n *name, host string, found []netip.Addr) (good []netip.Addr) {
	found = slices.Clone(found)
	for i := range found {
		found[i] = found[i].Unmap()
	}
	slices.SortFunc(found, netip.Addr.Compare) // IPv4 first
	found = slices.Compact(found)
	var refused []netip.Addr
	for _, a := range found[:min(len(found), addresses)] {
		err := s.opts.Guard(a)
		if err == nil && !plan.LocalName(host) {
			err = s.opts.Outside(a)
		}
		if err != nil {
			if !slices.Contains(n.refused, a) {
				s.opts.Log.Warn("an address of a backend is left out", "host", host, "error", err)
			}
			refused = append(refused, a)
			continue
		}
		good = append(good, a)
	}
	n.refused = refused
	return good
}
