package provider

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/egret-gateway/egret/sim/serve"
)

// maxBody bounds what is read of a request.
const maxBody = 16 << 20

// Server is one simulated provider, an http.Handler.
type Server struct {
	cfg Config

	mu     sync.Mutex
	source *rand.Rand
}

// New makes a provider, or says what is wrong with its configuration.
func New(c Config) (*Server, error) {
	c.Model = cmp.Or(c.Model, "gpt-4-external")
	if err := c.Check(); err != nil {
		return nil, err
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Wait == nil {
		c.Wait = wait
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	seed := cmp.Or(c.Seed, c.Now().UnixNano())
	return &Server{cfg: c, source: rand.New(rand.NewPCG(uint64(seed), 0))}, nil
}

// Run listens on the configured port and serves until ctx ends and open requests are drained.
func (s *Server) Run(ctx context.Context) error {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", net.JoinHostPort("", strconv.Itoa(s.cfg.Port)))
	if err != nil {
		return fmt.Errorf("provider: %w", err)
	}
	return s.Serve(ctx, l)
}

// Serve is Run with a listener that is there already; it closes it.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	tls, err := serve.TLS{CertFile: s.cfg.CertFile, KeyFile: s.cfg.KeyFile, SelfSigned: s.cfg.SelfSigned}.Config()
	if err != nil {
		return errors.Join(fmt.Errorf("provider: %w", err), l.Close())
	}
	s.cfg.Log.Info("provider listens", "address", l.Addr().String(), "model", s.cfg.Model, "tls", tls != nil)
	return serve.Run(ctx, tls, serve.Site{Listener: l, Handler: s})
}

// ServeHTTP routes by the ending of the path, whatever the method, as the proof of concept does.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if what := r.Header.Get("X-Sim-Echo"); what != "" {
		echo(w, r, what)
		return
	}
	serves := func(endings ...string) bool {
		for _, e := range endings {
			if strings.HasSuffix(r.URL.Path, e) {
				return true
			}
		}
		return false
	}
	switch {
	case serves("/v1/chat/completions", "/v1/completions"):
		s.answer(w, r, openAI{}, s.chat)
	case serves("/v1/responses"):
		s.answer(w, r, openAI{}, s.responses)
	case serves("/v1/messages"):
		s.answer(w, r, anthropic{}, s.messages)
	case serves("/v1/models"):
		s.answer(w, r, openAI{}, s.models)
	case serves("/health", "/ready"):
		writeJSON(w, http.StatusOK, struct {
			Status string `json:"status"`
		}{"healthy"})
	default:
		http.NotFound(w, r)
	}
}

// exchange is one AI call that passed the door.
type exchange struct {
	w       http.ResponseWriter
	r       *http.Request
	body    []byte
	now     time.Time
	rand    *rand.Rand
	refuse  faults
	request request
}

// request holds what the provider looks at; the rest of a body is ignored, and so is a body that is not JSON.
type request struct {
	Model         string `json:"model"`
	Stream        bool   `json:"stream"`
	StreamOptions struct {
		IncludeUsage bool `json:"include_usage"`
	} `json:"stream_options"`
	MaxTokens *int              `json:"max_tokens"`
	Messages  []json.RawMessage `json:"messages"`
}

// answer lets a call through the door: key, latency, injected failure; then the endpoint answers.
func (s *Server) answer(w http.ResponseWriter, r *http.Request, refuse faults, endpoint func(*exchange)) {
	if f := s.admit(r.Header); f != nil {
		refuse.write(w, *f)
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		refuse.write(w, fault{http.StatusBadRequest, "invalid_request_error", "unreadable_body", err.Error()})
		return
	}
	status, latency, f := s.injection(r.Header)
	if f != nil {
		refuse.write(w, *f)
		return
	}
	if s.cfg.Wait(r.Context(), latency) != nil {
		return // the client is gone
	}
	if status != 0 {
		refuse.write(w, injected(status))
		return
	}
	x := &exchange{w: w, r: r, body: body, now: s.cfg.Now(), rand: s.random(), refuse: refuse}
	if json.Unmarshal(body, &x.request) != nil {
		x.request = request{} // an unparsable body is still answered, as the proof of concept does
	}
	x.request.Model = cmp.Or(x.request.Model, s.cfg.Model)
	endpoint(x)
}

// random gives a request its randomness.
func (s *Server) random() *rand.Rand {
	s.mu.Lock()
	defer s.mu.Unlock()
	return rand.New(rand.NewPCG(s.source.Uint64(), s.source.Uint64()))
}

// injection is the status and latency that the request's own headers, else the flags, ask for.
func (s *Server) injection(h http.Header) (status int, latency time.Duration, f *fault) {
	status, latency = s.cfg.Status, s.cfg.Latency
	if v := h.Get("X-Sim-Status"); v != "" {
		n, err := strconv.Atoi(v)
		if err != nil || n < 400 || n > 599 {
			return 0, 0, &fault{http.StatusBadRequest, "invalid_request_error", "bad_injection", "X-Sim-Status is not a number between 400 and 599"}
		}
		status = n
	}
	if v := h.Get("X-Sim-Latency"); v != "" {
		d, err := time.ParseDuration(v)
		if err != nil || d < 0 || d > maxLatency {
			return 0, 0, &fault{http.StatusBadRequest, "invalid_request_error", "bad_injection", "X-Sim-Latency is not a duration up to 10m"}
		}
		latency = d
	}
	return status, latency, nil
}

// models lists the one model.
func (s *Server) models(x *exchange) {
	type model struct {
		ID      string `json:"id"`
		Object  string `json:"object"`
		Created int64  `json:"created"`
		OwnedBy string `json:"owned_by"`
		Ready   bool   `json:"ready"`
	}
	writeJSON(x.w, http.StatusOK, struct {
		Object string  `json:"object"`
		Data   []model `json:"data"`
	}{"list", []model{{s.cfg.Model, "model", x.now.Unix(), "provider-sim", true}}})
}

// echo answers with what arrived, for tests of what stands before a provider. It needs no key: it tells nobody anything
// but what they said themselves.
func echo(w http.ResponseWriter, r *http.Request, what string) {
	arrived := struct {
		Method  string      `json:"method"`
		Host    string      `json:"host"`
		Path    string      `json:"path"`
		Query   string      `json:"query"`
		TLS     bool        `json:"tls"`
		Headers http.Header `json:"headers"`
		Body    *string     `json:"body,omitempty"`
	}{Method: r.Method, Host: r.Host, Path: r.URL.Path, Query: r.URL.RawQuery, TLS: r.TLS != nil, Headers: r.Header}
	if what == "body" {
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
		if err != nil {
			http.Error(w, "the body cannot be read: "+err.Error(), http.StatusBadRequest)
			return
		}
		arrived.Body = new(string(body))
	}
	writeJSON(w, http.StatusOK, arrived)
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		http.Error(w, "the answer cannot be written as JSON: "+err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(body) // the client may be gone; nobody is left to tell
}
