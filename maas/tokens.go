package maas

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"time"

	api "github.com/egret-gateway/egret/api/maas"
	"github.com/egret-gateway/egret/store"
)

// How long an identity stays on the deny-list. One that is deleted is soon
// refused by the cluster itself, whose memory of reviews lasts seconds, and the
// list of somebody who revokes again and again stays short. One that could not
// be deleted outlives every token that this API gives out.
const (
	denyDeleted = time.Hour
	denyLeft    = 10 * 365 * 24 * time.Hour
)

// How long a revocation may take. filing is for the database that keys are
// listed from, when the tokens are refused already; lasting is for a denial to
// be made lasting when the time is up.
const (
	revoking = 4 * time.Second
	filing   = 2 * time.Second
	lasting  = time.Second
)

// errFiling: the tokens are refused, which the list of keys does not say yet.
var errFiling = errors.New("all tokens are refused from now on, but the database is away and their keys are still listed as active; revoke again later to have them listed as expired")

type tokenRequest struct {
	Expiration Expiration `json:"expiration"`
}

func (s *Server) createToken(w http.ResponseWriter, r *http.Request, who *caller) {
	var req tokenRequest
	if err := readBody(r, &req); err != nil && !errors.Is(err, io.EOF) {
		refuseBody(w, err)
		return
	}
	life := req.Expiration.Or(DefaultLifetime)
	switch err := checkLifetime(life); {
	case errors.Is(err, errTooShort):
		reply(w, http.StatusBadRequest, api.Error{Error: err.Error(), ProvidedExpiration: life.String()})
		return
	case err != nil:
		refuse(w, http.StatusBadRequest, err.Error())
		return
	}
	p, g, err := s.exchange(r.Context(), who, life)
	if err != nil {
		s.refused(r.Context(), "mint", who, err)
		refuseMint(w, err, "Failed to generate token")
		return
	}
	s.minted(r.Context(), "token", who, p, g)
	if g.JTI == "" {
		g.JTI = randomID()
	}
	reply(w, http.StatusCreated, api.Token{
		Token: g.Token, Expiration: life.String(), ExpiresAt: g.Expires.Unix(), IssuedAt: g.Issued.Unix(), JTI: g.JTI,
	})
}

// exchange mints a token for the caller's person.
func (s *Server) exchange(ctx context.Context, who *caller, life time.Duration) (person, grant, error) {
	p, err := s.person(ctx, who)
	if err != nil {
		return person{}, grant{}, err
	}
	g, err := s.mint(ctx, who, p, life)
	return p, g, err
}

// refuseMint tells a caller what they can do something about; what went wrong
// inside is in the log only.
func refuseMint(w http.ResponseWriter, err error, otherwise string) {
	switch {
	case errors.Is(err, errChainOver):
		refuse(w, http.StatusForbidden, err.Error())
		return
	case errors.Is(err, errManyKeys):
		refuse(w, http.StatusTooManyRequests, err.Error())
		return
	}
	failed(w, err, otherwise)
}

func (s *Server) revokeTokens(w http.ResponseWriter, r *http.Request, who *caller) {
	count, err := s.revokeAll(r.Context(), who)
	if err != nil {
		s.refused(r.Context(), "revoke", who, err)
		text := "Failed to revoke tokens"
		if errors.Is(err, errFiling) {
			text = errFiling.Error()
		}
		failed(w, err, text)
		return
	}
	s.revoked(r.Context(), "all tokens", who, "accounts", count)
	w.WriteHeader(http.StatusNoContent)
}

// revokeAll ends every token of the caller's person, in whatever tier it was
// made: each ServiceAccount of that name is denied by UID, which is effective
// at once, then deleted and made again with a new UID. The keys stay listed,
// as expired (acceptance maas 41-43, 55). When they cannot be marked, the error
// is errFiling.
func (s *Server) revokeAll(ctx context.Context, who *caller) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, revoking)
	defer cancel()
	p, err := s.person(ctx, who)
	if err != nil {
		return 0, err
	}
	name, err := s.accountName(who, p)
	if err != nil {
		return 0, err
	}
	accounts, err := s.Cluster.Accounts(ctx, name, map[string]string{labelInstance: s.instance()})
	if err != nil {
		return 0, err
	}
	now := s.now()
	accounts = slices.DeleteFunc(accounts, func(a store.Account) bool { return a.Owner != "" && a.Owner != p.Owner })
	denials := make([]store.Denial, len(accounts))
	for i, a := range accounts {
		denials[i] = store.Denial{Subject: "uid:" + a.UID, Until: now.Add(denyDeleted)}
	}
	if err := s.Cluster.Deny(ctx, denials...); err != nil {
		return 0, err
	}
	for i, a := range accounts {
		if err := s.Cluster.DeleteAccount(ctx, a.Namespace, a.Name); err != nil {
			for k := range denials[i:] {
				denials[i+k].Until = now.Add(denyLeft)
			}
			over, cancel := context.WithTimeout(context.WithoutCancel(ctx), lasting)
			defer cancel()
			return 0, errors.Join(err, s.Cluster.Deny(over, denials[i:]...))
		}
		fresh := store.Account{Namespace: a.Namespace, Name: a.Name, Owner: p.Owner, Labels: a.Labels}
		if _, err := s.Cluster.EnsureAccount(ctx, fresh); err != nil {
			return 0, err
		}
	}
	ctx, cancel = context.WithTimeout(ctx, filing)
	defer cancel()
	if err := s.Keys.ExpireKeys(ctx, p.Owner, now); err != nil {
		return 0, fmt.Errorf("%w: %w", errFiling, err)
	}
	return len(accounts), nil
}

func (s *Server) accountName(who *caller, p person) (string, error) {
	if p.Account != nil {
		return p.Account.Name, nil
	}
	return AccountName(who.Username)
}
