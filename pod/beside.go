package pod

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"

	"github.com/egret-gateway/egret/engine"
	"github.com/egret-gateway/egret/envoy/endpoint"
	"github.com/egret-gateway/egret/envoy/extproc"
	"github.com/egret-gateway/egret/feed"
	"github.com/egret-gateway/egret/provider"
)

// beside is the engine next to Envoy.
type beside struct {
	socket    string
	processor *extproc.Server
	endpoints *endpoint.Server
	relay     *provider.Relay
	envoy     *http.Client // Envoy's admin interface
	ports     atomic.Int64 // of the plan
	listens   atomic.Bool  // Envoy can ask
	log       *slog.Logger
}

func newBeside(o Options, e *engine.Engine, h hop, d *provider.Dialer) *beside {
	relay := &provider.Relay{Dialer: d, Dir: filepath.Dir(o.Socket), Log: o.Log}
	endpoints := endpoint.New(endpoint.Options{Guard: d.Guard, Outside: d.Outside, Relay: relay.Socket, Log: o.Log})
	return &beside{
		socket: o.Socket, endpoints: endpoints, relay: relay, log: o.Log,
		processor: extproc.New(extproc.Options{Engine: e, Log: o.Log, Inner: h.from, Drain: o.Drain, Register: []func(grpc.ServiceRegistrar){endpoints.Register}}),
		envoy: &http.Client{Timeout: 2 * time.Second, Transport: &http.Transport{
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				var d net.Dialer
				return d.DialContext(ctx, "unix", o.Admin)
			},
		}},
	}
}

func (b *beside) apply(_ context.Context, f *feed.Feed) error {
	if err := b.relay.Load(f.Plan); err != nil { // that backend alone is not reached
		b.log.Error("backends behind a proxy", "error", err)
	}
	b.endpoints.Load(f.Plan)
	if err := b.processor.Load(f.Plan, f.Keep...); err != nil {
		return err
	}
	b.ports.Store(int64(len(f.Plan.Ports)))
	return nil
}

// ready asks Envoy, which is so when it has its listeners.
func (b *beside) ready() error {
	if err := b.processor.Ready(); err != nil {
		return err
	}
	text, err := b.ask(http.MethodGet, "/ready")
	switch {
	case !b.listens.Load():
		return errors.New("the engine does not listen yet")
	case err != nil:
		return fmt.Errorf("admin interface of Envoy: %w", err)
	case strings.TrimSpace(text) != "LIVE":
		return errors.New("the state of Envoy is " + strings.TrimSpace(text))
	}
	// Envoy is live without any configuration, too, when it has waited for
	// some in vain.
	listening, err := b.sum("listener_manager.total_listeners_active$")
	if ports := b.ports.Load(); err == nil && (listening < ports || ports == 0) {
		return fmt.Errorf("%d of %d listeners are active in Envoy", listening, ports)
	}
	return err
}

// leave has Envoy ask its clients to go elsewhere; it takes connections as
// before.
func (b *beside) leave() {
	if _, err := b.ask(http.MethodPost, "/drain_listeners?graceful&skip_exit"); err != nil {
		b.log.Warn("Envoy cannot be drained", "error", err)
	}
}

// drain waits until no request is under way.
func (b *beside) drain(ctx context.Context) {
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		n, err := b.sum("downstream_rq_active$")
		gone := errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, os.ErrNotExist)
		if gone || err == nil && n == 0 {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// sum adds up Envoy's statistics whose names match a pattern.
func (b *beside) sum(pattern string) (n int64, err error) {
	text, err := b.ask(http.MethodGet, "/stats?usedonly&filter="+url.QueryEscape(pattern))
	if err != nil {
		return 0, err
	}
	lines := bufio.NewScanner(strings.NewReader(text))
	for lines.Scan() {
		name, value, ok := strings.Cut(lines.Text(), ": ")
		if ok && !strings.HasPrefix(name, "http.admin.") { // which counts the request that asks
			v, _ := strconv.ParseInt(value, 10, 64)
			n += v
		}
	}
	return n, nil
}

func (b *beside) ask(method, path string) (string, error) {
	req, err := http.NewRequest(method, "http://envoy"+path, nil)
	if err != nil {
		return "", err
	}
	res, err := b.envoy.Do(req)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	return string(text), err
}

func (b *beside) run(ctx context.Context) error {
	if err := os.Remove(b.socket); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	l, err := net.Listen("unix", b.socket)
	if err != nil {
		return fmt.Errorf("socket for Envoy: %w", err)
	}
	b.listens.Store(true)
	group, run := errgroup.WithContext(ctx)
	group.Go(func() error { return b.endpoints.Run(run) })
	group.Go(func() error { return b.relay.Run(run) })
	group.Go(func() error { return b.processor.Run(run, l) })
	return group.Wait()
}
