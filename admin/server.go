package admin

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/egret-gateway/egret/engine"
	"github.com/egret-gateway/egret/plan"
	"github.com/egret-gateway/egret/sight"
	"github.com/egret-gateway/egret/source"
	"github.com/egret-gateway/egret/store"
)

// Server is the admin page. Fill in the fields, then Run.
type Server struct {
	// Token must come with every request but probes: as a bearer token or as
	// the password of basic authentication. "" refuses them all.
	Token   string
	Version string
	Engine  *engine.Engine
	Ledger  store.Ledger
	// Settle waits until what was recorded can be read from Ledger; nil does not.
	Settle  func(context.Context)
	Metrics prometheus.Gatherer
	Ready   func() error
	// Seen returns what was last seen of backends; nil shows nothing of it.
	Seen func() []sight.Fact
	Log  *slog.Logger
	// Listener is what Run serves and closes.
	Listener net.Listener

	state atomic.Pointer[state]
}

// state is what was last said about the configuration.
type state struct {
	plan       *plan.Plan
	snapshot   source.Snapshot
	conditions []source.Condition
	loaded     time.Time
	refusal    *refusal // nil while the newest configuration is served
}

// refusal is a newer configuration that is not served.
type refusal struct {
	at       time.Time
	problems source.Problems
	err      error
}

// Loaded tells that a plan is being served.
func (s *Server) Loaded(snap source.Snapshot, p *plan.Plan, cs []source.Condition) {
	s.state.Store(&state{plan: p, snapshot: snap, conditions: cs, loaded: time.Now()})
}

// Refused tells that a newer configuration is not served, and why.
func (s *Server) Refused(_ source.Snapshot, problems source.Problems, err error) {
	next := state{}
	if old := s.state.Load(); old != nil {
		next = *old
	}
	next.refusal = &refusal{at: time.Now(), problems: problems, err: err}
	s.state.Store(&next)
}

// Address is where the page listens, "" when it does not.
func (s *Server) Address() string {
	if s.Listener == nil {
		return ""
	}
	return s.Listener.Addr().String()
}

// Run serves until ctx ends.
func (s *Server) Run(ctx context.Context) error {
	h := &http.Server{Handler: s.Handler(), ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 30 * time.Second, IdleTimeout: time.Minute,
		ErrorLog: slog.NewLogLogger(s.Log.Handler(), slog.LevelDebug)}
	stop := context.AfterFunc(ctx, func() {
		end, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		h.Shutdown(end)
	})
	defer stop()
	if err := h.Serve(s.Listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// Handler serves the page without a listener.
func (s *Server) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("ok\n")) })
	mux.HandleFunc("GET /readyz", s.readyz)
	private := http.NewServeMux()
	private.HandleFunc("GET /status", s.status)
	private.HandleFunc("GET /plan", s.plan)
	private.HandleFunc("POST /explain", s.explain)
	private.HandleFunc("GET /usage", s.usage)
	private.Handle("GET /metrics", promhttp.HandlerFor(s.Metrics, promhttp.HandlerOpts{}))
	mux.Handle("/", s.guard(private))
	return mux
}

// guard asks for the token.
func (s *Server) guard(next http.Handler) http.Handler {
	want := sha256.Sum256([]byte(s.Token))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		given, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		if !ok {
			_, given, _ = r.BasicAuth()
		}
		got := sha256.Sum256([]byte(given))
		if s.Token == "" || subtle.ConstantTimeCompare(want[:], got[:]) != 1 {
			w.Header().Set("WWW-Authenticate", `Basic realm="egret admin"`)
			http.Error(w, "the admin token is needed: as a bearer token or as the password of basic authentication", http.StatusUnauthorized)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func (s *Server) readyz(w http.ResponseWriter, _ *http.Request) {
	if err := s.Ready(); err != nil {
		http.Error(w, "not ready: "+err.Error(), http.StatusServiceUnavailable)
		return
	}
	w.Write([]byte("ok\n"))
}
