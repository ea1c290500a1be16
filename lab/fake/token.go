package fake

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// tokens is the access tokens that the issuers of a World have given out.
type tokens struct {
	lifetime atomic.Int64 // nanoseconds; 0 for what each issuer usually gives
	mu       sync.Mutex
	granted  map[string]grant
}

type grant struct {
	subject, scope string
	expires        time.Time
}

// Lifetime makes every token and temporary key that is issued from now on
// live so long, whatever its issuer usually gives.
func (w *World) Lifetime(d time.Duration) { w.tokens.lifetime.Store(int64(d)) }

// lifetime is how long what is issued now lives, when usual is usual.
func (w *World) lifetime(usual time.Duration) time.Duration {
	if d := w.tokens.lifetime.Load(); d != 0 {
		return time.Duration(d)
	}
	return usual
}

// issue makes an access token and tells its lifetime in seconds.
func (w *World) issue(prefix, subject, scope string, usual time.Duration) (token string, seconds int) {
	d := w.lifetime(usual)
	token = prefix + secret() + secret()
	w.tokens.mu.Lock()
	defer w.tokens.mu.Unlock()
	if w.tokens.granted == nil {
		w.tokens.granted = map[string]grant{}
	}
	w.tokens.granted[token] = grant{subject: subject, scope: scope, expires: w.now().Add(d)}
	return token, int(d / time.Second)
}

// Withdraw makes an access token unknown from now on.
func (w *World) Withdraw(token string) {
	w.tokens.mu.Lock()
	defer w.tokens.mu.Unlock()
	delete(w.tokens.granted, token)
}

func (t *tokens) find(token string, now time.Time) (grant, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	g, ok := t.granted[token]
	return g, ok && now.Before(g.expires)
}

// Issuer signs identity tokens, as a cluster does for its ServiceAccounts.
type Issuer struct {
	Name string
	key  *ecdsa.PrivateKey
	now  func() time.Time
}

func newIssuer(name string, now func() time.Time) (*Issuer, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	return &Issuer{Name: name, key: key, now: now}, err
}

// Token is a token for the subject and audience that expires after ttl, which
// may be negative.
func (i *Issuer) Token(subject, audience string, ttl time.Duration) string {
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: i.key}, (&jose.SignerOptions{}).WithType("JWT"))
	if err != nil {
		panic("BUG: " + err.Error())
	}
	now := i.now()
	token, err := jwt.Signed(signer).Claims(jwt.Claims{
		Issuer: i.Name, Subject: subject, Audience: jwt.Audience{audience},
		IssuedAt: jwt.NewNumericDate(now.Add(-time.Second)), Expiry: jwt.NewNumericDate(now.Add(ttl)),
	}).Serialize()
	if err != nil {
		panic("BUG: " + err.Error())
	}
	return token
}

// verify returns the claims of a token that is the issuer's, for the audience and not expired.
func (i *Issuer) verify(token, audience string) (jwt.Claims, error) {
	return verified(token, jose.ES256, i.key.Public(), jwt.Expected{Issuer: i.Name, AnyAudience: jwt.Audience{audience}, Time: i.now()})
}

func verified(token string, algorithm jose.SignatureAlgorithm, key any, want jwt.Expected) (jwt.Claims, error) {
	var claims jwt.Claims
	parsed, err := jwt.ParseSigned(token, []jose.SignatureAlgorithm{algorithm})
	if err != nil {
		return claims, err
	}
	if err := parsed.Claims(key, &claims); err != nil {
		return claims, err
	}
	return claims, claims.ValidateWithLeeway(want, 0)
}

// secret is 32 letters and digits that nobody can guess.
func secret() string { return strings.ToLower(rand.Text() + rand.Text())[:32] }

// upper is n capital letters and digits.
func upper(n int) string { return rand.Text()[:n] }

// serial is an identifier for an answer.
func (x *exchange) serial() string { return strings.ToLower(rand.Text()) }
