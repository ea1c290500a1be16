package maas

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/egret-gateway/egret/source"
	"github.com/egret-gateway/egret/store"
)

// Server is the REST API. Fill in the fields, Load a snapshot, serve Handler.
type Server struct {
	Cluster Cluster    // where ServiceAccounts and their tokens are made
	Keys    store.Keys // metadata of API keys

	Config Config

	// Log gets one line per request and what goes wrong; Audit gets who
	// minted, revoked and was refused what. Neither ever gets a token. nil
	// means slog.Default.
	Log, Audit *slog.Logger
	// Now is the clock; nil means time.Now.
	Now func() time.Time
	// Prober asks local models whether they are there for the caller. Its zero
	// value works; Config.ProbeVerify goes into it.
	Prober Prober

	catalog atomic.Pointer[catalog]
}

// Load makes the server answer from a snapshot: the two ConfigMaps of the
// API's namespace, LLMInferenceServices and HTTPRoutes. Requests under way
// finish with the one before. It must not be called twice at once.
func (s *Server) Load(snap *source.Snapshot) {
	next := newCatalog(snap, s.Config.Namespace)
	before := s.catalog.Swap(next)
	if before == nil {
		before = &catalog{}
	}
	if err := next.externalsErr; changed(before.externalsErr, err) {
		s.log().Error("external models are left out of the model list until their ConfigMap is right", "error", err)
	} else if len(next.externals) != len(before.externals) {
		s.log().Info("external models loaded", "count", len(next.externals))
	}
	switch err := next.tiersErr; {
	case errors.Is(err, errNoMapping): // without tiers this is no MaaS, which is no mistake
		s.log().Debug("nobody can mint a token, since there are no tiers", "configmap", TiersConfigMap)
	case changed(before.tiersErr, err):
		s.log().Error("nobody can mint a token until the tiers are right", "error", err, "configmap", TiersConfigMap)
	}
}

// changed reports whether there is an error now that was not there before, so
// that one mistake is logged once and not with every snapshot.
func changed(before, now error) bool {
	return now != nil && (before == nil || before.Error() != now.Error())
}

// state is the catalog as of now.
func (s *Server) state() *catalog {
	if c := s.catalog.Load(); c != nil {
		return c
	}
	return &catalog{tiersErr: errNoMapping}
}

func (s *Server) log() *slog.Logger   { return cmp.Or(s.Log, slog.Default()) }
func (s *Server) audit() *slog.Logger { return cmp.Or(s.Audit, slog.Default()) }

func (s *Server) now() time.Time {
	if s.Now == nil {
		return time.Now()
	}
	return s.Now()
}

func (s *Server) instance() string { return s.Config.Instance }

// audience is the one that MaaS tokens have.
func (s *Server) audience() string { return s.instance() + "-sa" }

// NewHTTPServer gives the API the limits of its own listener: header 5 s,
// request 15 s, answer 30 s, idle 60 s, 1 MiB of headers. The API believes
// the identity headers it gets, so only a gateway may reach that listener.
func NewHTTPServer(h http.Handler) *http.Server {
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       15 * time.Second,
		WriteTimeout:      30 * time.Second,
		IdleTimeout:       60 * time.Second,
		MaxHeaderBytes:    1 << 20,
	}
}

// Shutdown ends a server: requests under way get 15 s. What is not done by
// then is cut off, and that is an error.
func Shutdown(ctx context.Context, h *http.Server) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 15*time.Second)
	defer cancel()
	if err := h.Shutdown(ctx); err != nil {
		return errors.Join(err, h.Close())
	}
	return nil
}
