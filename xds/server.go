package xds

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/keepalive"
)

// Bounds of what peers may ask for.
const (
	maxRequest  = 8 << 20 // bytes of a request: names and versions, never content
	maxChunk    = 1 << 20 // bytes of resources after which a delta response ends
	maxTypes    = 64      // per stream
	maxName     = 1 << 10 // bytes of a name
	maxNames    = 10_000  // names subscribed to per stream, all types together
	maxMessage  = 4 << 10 // bytes of a NACK's text that are kept
	maxPerNode  = 256     // streams
	maxStreams  = 4096    // streams of all nodes
	firstWord   = 10 * time.Second
	companion   = 30 * time.Second // for which a peer waits at the gate for one of its host
	checkLeader = time.Second
)

// Options say who may have what. Authenticate is needed: a server without it
// refuses everybody.
type Options struct {
	// Authenticate tells from a stream's context (its metadata
	// "authorization: Bearer …") who the peer is. An error ends the stream as
	// UNAUTHENTICATED; its text goes to the log alone.
	Authenticate func(ctx context.Context) (Peer, error)
	// Serving says why streams cannot be served now, as long as another
	// replica leads; nil error or nil function serves. Streams end within a
	// second after it starts to return an error.
	Serving func() error
	// Changed is called after acknowledgements or streams of a node changed;
	// one call may stand for many changes, and calls for one node never
	// overlap. It must return soon.
	Changed func(node string)
	// Patience is how long an answer is waited for before what depends on it
	// is sent all the same; 0 means 5 s.
	Patience time.Duration
	Log      *slog.Logger     // nil = none
	Now      func() time.Time // nil = time.Now
}

// Peer is who is at the other end of a stream.
type Peer struct {
	// Nodes reports whether the peer may speak for a node.
	Nodes func(node string) bool
	// Host names what the peer runs in. What is behind a Set's gate is for
	// peers whose hosts have one that hears what is before it; "" is not known,
	// and waits for nobody in particular.
	Host string
}

// Server is an aggregated discovery service (ADS). It is safe for concurrent
// use.
type Server struct {
	opts Options

	mu       sync.Mutex // before node.mu, when both are held
	nodes    map[string]*node
	streams  int
	accepted int64 // streams since the start

	counts counts
}

// NewServer returns a server that knows no node yet; a stream that comes
// before its node's Set waits for it.
func NewServer(o Options) *Server {
	if o.Patience == 0 {
		o.Patience = 5 * time.Second
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Serving == nil {
		o.Serving = func() error { return nil }
	}
	if o.Changed == nil {
		o.Changed = func(string) {}
	}
	if o.Authenticate == nil {
		o.Authenticate = func(context.Context) (Peer, error) {
			return Peer{}, errors.New("this server was given no way to authenticate")
		}
	}
	return &Server{opts: o, nodes: map[string]*node{}, counts: counts{byType: map[string]Count{}}}
}

// ServerOptions are those that a grpc.Server for Register should have: bounds
// on what is received, and pings, by which dead peers are noticed and clients
// hear from us at least every three seconds.
func ServerOptions() []grpc.ServerOption {
	return []grpc.ServerOption{
		grpc.MaxRecvMsgSize(maxRequest),
		grpc.MaxConcurrentStreams(16),
		grpc.ConnectionTimeout(10 * time.Second),
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: 3 * time.Second, Timeout: 10 * time.Second}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 5 * time.Second, PermitWithoutStream: true}),
	}
}

// Register adds the service to g.
func (s *Server) Register(g *grpc.Server) {
	discovery.RegisterAggregatedDiscoveryServiceServer(g, &service{server: s})
}

// Put makes set what the node may have from now on. What was not yet sent of
// the Set before is not sent any more. A nil Set forgets the node and ends its
// streams.
func (s *Server) Put(id string, set *Set) {
	if set != nil {
		s.counts.know(set)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.nodes[id]
	if n == nil {
		if set == nil {
			return
		}
		n = s.node(id)
	}
	n.put(set)
	s.forget(n)
}

// node returns the node with that id, a new one when there is none. The caller
// holds s.mu.
func (s *Server) node(id string) *node {
	n := s.nodes[id]
	if n == nil {
		n = &node{id: id, streams: map[*stream]struct{}{}, patience: s.opts.Patience}
		s.nodes[id] = n
	}
	return n
}

// forget drops a node that nobody needs. The caller holds s.mu.
func (s *Server) forget(n *node) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.set == nil && len(n.streams) == 0 && s.nodes[n.id] == n {
		delete(s.nodes, n.id)
	}
}

// Streams says who is connected for a node and what each stream has
// acknowledged, oldest stream first.
func (s *Server) Streams(id string) []Stream {
	s.mu.Lock()
	n := s.nodes[id]
	s.mu.Unlock()
	if n == nil {
		return nil
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	var out []Stream
	for st := range n.streams {
		out = append(out, st.snapshot())
	}
	slices.SortFunc(out, func(a, b Stream) int { return int(a.number - b.number) })
	return out
}

// changed tells the reader that something about n changed. No lock is held.
func (s *Server) changed(n *node) {
	for n.begin() {
		s.opts.Changed(n.id)
		n.done()
	}
}

// Stream is what is known of one connected peer at one moment.
type Stream struct {
	Peer  string // address
	Host  string // Peer.Host
	Agent string // user agent, with its version
	Delta bool   // the incremental protocol
	Since time.Time
	Types []Subscription // sorted by Type

	number int64
}

// Subscription is one type on one stream.
type Subscription struct {
	Type     string
	Wildcard bool
	Names    int    // number of names asked for
	Acked    string // ID of the Set up to which everything was acknowledged
	Nack     *Nack  // the last refusal that nothing newer was accepted after
}

// Nack is a peer's refusal of a response.
type Nack struct {
	Set     string // ID of the Set that was refused
	Message string // at most 4 KiB
	At      time.Time
}

// Count is what was done for one type since the start, but for Streams.
type Count struct {
	Pushes    uint64 // responses
	Resources uint64 // in them, removals included
	Bytes     uint64 // of the resources' values
	Nacks     uint64
	Streams   int // that subscribe now
}

// other is the key in Counts of types that no Set has had.
const other = "other"

// Counts returns the figures by type URL. Types that no Set has had go by the
// name "other", so that peers cannot make the list long.
func (s *Server) Counts() map[string]Count {
	out := s.counts.clone()
	s.mu.Lock()
	nodes := slices.Collect(maps.Values(s.nodes))
	s.mu.Unlock()
	for _, n := range nodes {
		n.mu.Lock()
		for st := range n.streams {
			for t := range st.subs {
				if _, known := out[t]; !known {
					t = other
				}
				c := out[t]
				c.Streams++
				out[t] = c
			}
		}
		n.mu.Unlock()
	}
	return out
}

type counts struct {
	mu     sync.Mutex
	byType map[string]Count
}

// know makes the types of a Set keys.
func (c *counts) know(set *Set) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range set.Types {
		if _, ok := c.byType[set.Types[i].Type]; !ok {
			c.byType[set.Types[i].Type] = Count{}
		}
	}
}

func (c *counts) add(typeURL string, change func(*Count)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	n, ok := c.byType[typeURL]
	if !ok {
		typeURL = other
		n = c.byType[other]
	}
	change(&n)
	c.byType[typeURL] = n
}

func (c *counts) clone() map[string]Count {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.byType)
}
