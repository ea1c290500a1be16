package pod

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// notice is how long a pod that is to stop goes on taking connections, so that
// everybody who balances over the Service learns of it first.
const notice = 5 * time.Second

// probes answer the kubelet on source.PodPort.
type probes struct {
	ready   func() error              // why requests should not be sent here; nil when they may
	leave   func()                    // has clients close their connections after the next answer
	drain   func(ctx context.Context) // returns when what is under way has ended, or with ctx
	limit   time.Duration             // of draining
	word    string                    // that whoever drains has to say; "" = nothing
	notice  time.Duration             // between the two
	metrics *prometheus.Registry
	log     *slog.Logger

	draining atomic.Bool
	once     sync.Once
	drained  chan struct{}
}

func (p *probes) handler() http.Handler {
	p.drained = make(chan struct{})
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /ready", p.serveReady)
	mux.HandleFunc("GET /drain", p.serveDrain)
	mux.Handle("GET /metrics", promhttp.HandlerFor(p.metrics, promhttp.HandlerOpts{}))
	return mux
}

func (p *probes) serveReady(w http.ResponseWriter, _ *http.Request) {
	err := p.ready()
	if p.draining.Load() {
		err = errors.New("draining")
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	fmt.Fprintln(w, "ready")
}

// serveDrain is the kubelet's hook before it stops a container. Every
// container of the pod has it, so that none goes before the work is done; the
// answer comes when it is, whoever asked first. Others in the cluster reach the
// port too, and could stop a gateway for good: they do not know the word.
func (p *probes) serveDrain(w http.ResponseWriter, r *http.Request) {
	if p.word != "" && subtle.ConstantTimeCompare([]byte(r.URL.Query().Get("word")), []byte(p.word)) != 1 {
		http.Error(w, "only the kubelet drains", http.StatusForbidden)
		return
	}
	p.once.Do(func() { go p.run() })
	select {
	case <-p.drained:
		fmt.Fprintln(w, "drained")
	case <-r.Context().Done():
	}
}

func (p *probes) run() {
	defer close(p.drained)
	p.draining.Store(true)
	p.log.Info("draining", "limit", p.limit.String())
	begun := time.Now()
	p.leave()
	time.Sleep(p.notice)
	ctx, cancel := context.WithTimeout(context.Background(), p.limit)
	defer cancel()
	p.drain(ctx)
	p.log.Info("drained", "after", time.Since(begun).Round(time.Millisecond).String())
}

// serve answers on l until ctx ends.
func (p *probes) serve(ctx context.Context, l net.Listener) error {
	s := &http.Server{Handler: p.handler(), ReadHeaderTimeout: 5 * time.Second, ErrorLog: slog.NewLogLogger(p.log.Handler(), slog.LevelDebug)}
	stop := context.AfterFunc(ctx, func() { s.Close() })
	defer stop()
	if err := s.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("probes on %s: %w", l.Addr(), err)
	}
	return nil
}
