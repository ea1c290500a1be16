package ident

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/json"
)

// Leeway is how far two clocks may be apart: a token is taken until Leeway
// after its exp, and from Leeway before its nbf and iat on.
const Leeway = 10 * time.Second

// algorithms are the signatures that are taken. Never none, and never HMAC: a
// public key would then be the secret (RFC 8725 §3.1).
var algorithms = []jose.SignatureAlgorithm{
	jose.RS256, jose.RS384, jose.RS512,
	jose.PS256, jose.PS384, jose.PS512,
	jose.ES256, jose.ES384, jose.ES512,
	jose.EdDSA,
}

// JWT verifies signed tokens (RFC 7519, compact form) with an issuer's public
// keys. The identity object is the claims.
type JWT struct {
	Issuer    string   // must equal iss; "" = not compared
	Audiences []string // one must be in aud; none = not compared
	Keys      *Keys
	Revoked   Revoked // nil = nothing is ever revoked
	Now       func() time.Time
}

// registered are the claims that decide whether a token is good.
type registered struct {
	Issuer   string   `json:"iss"`
	Subject  string   `json:"sub"`
	Audience audience `json:"aud"`
	Expires  *moment  `json:"exp"`
	From     *moment  `json:"nbf"`
	Issued   *moment  `json:"iat"`
	ID       string   `json:"jti"`
}

// Identify verifies token. Errors: *Rejected, or one that wraps ErrUnavailable
// when the keys cannot be had.
func (j *JWT) Identify(ctx context.Context, token string) (*Identity, error) {
	if len(token) > MaxCredential {
		return nil, rejected("longer than 16 KiB")
	}
	payload, err := j.verify(ctx, token)
	if err != nil {
		return nil, err
	}
	var c registered
	var claims map[string]any
	// Twice into different shapes, by a reader that refuses duplicate names.
	if json.Unmarshal(payload, &c) != nil || json.Unmarshal(payload, &claims) != nil || claims == nil {
		return nil, rejected("the claims are not an object with well-formed registered claims")
	}
	if err := j.check(&c); err != nil {
		return nil, err
	}
	expires := c.Expires.time()
	if j.Revoked != nil && j.Revoked.Revoked(&Review{
		Authenticated: true, User: User{Username: c.Subject}, Audiences: c.Audience, Expires: expires, ID: c.ID,
	}) {
		return nil, rejected("revoked")
	}
	return &Identity{Object: claims, Subject: c.Subject, Expires: expires}, nil
}

// verify checks the signature and returns the claims' bytes.
func (j *JWT) verify(ctx context.Context, token string) ([]byte, error) {
	signed, err := jose.ParseSignedCompact(token, algorithms)
	if err != nil {
		return nil, rejected(malformed(err))
	}
	head := signed.Signatures[0].Protected
	keys, err := j.Keys.find(ctx, head.KeyID, head.Algorithm)
	if err != nil {
		return nil, err
	}
	for _, k := range keys {
		if payload, err := signed.Verify(k); err == nil {
			return payload, nil
		}
	}
	if len(keys) == 0 {
		return nil, rejected("no key of the issuer fits its kid and algorithm")
	}
	return nil, rejected("the signature does not verify")
}

// malformed words a parse error without repeating any part of the token.
func malformed(err error) string {
	var alg *jose.ErrUnexpectedSignatureAlgorithm
	if errors.As(err, &alg) {
		return fmt.Sprintf("the algorithm is not one of %v", algorithms)
	}
	return "not a signed token in compact form"
}

func (j *JWT) check(c *registered) error {
	now := j.Now()
	switch {
	case j.Issuer != "" && c.Issuer != j.Issuer:
		return rejected("issued by another issuer")
	case len(j.Audiences) > 0 && !slices.ContainsFunc(j.Audiences, func(a string) bool { return slices.Contains(c.Audience, a) }):
		return rejected("meant for another audience")
	case c.Expires == nil:
		return rejected("has no exp")
	case !now.Before(c.Expires.time().Add(Leeway)):
		return rejected("expired")
	case c.From != nil && now.Add(Leeway).Before(c.From.time()):
		return rejected("not valid yet (nbf)")
	case c.Issued != nil && now.Add(Leeway).Before(c.Issued.time()):
		return rejected("issued in the future (iat)")
	}
	return nil
}

// audience is aud: a string or a list of them.
type audience []string

// UnmarshalJSON implements json.Unmarshaler.
func (a *audience) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] == '"' {
		*a = make(audience, 1)
		return json.Unmarshal(b, &(*a)[0])
	}
	return json.Unmarshal(b, (*[]string)(a))
}

// moment is a NumericDate: seconds since 1970, fractions allowed.
type moment float64

// UnmarshalJSON implements json.Unmarshaler. Dates beyond the year 9999 are
// refused, so that no arithmetic overflows.
func (m *moment) UnmarshalJSON(b []byte) error {
	var f float64
	if err := json.Unmarshal(b, &f); err != nil {
		return err
	}
	if f < 0 || f > 253402300799 {
		return errors.New("a date out of range")
	}
	*m = moment(f)
	return nil
}

func (m *moment) time() time.Time {
	whole := int64(*m)
	return time.Unix(whole, int64((float64(*m)-float64(whole))*1e9))
}
