package pod

import (
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/egret-gateway/egret/source"
)

// admin is Envoy's admin interface, as far as the engine beside it asks.
type admin struct {
	state             atomic.Pointer[string] // what /ready says
	listeners, active atomic.Int64
	drained, mute     atomic.Bool
	asked             chan struct{} // one per look at the requests under way
}

func newAdmin(t *testing.T, path string) *admin {
	a := &admin{asked: make(chan struct{}, 1000)}
	a.is("PRE_INITIALIZING")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: a}
	go func() { _ = s.Serve(l) }()
	t.Cleanup(func() { s.Close() })
	return a
}

func (a *admin) is(state string) { a.state.Store(&state) }

// ServeHTTP implements http.Handler.
func (a *admin) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch filter := r.URL.Query().Get("filter"); {
	case r.URL.Path == "/ready":
		fmt.Fprintln(w, *a.state.Load())
	case r.URL.Path == "/drain_listeners" && r.Method == http.MethodPost:
		a.drained.Store(true)
	case strings.HasPrefix(filter, "listener_manager"):
		fmt.Fprintf(w, "listener_manager.total_listeners_active: %d\n", a.listeners.Load())
	default:
		a.asked <- struct{}{}
		if a.mute.Load() {
			panic(http.ErrAbortHandler)
		}
		fmt.Fprintf(w, "http.admin.downstream_rq_active: 1\nhttp.gw.downstream_rq_active: %d\n", a.active.Load())
	}
}

// TestBeside: a pod of the Envoy plane is ready when its own engine has a plan
// and its own Envoy has the listeners, in whichever order they come.
func TestBeside(t *testing.T) {
	t.Run("gateway-50 ready with engine and Envoy, and drained with both", func(t *testing.T) {
		dir := t.TempDir()
		c := newController(t)
		envoy := newAdmin(t, filepath.Join(dir, "admin.sock"))
		p := start(t, gateway, kept(t), c, &ledger{}, func(o *Options) {
			o.Plane, o.Socket, o.Admin = source.PlaneEnvoy, filepath.Join(dir, "extproc.sock"), filepath.Join(dir, "admin.sock")
		})
		f := func(want int, says string) {
			t.Helper()
			if code, text := p.probe("/ready"); code != want || !strings.Contains(text, says) {
				t.Errorf("%d %q, want %d and %q", code, text, want, says)
			}
		}
		// An Envoy that has everything does not make a pod ready whose engine
		// has no plan.
		envoy.is("LIVE")
		envoy.listeners.Store(1)
		f(503, "no configuration yet")
		c.give(fed(gateway, model(t, nil, nil)))
		await(t, func() bool { code, _ := p.probe("/ready"); return code == 200 })
		at, err := net.Dial("unix", filepath.Join(dir, "extproc.sock"))
		if err != nil {
			t.Fatalf("ready, and Envoy cannot ask: %v", err)
		}
		at.Close()
		// Nor is a plan enough, without Envoy's listeners.
		envoy.listeners.Store(0)
		f(503, "0 of 1 listeners")
		envoy.listeners.Store(1)
		envoy.is("PRE_INITIALIZING")
		f(503, "PRE_INITIALIZING")
		envoy.is("LIVE")
		f(200, "ready")

		envoy.active.Store(1)
		envoy.mute.Store(true) // no answer is not idleness
		done := make(chan string)
		go func() { _, text := p.probe("/drain?word=please"); done <- text }()
		<-envoy.asked
		<-envoy.asked
		envoy.mute.Store(false)
		f(503, "draining")
		if !envoy.drained.Load() {
			t.Error("Envoy was not asked to drain")
		}
		envoy.active.Store(0)
		if text := <-done; text != "drained" {
			t.Errorf("%q", text)
		}
	})
	t.Run("without its Envoy a pod is not ready", func(t *testing.T) {
		dir := t.TempDir()
		c := newController(t)
		p := start(t, gateway, kept(t), c, &ledger{}, func(o *Options) {
			o.Plane, o.Socket, o.Admin = source.PlaneEnvoy, filepath.Join(dir, "extproc.sock"), filepath.Join(dir, "admin.sock")
		})
		c.give(fed(gateway, model(t, nil, nil)))
		await(t, func() bool {
			code, text := p.probe("/ready")
			return code == 503 && strings.Contains(text, "admin interface of Envoy")
		})
	})
}
