package extproc

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	als "github.com/envoyproxy/go-control-plane/envoy/service/accesslog/v3"
	extproc "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/egret-gateway/egret/engine"
	"github.com/egret-gateway/egret/envoy"
	"github.com/egret-gateway/egret/plan"
)

// DefaultFlows bounds the requests that are under way at once.
const DefaultFlows = 20_000

const (
	// late is how long a log entry is waited for.
	late = 2 * time.Second
	// drain is how long Run lets requests end before it cuts them off.
	drain = 30 * time.Second
	// linger is how long a body may be behind its head.
	linger = 50 * time.Millisecond
	// small is a body that comes with its head, in bytes: clients need not wait
	// for a window.
	small = 64 << 10
	// overhead is room in a message beside a body.
	overhead = 1 << 20
)

// Options of a Server.
type Options struct {
	Engine *engine.Engine // required
	Log    *slog.Logger   // nil = none
	// Flows bounds the requests under way; more are answered 503. 0 means
	// DefaultFlows.
	Flows int
	// BodyLimit is the engine's, in bytes; 0 means engine.DefaultBodyLimit.
	BodyLimit int64
	// Inner reports whether a request for a Gateway comes from another of ours;
	// nil = none does.
	Inner func(gateway string, h http.Header) bool
	// Register adds services that share the socket, such as endpoint discovery.
	Register []func(grpc.ServiceRegistrar)
	// Drain bounds how long Run waits for requests when it ends; 0 means 30 s.
	Drain time.Duration
	// Late bounds how long the log entry of a request is waited for after its
	// stream has ended; 0 means 2 s.
	Late time.Duration
	// Linger is how long the refusal of a request over HTTP/2 waits for a small
	// body, which is then not cut off; 0 means 50 ms.
	Linger time.Duration
}

// Server is Envoy's external processor and access log.
type Server struct {
	extproc.UnimplementedExternalProcessorServer
	als.UnimplementedAccessLogServiceServer

	opts   Options
	flows  flows
	loaded atomic.Bool
	counts counts
}

// New returns a server that answers every request 404 until Load.
func New(o Options) *Server {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Flows <= 0 {
		o.Flows = DefaultFlows
	}
	if o.BodyLimit <= 0 {
		o.BodyLimit = engine.DefaultBodyLimit
	}
	if o.Drain <= 0 {
		o.Drain = drain
	}
	if o.Linger <= 0 {
		o.Linger = linger
	}
	if o.Inner == nil {
		o.Inner = func(string, http.Header) bool { return false }
	}
	if o.Late <= 0 {
		o.Late = late
	}
	return &Server{opts: o}
}

// Load makes p the plan of requests that begin from now on. Entries of the
// plans whose hashes are in keep are still served where Envoy names them. The
// engine must have been told that a router names its entries (Deps.Routed).
func (s *Server) Load(p *plan.Plan, keep ...string) error {
	if err := s.opts.Engine.Load(p, keep...); err != nil {
		return err
	}
	s.loaded.Store(true)
	return nil
}

// Ready says why requests cannot be served yet, nil when they can.
func (s *Server) Ready() error {
	if !s.loaded.Load() {
		return errors.New("no plan has arrived from the controller yet")
	}
	return nil
}

// Stats are the figures for /metrics.
type Stats struct {
	Flows    int64 // requests under way
	Requests int64 // since the start
	Tries    int64 // that the filter of a cluster looked at
	Messages int64 // received from filters
	Entries  int64 // of the access log that were waited for
	Lost     int64 // requests whose end nobody told
	Refused  int64 // because too many were under way
	Panics   int64
}

type counts struct {
	flows, requests, tries, messages, entries, lost, refused, panics atomic.Int64
}

// Stats returns the figures of this moment.
func (s *Server) Stats() Stats {
	c := &s.counts
	return Stats{
		Flows: c.flows.Load(), Requests: c.requests.Load(), Tries: c.tries.Load(), Messages: c.messages.Load(),
		Entries: c.entries.Load(), Lost: c.lost.Load(), Refused: c.refused.Load(), Panics: c.panics.Load(),
	}
}

// Run serves on l until ctx ends, then lets requests end for a while.
func (s *Server) Run(ctx context.Context, l net.Listener) error {
	g := grpc.NewServer(
		grpc.WaitForHandlers(true),
		grpc.MaxRecvMsgSize(int(s.opts.BodyLimit)+overhead),
		grpc.MaxSendMsgSize(int(s.opts.BodyLimit)+overhead),
		grpc.MaxConcurrentStreams(uint32(2*s.opts.Flows)), // each may be tried once more; the bound for people is Flows
		grpc.InitialWindowSize(1<<20), grpc.InitialConnWindowSize(8<<20),
	)
	extproc.RegisterExternalProcessorServer(g, s)
	als.RegisterAccessLogServiceServer(g, s)
	for _, register := range s.opts.Register {
		register(g)
	}
	served := make(chan error, 1)
	go func() { served <- g.Serve(l) }()
	stop := make(chan struct{})
	swept := make(chan struct{})
	go func() { defer close(swept); s.flows.sweep(stop, s) }()
	var err error
	select {
	case err = <-served:
		err = fmt.Errorf("serve ext_proc on %s: %w", l.Addr(), err)
	case <-ctx.Done():
		s.idle()
	}
	g.Stop()
	close(stop)
	<-swept
	s.flows.finish()
	return err
}

// idle waits until no request is under way, for as long as Options.Drain says.
// The streams of the access log and of discovery do not end by themselves.
func (s *Server) idle() {
	late := time.After(s.opts.Drain)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for s.counts.flows.Load() > 0 {
		select {
		case <-late:
			return
		case <-tick.C:
		}
	}
}

// Process serves one stream: one request, or one try of it.
func (s *Server) Process(from extproc.ExternalProcessor_ProcessServer) error {
	stream := &line{ExternalProcessor_ProcessServer: from}
	meta, _ := metadata.FromIncomingContext(stream.Context())
	if first(meta, envoy.MetaTry) != "" {
		return s.serve(stream, &try{server: s})
	}
	defer s.counts.flows.Add(-1)
	if s.counts.flows.Add(1) > int64(s.opts.Flows) {
		s.counts.refused.Add(1)
		return s.serve(stream, busy{})
	}
	s.counts.requests.Add(1)
	return s.serve(stream, &flow{server: s, ctx: stream.Context(), meta: meta, say: stream.Send})
}

// line is a stream on which more than one may speak.
type line struct {
	extproc.ExternalProcessor_ProcessServer
	mu sync.Mutex
}

// Send implements extproc.ExternalProcessor_ProcessServer.
func (l *line) Send(m *extproc.ProcessingResponse) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.ExternalProcessor_ProcessServer.Send(m)
}

// peer is one end of a stream of messages.
type peer interface {
	// answer is what to say to a message; nil is nothing.
	answer(*extproc.ProcessingRequest) *extproc.ProcessingResponse
	// over is called once, when the stream has ended.
	over()
	// apologise is the answer to a message that a bug of ours met.
	apologise() *extproc.ProcessingResponse
}

// serve answers the messages of a stream until it ends. A panic costs this
// stream alone.
func (s *Server) serve(stream extproc.ExternalProcessor_ProcessServer, p peer) (err error) {
	defer p.over()
	defer func() {
		if v := recover(); v != nil {
			s.counts.panics.Add(1)
			s.opts.Log.Error("BUG: a request panicked", "panic", v, "stack", string(debug.Stack()))
			if err = stream.Send(p.apologise()); err == nil {
				err = status.Error(codes.Internal, "a bug of egret extproc; its log has the stack")
			}
		}
	}()
	var m extproc.ProcessingRequest
	for {
		if err := stream.RecvMsg(&m); err != nil {
			return nil // Envoy has ended the request, or left
		}
		s.counts.messages.Add(1)
		out := p.answer(&m)
		if out == nil {
			continue
		}
		if err := stream.Send(out); err != nil {
			return nil
		}
	}
}

func first(meta metadata.MD, key string) string {
	if v := meta[key]; len(v) > 0 {
		return v[0]
	}
	return ""
}
