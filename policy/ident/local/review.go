package local

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/egret-gateway/egret/policy/ident"
	"github.com/egret-gateway/egret/store"
)

// Leeway is how far two clocks may be apart: a ServiceAccount's token counts
// from that long before its nbf until that long after its exp.
const Leeway = 10 * time.Second

// credentialID is the key of User.Extra under which an API server tells a
// token's jti.
const credentialID = "authentication.kubernetes.io/credential-id"

// Review implements ident.Reviewer. Without audiences the token must be for
// the API server itself, as with a TokenReview; a person's token is for
// nothing else. The error is about the store, never about the token.
func (r *Realm) Review(ctx context.Context, token string, audiences []string) (ident.Review, error) {
	if len(audiences) == 0 {
		audiences = []string{IssuerURL}
	}
	if len(token) > maxToken {
		return rejected("the token is longer than %d bytes", maxToken)
	}
	if user, id, ok := r.users.find(token); ok {
		return reviewUser(user, id, audiences)
	}
	if mistyped(token) {
		return rejected("the token has a wrong checksum: it was not copied whole")
	}
	c, err := r.issuer.read(token)
	if err != nil {
		return rejected("%v", err)
	}
	return r.reviewAccount(ctx, c, audiences)
}

func rejected(format string, args ...any) (ident.Review, error) {
	return ident.Review{Error: fmt.Sprintf(format, args...)}, nil
}

func reviewUser(user ident.User, id string, audiences []string) (ident.Review, error) {
	if !slices.Contains(audiences, IssuerURL) {
		return rejected("a user's token is for %s, not for %q", IssuerURL, audiences)
	}
	return ident.Review{Authenticated: true, User: user, Audiences: []string{IssuerURL}, ID: id}, nil
}

// reviewAccount checks what the claims say against the time, the audiences
// and what is known of the account now.
func (r *Realm) reviewAccount(ctx context.Context, c claims, audiences []string) (ident.Review, error) {
	now := r.now()
	expires := time.Unix(c.Expires, 0)
	switch {
	case c.Issuer != IssuerURL:
		return rejected("the token's issuer is %.100q", c.Issuer)
	case now.Before(time.Unix(c.NotBefore, 0).Add(-Leeway)):
		return rejected("the token is not valid yet")
	case !now.Before(expires.Add(Leeway)):
		return rejected("the token has expired")
	}
	var shared []string
	for _, a := range c.Audience {
		if slices.Contains(audiences, a) {
			shared = append(shared, a)
		}
	}
	if len(shared) == 0 {
		return rejected("the token is for %.100q, not for %q", c.Audience, audiences)
	}
	namespace, name, uid := c.Cluster.Namespace, c.Cluster.Account.Name, c.Cluster.Account.UID
	if c.ID == "" || uid == "" || c.Subject != username(namespace, name) {
		return rejected("the token's claims do not name one ServiceAccount")
	}
	if d := r.denied.Load(); d.has(subjectToken+c.ID) || d.has(subjectAccount+uid) {
		return rejected("the token was revoked")
	}
	switch a, err := r.state.Account(ctx, namespace, name); {
	case errors.Is(err, store.ErrNotFound), err == nil && a.UID != uid:
		return rejected("the token's ServiceAccount was deleted")
	case err != nil:
		return ident.Review{}, fmt.Errorf("look up ServiceAccount %s/%s: %w", namespace, name, err)
	}
	return ident.Review{
		Authenticated: true,
		User: ident.User{
			Username: c.Subject, UID: uid,
			Groups: []string{"system:serviceaccounts", "system:serviceaccounts:" + namespace, groupAuthenticated},
			Extra:  map[string][]string{credentialID: {"JTI=" + c.ID}},
		},
		Audiences: shared, Expires: expires, ID: c.ID,
	}, nil
}

// username returns that of a ServiceAccount.
func username(namespace, name string) string {
	return "system:serviceaccount:" + namespace + ":" + name
}
