package maas

import (
	"context"
	"net/http"
	"runtime/debug"
	"strings"
	"time"
)

// handle answers one request. who is nil on endpoints that need nobody.
type handle func(w http.ResponseWriter, r *http.Request, who *caller)

// endpoint is what a method and a path lead to.
type endpoint struct {
	open bool // needs no identity headers
	slow bool // bounds its time itself: a revocation is not given up half-way
	do   handle
}

// within is how long a request may wait for the database and the cluster. Who
// is away for longer is told to the caller.
const within = 3 * time.Second

// endpoint returns what is registered for the method and path. There are few
// enough to be read in one place, and none of the standard router's 405s,
// clean-ups and HEAD answers apply: whatever is not here is 404.
func (s *Server) endpoint(method, path string) (endpoint, bool) {
	switch method + " " + path {
	case "GET /health":
		return endpoint{open: true, do: s.health}, true
	case "GET /v1/models":
		return endpoint{slow: true, do: s.listModels}, true
	case "POST /v1/tokens":
		return endpoint{do: s.createToken}, true
	case "DELETE /v1/tokens":
		return endpoint{slow: true, do: s.revokeTokens}, true
	case "POST /v1/api-keys":
		return endpoint{do: s.createKey}, true
	case "GET /v1/api-keys":
		return endpoint{do: s.listKeys}, true
	case "POST /v1/tiers/lookup":
		return endpoint{open: true, do: s.lookupTier}, true
	}
	id, ok := strings.CutPrefix(path, "/v1/api-keys/")
	if !ok || id == "" || strings.Contains(id, "/") {
		return endpoint{}, false
	}
	switch method {
	case http.MethodGet:
		return endpoint{do: s.showKey}, true
	case http.MethodDelete:
		return endpoint{do: s.revokeKey}, true
	}
	return endpoint{}, false
}

// keyID is the {id} of /v1/api-keys/{id}.
func keyID(r *http.Request) string { return strings.TrimPrefix(r.URL.Path, "/v1/api-keys/") }

// Handler returns the API. It believes X-MaaS-Username and X-MaaS-Group, so
// nothing but the gateway may reach it: within one process that is a listener
// in memory.
func (s *Server) Handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		began := s.now()
		seen := &status{ResponseWriter: w}
		defer func() {
			if p := recover(); p != nil {
				s.log().Error("BUG: a request made the API panic", "error", p, "path", r.URL.Path, "stacktrace", string(debug.Stack()))
				if seen.code == 0 {
					seen.WriteHeader(http.StatusInternalServerError)
				}
			}
			s.log().Info("request", "method", r.Method, "path", r.URL.Path, "statusCode", seen.code,
				"duration_ms", float64(s.now().Sub(began))/float64(time.Millisecond))
		}()
		s.serve(seen, r)
	})
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	if s.Config.Debug {
		allowBrowser(w.Header(), r)
	}
	if r.Method == http.MethodOptions {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	e, ok := s.endpoint(r.Method, r.URL.Path)
	if !ok {
		s.missing(w, r)
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	if !e.slow {
		ctx, cancel := context.WithTimeout(r.Context(), within)
		defer cancel()
		r = r.WithContext(ctx)
	}
	if e.open {
		e.do(w, r, nil)
		return
	}
	who, bad := readCaller(r.Header)
	if bad != nil {
		s.log().Error("the gateway in front of the API did not say who is calling; check its AuthPolicy",
			"error", bad, "header", bad.Header, "header_value", bad.Value, "path", r.URL.Path)
		refuseHeader(w, bad.Ref)
		return
	}
	e.do(w, r, who)
}

// missing answers what is not registered: with a redirect where only a
// trailing slash is too many, and 404 otherwise, also for a wrong method.
func (s *Server) missing(w http.ResponseWriter, r *http.Request) {
	if path, cut := strings.CutSuffix(r.URL.Path, "/"); cut {
		if _, ok := s.endpoint(r.Method, path); ok {
			code := http.StatusTemporaryRedirect
			if r.Method == http.MethodGet {
				code = http.StatusMovedPermanently
			}
			to := *r.URL
			to.Path, to.RawPath = path, ""
			http.Redirect(w, r, to.String(), code)
			return
		}
	}
	w.Header().Set("Content-Type", "text/plain")
	w.WriteHeader(http.StatusNotFound)
	write(w, []byte("404 page not found"))
}

// allowBrowser lets web pages of any origin call the API; debug mode only.
func allowBrowser(h http.Header, r *http.Request) {
	origin := r.Header.Get("Origin")
	if origin == "" {
		return
	}
	h.Set("Access-Control-Allow-Origin", origin)
	h.Set("Access-Control-Allow-Credentials", "true")
	h.Add("Vary", "Origin")
	if r.Method != http.MethodOptions {
		h.Set("Access-Control-Expose-Headers", "Content-Type")
		return
	}
	h.Set("Access-Control-Allow-Methods", "GET,POST,PUT,PATCH,DELETE,OPTIONS")
	h.Set("Access-Control-Allow-Headers", "Authorization,Content-Type,Accept")
	h.Set("Access-Control-Max-Age", "43200")
}

func (s *Server) health(w http.ResponseWriter, _ *http.Request, _ *caller) {
	reply(w, http.StatusOK, struct {
		Status string `json:"status"`
	}{"healthy"})
}

// status remembers the status that was sent.
type status struct {
	http.ResponseWriter
	code int
}

func (s *status) WriteHeader(code int) {
	if s.code == 0 {
		s.code = code
	}
	s.ResponseWriter.WriteHeader(code)
}

// Unwrap lets http.ResponseController reach the real writer.
func (s *status) Unwrap() http.ResponseWriter { return s.ResponseWriter }
