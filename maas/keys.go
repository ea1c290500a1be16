package maas

import (
	"context"
	"errors"
	"fmt"
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

// Bounds of what one person can file, so that nobody fills the disk of all.
const (
	maxName        = 256     // bytes
	maxDescription = 4 << 10 // bytes
	maxKeys        = 1000    // that still work or were made within the last day
)

// errManyKeys refuses a key beyond maxKeys.
var errManyKeys = fmt.Errorf("you have made %d API keys that still work or are less than a day old; revoke some, or wait", maxKeys)

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
	if len(req.Name) > maxName || len(req.Description) > maxDescription {
		refuse(w, http.StatusBadRequest, fmt.Sprintf("a name has at most %d bytes, a description %d", maxName, maxDescription))
		return
	}
	life := req.Expiration.Or(DefaultKeyLifetime)
	if err := checkLifetime(life); err != nil {
		refuse(w, http.StatusBadRequest, err.Error())
		return
	}
	p, g, err := s.makeKey(r.Context(), who, life, req)
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

// makeKey mints a key and files it.
func (s *Server) makeKey(ctx context.Context, who *caller, life time.Duration, req keyRequest) (p person, g grant, err error) {
	if p, err = s.person(ctx, who); err != nil {
		return p, g, err
	}
	if err = s.roomForKey(ctx, p.Owner); err != nil {
		return p, g, err
	}
	if g, err = s.mint(ctx, who, p, life); err != nil {
		return p, g, err
	}
	return p, g, s.file(ctx, p, g, req)
}

// roomForKey reports errManyKeys when the owner has all the keys one may have.
// Rows are never deleted: revoking makes room, but not for more than a day's
// worth each day.
func (s *Server) roomForKey(ctx context.Context, owner string) error {
	keys, err := s.Keys.Keys(ctx, owner)
	if err != nil {
		return err
	}
	now, count := s.now(), 0
	for _, k := range keys {
		if !k.Expired(now) || now.Sub(k.Created) < 24*time.Hour {
			count++
		}
	}
	if count >= maxKeys {
		return errManyKeys
	}
	return nil
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
		failed(w, err, "Failed to list api keys")
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
	failed(w, err, otherwise)
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
