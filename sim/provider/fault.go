package provider

import (
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"net/http"
	"strings"
)

// fault is a refused call.
type fault struct {
	status              int
	kind, code, message string
}

// faults writes a fault in the shape of a dialect.
type faults interface {
	write(w http.ResponseWriter, f fault)
}

type openAI struct{}

func (openAI) write(w http.ResponseWriter, f fault) {
	type detail struct {
		Message string `json:"message"`
		Type    string `json:"type"`
		Code    string `json:"code"`
	}
	writeJSON(w, f.status, struct {
		Error detail `json:"error"`
	}{detail{f.message, f.kind, f.code}})
}

type anthropic struct{}

func (anthropic) write(w http.ResponseWriter, f fault) {
	type detail struct {
		Type    string `json:"type"`
		Message string `json:"message"`
	}
	writeJSON(w, f.status, struct {
		Type  string `json:"type"`
		Error detail `json:"error"`
	}{"error", detail{f.kind, f.message}})
}

// injected is the fault behind a status that a flag or header asks for.
func injected(status int) fault {
	kind := "api_error"
	switch status {
	case http.StatusTooManyRequests:
		kind = "rate_limit_error"
	case http.StatusUnauthorized:
		kind = "authentication_error"
	case http.StatusForbidden:
		kind = "permission_error"
	case http.StatusNotFound:
		kind = "not_found_error"
	case 529:
		kind = "overloaded_error"
	default:
		if status < 500 {
			kind = "invalid_request_error"
		}
	}
	return fault{status, kind, "injected", fmt.Sprintf("The simulator was asked to answer %d.", status)}
}

// admit checks the caller's key. Digests are compared, so that neither its length nor its beginning shows in the time
// it takes.
func (s *Server) admit(h http.Header) *fault {
	key := presented(h)
	if key == "" {
		return &fault{http.StatusUnauthorized, "authentication_error", "missing_api_key", "Missing API key. Set X-Provider-Api-Key header."}
	}
	got, want := sha256.Sum256([]byte(key)), sha256.Sum256([]byte(s.cfg.APIKey))
	if subtle.ConstantTimeCompare(got[:], want[:]) == 1 {
		return nil
	}
	return &fault{http.StatusUnauthorized, "authentication_error", "invalid_api_key", "Invalid API key provided: " + shorten(key)}
}

// presented is the key of a request (gateway Annex A-8).
func presented(h http.Header) string {
	for _, name := range []string{"X-Provider-Api-Key", "X-Api-Key"} {
		if key := h.Get(name); key != "" {
			return key
		}
	}
	scheme, key, _ := strings.Cut(h.Get("Authorization"), " ")
	if strings.EqualFold(scheme, "Bearer") {
		return strings.TrimSpace(key)
	}
	return ""
}

// shorten shows the ends of a key, and nothing of one so short that they would be all of it.
func shorten(key string) string {
	if len(key) <= 8 {
		return "..."
	}
	return key[:4] + "..." + key[len(key)-4:]
}
