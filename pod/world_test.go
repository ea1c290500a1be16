package pod

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"
	"k8s.io/client-go/rest"

	"github.com/egret-gateway/egret/feed"
	"github.com/egret-gateway/egret/plan"
	"github.com/egret-gateway/egret/policy/quota"
	"github.com/egret-gateway/egret/source"
	"github.com/egret-gateway/egret/store"
	"github.com/egret-gateway/egret/telemetry"
	"github.com/egret-gateway/egret/xds"
)

// controller is one that pods connect to, until it is away.
type controller struct {
	*xds.Server
	listener *bufconn.Listener
	grpc     *grpc.Server
}

func newController(t *testing.T) *controller {
	c := &controller{
		Server: xds.NewServer(xds.Options{
			Authenticate: func(context.Context) (xds.Peer, error) {
				return xds.Peer{Nodes: func(string) bool { return true }}, nil
			},
		}),
		listener: bufconn.Listen(1 << 20), grpc: grpc.NewServer(xds.ServerOptions()...),
	}
	c.Register(c.grpc)
	go func() { _ = c.grpc.Serve(c.listener) }()
	t.Cleanup(c.grpc.Stop)
	return c
}

// ledger is a database in memory.
type ledger struct {
	mu      sync.Mutex
	entries []store.Entry
	closed  bool
}

// Save implements store.Saver.
func (l *ledger) Save(_ context.Context, entries []store.Entry, _ []store.Counter) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.entries = append(l.entries, entries...)
	return nil
}

func (l *ledger) saved() []store.Entry {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]store.Entry(nil), l.entries...)
}

// running is a pod with its probes.
type running struct {
	*pod
	t      *testing.T
	probes string // URL
	stop   func() // ends it, and waits until it has ended
}

// start runs a native pod of the Gateway. A nil controller is one that is away.
func start(t *testing.T, gateway, keep string, c *controller, l *ledger, change ...func(*Options)) *running {
	t.Helper()
	o := Options{
		DrainWord: "please",
		Plane:     source.PlaneNative, Gateway: gateway, Node: gateway, XDSAddress: "controller:1", Keep: keep,
		Drain: time.Minute, Config: &rest.Config{Host: "http://127.0.0.1:1"}, Log: slog.New(slog.DiscardHandler), Version: "0.1",
	}
	for _, do := range change {
		do(&o)
	}
	p := newPod(o)
	p.notice, p.guard = 0, func(netip.Addr) error { return nil } // backends are on this host
	p.feed.Stream.Options = []grpc.DialOption{grpc.WithTransportCredentials(insecure.NewCredentials())}
	p.feed.Stream.Dial = func(ctx context.Context, _ string) (net.Conn, error) {
		if c == nil {
			return nil, fmt.Errorf("nobody is there")
		}
		return c.listener.DialContext(ctx)
	}
	p.open = func(context.Context, feed.Settings, *telemetry.Metrics, *slog.Logger) (*state, error) {
		w := store.NewWriter(l)
		return &state{
			limiter: quota.NewMemory(quota.Options{}), ledger: &telemetry.Ledger{Writer: w}, loops: []func(context.Context) error{w.Run},
			close: []func() error{func() error { l.closed = true; return nil }},
		}, nil
	}
	probes, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- p.run(ctx, probes) }()
	stop := sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	return &running{p, t, "http://" + probes.Addr().String(), stop}
}

// probe asks a path of port 15021.
func (r *running) probe(path string) (int, string) {
	res, err := http.Get(r.probes + path)
	if err != nil {
		r.t.Fatal(err)
	}
	defer res.Body.Close()
	text, _ := io.ReadAll(res.Body)
	return res.StatusCode, strings.TrimSpace(string(text))
}

// address is where the pod serves, once it is ready.
func (r *running) address() string {
	r.t.Helper()
	await(r.t, func() bool { code, _ := r.probe("/ready"); return code == http.StatusOK })
	b := r.plane.(*native).server.Bound()
	_, port, _ := net.SplitHostPort(b[0].Address.String())
	return "127.0.0.1:" + port
}

// chat makes an AI call and returns the answer's status.
func chat(t *testing.T, address string, with ...string) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+address+"/v1/chat/completions", strings.NewReader(`{"model":"m","messages":[]}`))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(with); i += 2 {
		req.Header.Set(with[i], with[i+1])
	}
	res, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Error(err)
		return 0
	}
	defer res.Body.Close()
	_, _ = io.Copy(io.Discard, res.Body)
	return res.StatusCode
}

// model is a backend that answers when it may.
func model(t *testing.T, may <-chan struct{}, asked chan<- struct{}) plan.Endpoint {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		if asked != nil {
			asked <- struct{}{}
		}
		if may != nil {
			<-may
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.Copy(w, bytes.NewReader([]byte(`{"usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3}}`)))
	}))
	t.Cleanup(s.Close)
	return at(s.Listener.Addr().String())
}

func at(address string) plan.Endpoint {
	host, port, _ := net.SplitHostPort(address)
	var n int32
	_, _ = fmt.Sscan(port, &n)
	return plan.Endpoint{Address: host, Port: n}
}

// fed is the feed of a Gateway with one route to one backend.
func fed(gateway string, to plan.Endpoint, change ...func(*feed.Feed)) *feed.Feed {
	b := plan.Backend{Name: "b", Object: "Service default/b", Protocol: plan.HTTP, Platform: true, Endpoints: []plan.Endpoint{to}, AskUsage: true}
	f := &feed.Feed{Gateway: gateway, Plan: &plan.Plan{
		Ports: []plan.Port{{Gateway: gateway, Number: 0, Listeners: []plan.Listener{{Name: "http", VHosts: []plan.VHost{{Domain: "*", Entries: []plan.Entry{{
			ID: "e", Rule: "default/r/0", Match: plan.Match{Path: plan.PathMatch{Kind: plan.PathPrefix, Value: "/"}},
		}}}}}}}},
		Rules: []plan.Rule{{
			Name: "default/r/0", Route: "default/r", Targets: []plan.Target{{Backend: "b", Weight: 1}},
			Timeouts: plan.Timeouts{Request: time.Minute, Idle: time.Minute},
		}},
		Backends: []plan.Backend{b},
	}}
	for _, c := range change {
		c(f)
	}
	return f
}

// give makes f what the controller has for a Gateway.
func (c *controller) give(f *feed.Feed) {
	s := xds.NewSet(feed.Types, f.Resources())
	s.ID, s.Gate = f.Plan.Hash(), len(feed.Types)
	c.Put(f.Gateway, s)
}

// kept is a file for Options.Keep.
func kept(t *testing.T) string { return filepath.Join(t.TempDir(), "feed") }

// await waits until something holds.
func await(t *testing.T, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for late := time.After(30 * time.Second); !holds(); {
		select {
		case <-tick.C:
		case <-late:
			t.Fatal("it does not come about")
		}
	}
}
