package xds

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	statuspb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/keepalive"
)

// Bounds of the client.
const (
	maxResponse = 32 << 20 // bytes
	shortest    = 200 * time.Millisecond
	longest     = 2 * time.Second // between two attempts, as Envoy's are
	connectTime = 10 * time.Second
	applyTime   = time.Minute
)

// Change is one response: what is new or other of a type, and what is gone.
type Change struct {
	Type    string
	Changed []Resource
	Removed []string
}

// State is how a client stands with its server.
type State struct {
	// Connected: a server has accepted the stream that is open now.
	Connected bool
	// Heard is when a byte of the server last arrived, pings and their answers
	// included; zero = never. With a Server of this package at the other end
	// it is never more than a few seconds old while all is well.
	Heard time.Time
	// Err is why the last stream ended or could not be opened; nil while one
	// is open.
	Err error
}

// Client takes all resources of some types from a Server, by the incremental
// protocol. Its fields are set before Run and not changed after.
type Client struct {
	Target  string            // host:port
	Options []grpc.DialOption // transport and per-call credentials
	Node    string            // node id
	Agent   string            // what the program calls itself: "egret-proxy"
	Version string            // of the program
	Types   []string
	// Dial makes the connection to an address; nil dials TCP.
	Dial func(ctx context.Context, address string) (net.Conn, error)
	// Beside is called with each connection once a stream on it was accepted, and
	// may call other services there until ctx ends; nil = there are none.
	Beside func(ctx context.Context, conn grpc.ClientConnInterface)
	// Told is called when State.Connected changes; nil = nobody wants to know.
	Told func(connected bool)
	Log  *slog.Logger     // nil = none
	Now  func() time.Time // nil = time.Now

	heard    atomic.Int64 // Unix nanoseconds
	accepted atomic.Bool  // the server has taken the stream that there is
	mu       sync.Mutex
	state    State
	versions map[string]map[string]string // by type and name; of Run alone
}

// State returns the state of this moment.
func (c *Client) State() State {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.state
	if ns := c.heard.Load(); ns != 0 {
		s.Heard = time.Unix(0, ns)
	}
	return s
}

// Run hands every change to apply, one at a time, until ctx ends. What apply
// refuses is refused to the server, with the error's text, and the stream goes
// on. A lost stream is opened again, to whichever server answers then, and
// begins with the versions that are here already. Run returns nil.
func (c *Client) Run(ctx context.Context, apply func(ctx context.Context, change Change) error) error {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	c.versions = make(map[string]map[string]string, len(c.Types))
	for _, t := range c.Types {
		c.versions[t] = map[string]string{}
	}
	for pause := shortest; ; pause = min(2*pause, longest) {
		began := c.Now()
		err := c.once(ctx, apply)
		c.lost(err)
		if ctx.Err() != nil {
			return nil
		}
		if c.Now().Sub(began) > connectTime {
			pause = shortest
		}
		c.Log.Info("configuration stream ended; connecting again", "server", c.Target, "error", err, "in", pause)
		select {
		case <-time.After(pause/2 + rand.N(pause/2)):
		case <-ctx.Done():
			return nil
		}
	}
}

// once runs one connection. It is not kept for the next stream: behind one
// address there may be several servers of which only one leads.
func (c *Client) once(ctx context.Context, apply func(context.Context, Change) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	conn, err := grpc.NewClient("passthrough:///"+c.Target, c.options()...)
	if err != nil {
		return fmt.Errorf("connect to %s: %w", c.Target, err)
	}
	defer func() { _ = conn.Close() }()

	silent := time.AfterFunc(2*connectTime, func() { cancel(errors.New("the server did not accept the stream in time")) })
	defer silent.Stop()
	stream, err := discovery.NewAggregatedDiscoveryServiceClient(conn).DeltaAggregatedResources(ctx)
	if err != nil {
		return cause(ctx, err)
	}
	for i, t := range c.Types {
		hello := &discovery.DeltaDiscoveryRequest{TypeUrl: t, ResourceNamesSubscribe: []string{"*"}, InitialResourceVersions: c.versions[t]}
		if i == 0 {
			hello.Node = c.node()
		}
		if err := stream.Send(hello); err != nil {
			break // Header or Recv tells why
		}
	}
	accepted, err := stream.Header()
	if err != nil {
		return cause(ctx, err)
	}
	if silent.Stop() && accepted != nil { // nil: refused, as Recv tells
		c.connected()
		if c.Beside != nil {
			var beside sync.WaitGroup
			defer func() { cancel(nil); beside.Wait() }()
			beside.Go(func() { c.Beside(ctx, conn) })
		}
	}
	for {
		m, err := stream.Recv()
		if err != nil {
			return cause(ctx, err)
		}
		if err := stream.Send(c.answer(ctx, m, apply)); err != nil {
			c.Log.Debug("acknowledge", "error", err) // Recv tells why
		}
	}
}

// answer applies a response and returns the acknowledgement or the refusal.
func (c *Client) answer(ctx context.Context, m *discovery.DeltaDiscoveryResponse, apply func(context.Context, Change) error) *discovery.DeltaDiscoveryRequest {
	answer := &discovery.DeltaDiscoveryRequest{TypeUrl: m.GetTypeUrl(), ResponseNonce: m.GetNonce()}
	if err := c.apply(ctx, m, apply); err != nil {
		text := err.Error()
		if len(text) > maxMessage {
			text = text[:maxMessage]
		}
		answer.ErrorDetail = &statuspb.Status{Code: int32(codes.InvalidArgument), Message: strings.ToValidUTF8(text, "")}
	}
	return answer
}

func (c *Client) apply(ctx context.Context, m *discovery.DeltaDiscoveryResponse, apply func(context.Context, Change) error) error {
	versions, ok := c.versions[m.GetTypeUrl()]
	if !ok {
		return fmt.Errorf("type %q was not asked for", m.GetTypeUrl())
	}
	change := Change{Type: m.GetTypeUrl(), Removed: m.GetRemovedResources()}
	for _, r := range m.GetResources() {
		if r.GetResource().GetTypeUrl() != change.Type {
			return fmt.Errorf("resource %q is of type %q, not %q", r.GetName(), r.GetResource().GetTypeUrl(), change.Type)
		}
		change.Changed = append(change.Changed, Resource{Type: change.Type, Name: r.GetName(), Version: r.GetVersion(), Value: r.GetResource().GetValue()})
	}
	ctx, cancel := context.WithTimeout(ctx, applyTime)
	defer cancel()
	if err := apply(ctx, change); err != nil {
		return err
	}
	for _, r := range change.Changed {
		versions[r.Name] = r.Version
	}
	for _, name := range change.Removed {
		delete(versions, name)
	}
	return nil
}

func (c *Client) node() *core.Node {
	return &core.Node{Id: c.Node, UserAgentName: c.Agent, UserAgentVersionType: &core.Node_UserAgentVersion{UserAgentVersion: c.Version}}
}

// options are the caller's and what bounds every wait.
func (c *Client) options() []grpc.DialOption {
	return append([]grpc.DialOption{
		grpc.WithContextDialer(c.dial),
		grpc.WithNoProxy(),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxResponse)),
		grpc.WithConnectParams(grpc.ConnectParams{Backoff: backoff.DefaultConfig, MinConnectTimeout: connectTime}),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 10 * time.Second, Timeout: 5 * time.Second}),
	}, c.Options...)
}

func (c *Client) connected() {
	c.heard.Store(c.Now().UnixNano())
	c.accepted.Store(true)
	c.mu.Lock()
	was := c.state.Connected
	c.state.Connected, c.state.Err = true, nil
	c.mu.Unlock()
	if !was && c.Told != nil {
		c.Told(true)
	}
}

func (c *Client) lost(err error) {
	c.accepted.Store(false)
	c.mu.Lock()
	was := c.state.Connected
	c.state.Connected, c.state.Err = false, err
	c.mu.Unlock()
	if was && c.Told != nil {
		c.Told(false)
	}
}

// cause prefers our own reason for the end of a context to gRPC's "canceled".
func cause(ctx context.Context, err error) error {
	if why := context.Cause(ctx); why != nil {
		return why
	}
	return err
}
