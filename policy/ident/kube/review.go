package kube

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"math"
	"strings"
	"time"

	authnv1 "k8s.io/api/authentication/v1"

	"github.com/egret-gateway/egret/policy/ident"
	"github.com/egret-gateway/egret/policy/ident/cache"
)

// Review implements ident.Reviewer. Concurrent reviews of one token for the
// same audiences are one. A token that the API server does not know is a
// Review that is not Authenticated, with its reason; the error says that the
// API server could not be asked.
func (c *Client) Review(ctx context.Context, token string, audiences []string) (ident.Review, error) {
	key := cache.Sum(append([]string{token}, audiences...)...)
	return c.flight.Do(ctx, key, func(ctx context.Context) (ident.Review, error) {
		ctx, cancel := context.WithTimeout(ctx, Within)
		defer cancel()
		return c.review(ctx, token, audiences)
	})
}

func (c *Client) review(ctx context.Context, token string, audiences []string) (ident.Review, error) {
	if c.denials != nil && c.denials.Lost() {
		if err := c.pace.wait(ctx, c.denials.Now()); err != nil {
			return ident.Review{}, err
		}
	}
	done, err := c.turn(ctx)
	if err != nil {
		return ident.Review{}, err
	}
	defer done()
	asked := &authnv1.TokenReview{Spec: authnv1.TokenReviewSpec{Token: token, Audiences: audiences}}
	answer := &authnv1.TokenReview{}
	if err := c.authn.Post().Resource("tokenreviews").Body(asked).Do(ctx).Into(answer); err != nil {
		return ident.Review{}, failed("TokenReview", err)
	}
	return read(token, &answer.Status), nil
}

// read turns the API server's answer into a Review.
func read(token string, s *authnv1.TokenReviewStatus) ident.Review {
	if !s.Authenticated {
		reason := s.Error
		if reason == "" {
			reason = "the API server does not know the token"
		}
		return ident.Review{Error: reason}
	}
	r := ident.Review{
		Authenticated: true, Audiences: s.Audiences,
		User: ident.User{Username: s.User.Username, UID: s.User.UID, Groups: s.User.Groups},
	}
	if len(s.User.Extra) > 0 {
		r.User.Extra = make(map[string][]string, len(s.User.Extra))
		for k, v := range s.User.Extra {
			r.User.Extra[k] = v
		}
	}
	claims := readClaims(token)
	r.Expires, r.ID = claims.expires(), claims.ID
	// What the API server says itself comes before what a token says.
	for _, id := range r.User.Extra[credentialID] {
		if jti, ok := strings.CutPrefix(id, "JTI="); ok {
			r.ID = jti
		}
	}
	return r
}

// credentialID is the key of User.Extra under which an API server since 1.30
// tells a token's jti.
const credentialID = "authentication.kubernetes.io/credential-id"

// claims are the parts of a token that a review does not repeat.
type claims struct {
	Expires float64 `json:"exp"` // seconds, possibly with a fraction (RFC 7519 §2)
	ID      string  `json:"jti"`
}

func (c claims) expires() time.Time {
	if c.Expires <= 0 || c.Expires > math.MaxInt32*1000 {
		return time.Time{}
	}
	return time.Unix(int64(c.Expires), 0)
}

// readClaims reads the claims of a token that was found to be good. One that
// is no JWT, such as OpenShift's, has none.
func readClaims(token string) (c claims) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return claims{}
	}
	body, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil || json.Unmarshal(body, &c) != nil {
		return claims{}
	}
	return c
}
