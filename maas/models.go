package maas

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	api "github.com/egret-gateway/egret/api/maas"
)

const (
	// probeLifetime is that of a token made only to ask local models.
	probeLifetime = MinLifetime
	// listWithin bounds the time for a list, in which slow models are left
	// out; it leaves room to answer within the listener's 30 s.
	listWithin = 25 * time.Second
)

// listModels answers with the local models that let the caller in, then the
// external ones in the order of their registry (acceptance maas 71-83).
// External models are listed for everybody and always ready: the backend
// behind the bridge decides.
func (s *Server) listModels(w http.ResponseWriter, r *http.Request, who *caller) {
	header := r.Header.Get("Authorization")
	if header == "" {
		refuseModels(w, http.StatusUnauthorized, "Authorization token required", "authentication_error")
		return
	}
	token := strings.TrimSpace(strings.TrimPrefix(header, "Bearer "))
	if token == "" || token == "Bearer" {
		refuseModels(w, http.StatusUnauthorized, "Valid authorization token required", "authentication_error")
		return
	}
	token, err := s.probeToken(r.Context(), who, token)
	if err != nil {
		s.refused(r.Context(), "list models", who, err)
		refuseModels(w, broken(w, err), "Failed to authorize request", "server_error")
		return
	}
	c := s.state()
	ctx, cancel := context.WithTimeout(r.Context(), listWithin)
	defer cancel()
	list := api.Models{Data: s.localModels(ctx, c, token), Object: "list"}
	now := s.now().Unix()
	for _, e := range c.externals {
		list.Data = append(list.Data, api.Model{ID: e.ID, Created: now, Object: "model", OwnedBy: e.Provider, Ready: true})
	}
	s.log().Debug("models listed", "modelCount", len(list.Data), "username", who.Username)
	reply(w, http.StatusOK, list)
}

// probeToken returns the token to ask local models with: the caller's own if
// it is a MaaS token, otherwise a short-lived one made for them, so that a
// cluster credential is never handed to a model.
func (s *Server) probeToken(ctx context.Context, who *caller, token string) (string, error) {
	if c, err := readClaims(token); err == nil && slices.Contains(c.Audience, s.audience()) {
		return token, nil
	}
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	g, err := s.mintFor(ctx, who, probeLifetime, time.Time{})
	return g.Token, err
}

func refuseModels(w http.ResponseWriter, code int, message, kind string) {
	reply(w, code, api.ModelsError{Error: api.ModelsErrorDetail{Message: message, Type: kind}})
}
