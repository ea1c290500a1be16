package maas

import (
	"errors"
	"net/http"

	api "github.com/egret-gateway/egret/api/maas"
)

// lookupTier answers the gateway's question which tier a list of groups is
// in. It needs no identity headers and tells nothing but that.
func (s *Server) lookupTier(w http.ResponseWriter, r *http.Request, _ *caller) {
	var req api.TierLookup
	if err := readBody(r, &req); err != nil {
		refuseLookup(w, http.StatusBadRequest, "bad_request", "invalid request body: "+err.Error())
		return
	}
	if len(req.Groups) == 0 {
		tag := "required"
		if req.Groups != nil {
			tag = "min"
		}
		refuseLookup(w, http.StatusBadRequest, "bad_request",
			"invalid request body: Key: 'TierLookup.Groups' Error:Field validation for 'Groups' failed on the '"+tag+"' tag")
		return
	}
	tier, err := s.tierOf(req.Groups)
	switch {
	case errors.Is(err, errNoTier):
		refuseLookup(w, http.StatusNotFound, "not_found", err.Error())
	case err != nil:
		refuseLookup(w, http.StatusInternalServerError, "internal_error", "failed to lookup tier: "+err.Error())
	default:
		reply(w, http.StatusOK, api.Tier{Tier: tier.Name, DisplayName: tier.DisplayName})
	}
}

func refuseLookup(w http.ResponseWriter, status int, code, message string) {
	reply(w, status, api.TierError{Code: code, Message: message})
}
