package maas

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	api "github.com/egret-gateway/egret/api/maas"
	"github.com/egret-gateway/egret/store"
)

type keyRequest struct {
	Name        string     `json:"name"`
	Description string     `json:"description"`
	Expiration  Expiration `json:"expiration"`
}

// errNoID refuses to file a token that could never be revoked by itself.
var errNoID = errors.New("tokens of this cluster have no jti claim, so an API key could not be revoked; Kubernetes 1.29 or newer gives one")

func (s *Server) createKey(w http.ResponseWriter, r *http.Request, who *caller) {
	var req keyRequest
	if err := readBody(r, &req); err != nil {
		refuseBody(w, err)
		return
	}
	if req.Name == "" {
		refuse(w, http.StatusBadRequest, "token name is required for api keys")
		return
	}
	life := req.Expiration.Or(DefaultKeyLifetime)
	if err := checkLifetime(life); err != nil {
		refuse(w, http.StatusBadRequest, err.Error())
		return
	}
	p, g, err := s.exchange(r.Context(), who, life)
	if err == nil {
		err = s.file(r.Context(), p, g, req)
	}
	if err != nil {
		s.refused(r.Context(), "create key", who, err)
		refuseMint(w, err, "Failed to generate api key")
		return
	}
	s.minted(r.Context(), "api key", who, p, g)
	reply(w, http.StatusCreated, api.NewKey{
		Token: g.Token, Expiration: life.String(), ExpiresAt: g.Expires.Unix(), JTI: g.JTI,
		Name: strings.TrimSpace(req.Name), Description: strings.TrimSpace(req.Description),
	})
}

// file stores a key's metadata; the token itself is not kept.
func (s *Server) file(ctx context.Context, p person, g grant, req keyRequest) error {
	if g.JTI == "" {
		return errNoID
	}
	return s.Keys.PutKey(ctx, store.Key{
		ID: g.JTI, Owner: p.Owner, Name: req.Name, Description: req.Description,
		Created: g.Issued, Expires: g.Expires, Account: g.Account.Namespace + "/" + g.Account.Name,
	})
}

func (s *Server) listKeys(w http.ResponseWriter, r *http.Request, who *caller) {
	p, err := s.person(r.Context(), who)
	var keys []store.Key
	if err == nil {
		keys, err = s.Keys.Keys(r.Context(), p.Owner)
	}
	if err != nil {
		s.log().Error("list API keys", "error", err, "username", who.Username)
		refuse(w, http.StatusInternalServerError, "Failed to list api keys")
		return
	}
	now := s.now()
	list := make([]api.Key, len(keys))
	for i, k := range keys {
		list[i] = shown(k, now)
	}
	reply(w, http.StatusOK, list)
}

func (s *Server) showKey(w http.ResponseWriter, r *http.Request, who *caller) {
	_, key, err := s.ownKey(r, who)
	if err != nil {
		s.refuseKey(w, r, who, err, "Failed to retrieve API key")
		return
	}
	reply(w, http.StatusOK, shown(key, s.now()))
}

// revokeKey ends one key at once: its jti goes on the deny-list before the
// row is marked, so a failure in between leaves nothing that looks ended but
// works (acceptance maas 56).
func (s *Server) revokeKey(w http.ResponseWriter, r *http.Request, who *caller) {
	ctx := r.Context()
	p, key, err := s.ownKey(r, who)
	if err == nil {
		err = s.Cluster.Deny(ctx, store.Denial{Subject: "jti:" + key.ID, Until: key.Expires})
	}
	if err == nil {
		err = s.Keys.ExpireKey(ctx, p.Owner, key.ID, s.now())
	}
	if err != nil {
		s.refuseKey(w, r, who, err, "Failed to revoke API key")
		return
	}
	s.revoked(ctx, "api key", who, "jti", key.ID)
	w.WriteHeader(http.StatusNoContent)
}

// ownKey returns the key of the path. Somebody else's key does not exist.
func (s *Server) ownKey(r *http.Request, who *caller) (person, store.Key, error) {
	p, err := s.person(r.Context(), who)
	if err != nil {
		return p, store.Key{}, err
	}
	key, err := s.Keys.Key(r.Context(), p.Owner, keyID(r))
	if errors.Is(err, store.ErrNotFound) {
		err = errNoKey
	}
	return p, key, err
}

var errNoKey = errors.New("API key not found")

func (s *Server) refuseKey(w http.ResponseWriter, r *http.Request, who *caller, err error, otherwise string) {
	if errors.Is(err, errNoKey) {
		refuse(w, http.StatusNotFound, errNoKey.Error())
		return
	}
	s.log().Error(otherwise, "error", err, "username", who.Username, "method", r.Method)
	refuse(w, http.StatusInternalServerError, otherwise)
}

// shown is a key as its owner sees it.
func shown(k store.Key, now time.Time) api.Key {
	state := api.KeyActive
	if k.Expired(now) {
		state = api.KeyExpired
	}
	return api.Key{
		ID: k.ID, Name: k.Name, Description: k.Description,
		CreationDate:   k.Created.UTC().Format(time.RFC3339),
		ExpirationDate: k.Expires.UTC().Format(time.RFC3339),
		Status:         state,
	}
}
