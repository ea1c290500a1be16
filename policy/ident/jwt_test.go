package ident_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"

	"github.com/egret-gateway/egret/policy/ident"
)

const issuerURL = "https://issuer.example"

// epoch is the time of tests that hold the clock still.
var epoch = time.Date(2026, 2, 3, 4, 5, 6, 0, time.UTC)

func clock() func() time.Time { return func() time.Time { return epoch } }

// claims change those of a good token; nil removes one.
type claims map[string]any

// signature names one of the issuer's keys and how it is used.
type signature struct {
	kid string
	alg jose.SignatureAlgorithm
}

var (
	rs256 = signature{"rsa", jose.RS256}
	ps512 = signature{"rsa", jose.PS512}
	es256 = signature{"ec", jose.ES256}
	eddsa = signature{"ed", jose.EdDSA}
)

// keyring is an issuer with one key of each kind.
type keyring map[string]crypto.Signer

var testKeys = newKeyring()

func newKeyring() keyring {
	r, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	e, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	_, d, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		panic(err)
	}
	return keyring{"rsa": r, "ec": e, "ed": d}
}

func (k keyring) set() *jose.JSONWebKeySet {
	set := &jose.JSONWebKeySet{}
	for kid, key := range k {
		set.Keys = append(set.Keys, jose.JSONWebKey{KeyID: kid, Key: key.Public()})
	}
	return set
}

func (k keyring) fetch(context.Context) (*jose.JSONWebKeySet, error) { return k.set(), nil }

func (k keyring) sign(t testing.TB, s signature, changes claims) string {
	return signed(t, s.alg, k[s.kid], s.kid, payload(t, changes))
}

func payload(t testing.TB, changes claims) []byte {
	t.Helper()
	c := claims{
		"iss": issuerURL, "sub": "alice", "aud": []string{"here"}, "jti": "1",
		"iat": epoch.Unix(), "nbf": epoch.Unix(), "exp": epoch.Add(time.Hour).Unix(),
	}
	maps.Copy(c, changes)
	maps.DeleteFunc(c, func(_ string, v any) bool { return v == nil })
	b, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func signed(t testing.TB, alg jose.SignatureAlgorithm, key any, kid string, payload []byte) string {
	t.Helper()
	o := (&jose.SignerOptions{}).WithType("JWT")
	if kid != "" {
		o = o.WithHeader("kid", kid)
	}
	s, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: key}, o)
	if err != nil {
		t.Fatal(err)
	}
	sig, err := s.Sign(payload)
	if err != nil {
		t.Fatal(err)
	}
	token, err := sig.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// TestJWT is the table of bad tokens: which are refused, and what the log says.
// Two clocks may be 10 s apart (Leeway).
func TestJWT(t *testing.T) {
	v := &ident.JWT{Issuer: issuerURL, Audiences: []string{"here"}, Keys: ident.NewKeys(testKeys.fetch, 0, clock()), Now: clock()}
	const good = ""
	f := func(name, token, want string) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			t.Helper()
			_, err := v.Identify(t.Context(), token)
			var rejected *ident.Rejected
			switch {
			case err == nil:
				if want != good {
					t.Errorf("taken, want %q", want)
				}
			case !errors.As(err, &rejected):
				t.Errorf("not a rejection: %v", err)
			case want == good || !strings.Contains(rejected.Reason, want):
				t.Errorf("rejected: %q, want %q", rejected.Reason, want)
			case len(token) > 20 && strings.Contains(rejected.Reason, token[:20]):
				t.Error("the reason repeats the token")
			}
		})
	}
	at := func(d time.Duration) int64 { return epoch.Add(d).Unix() }
	token := func(c claims) string { return testKeys.sign(t, rs256, c) }

	for _, s := range []signature{rs256, ps512, es256, eddsa} {
		f(string(s.alg), testKeys.sign(t, s, nil), good)
	}
	f("expired within the leeway", token(claims{"exp": at(-9 * time.Second)}), good)
	f("expired", token(claims{"exp": at(-10 * time.Second)}), "expired")
	f("no exp", token(claims{"exp": nil}), "has no exp")
	f("exp that is no number", token(claims{"exp": "tomorrow"}), "well-formed")
	f("exp beyond all dates", token(claims{"exp": 1e300}), "well-formed")
	f("not yet valid, within the leeway", token(claims{"nbf": at(10 * time.Second)}), good)
	f("not yet valid", token(claims{"nbf": at(11 * time.Second)}), "not valid yet")
	f("from the future", token(claims{"iat": at(11 * time.Second)}), "in the future")
	f("no nbf, no iat", token(claims{"nbf": nil, "iat": nil}), good)
	f("an audience as text", token(claims{"aud": "here"}), good)
	f("wrong audience", token(claims{"aud": []string{"there"}}), "another audience")
	f("no audience", token(claims{"aud": nil}), "another audience")
	f("wrong issuer", token(claims{"iss": issuerURL + "/"}), "another issuer")
	f("no issuer", token(claims{"iss": nil}), "another issuer")

	f("unknown kid", signed(t, jose.RS256, testKeys["rsa"], "other", payload(t, nil)), "no key of the issuer fits")
	f("no kid", signed(t, jose.RS256, testKeys["rsa"], "", payload(t, nil)), good)
	f("another's key under a known kid", newKeyring().sign(t, rs256, nil), "does not verify")
	f("a kid of another kind of key", signed(t, jose.RS256, testKeys["rsa"], "ec", payload(t, nil)), "no key of the issuer fits")
	public, err := jose.JSONWebKey{Key: testKeys["rsa"].Public()}.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	f("HMAC with the public key", signed(t, jose.HS256, public, "rsa", payload(t, nil)), "the algorithm is not one of")
	raw := func(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }
	f("alg: none", raw(`{"alg":"none"}`)+"."+raw(string(payload(t, nil)))+".", "the algorithm is not one of")
	f("alg: None", raw(`{"alg":"None"}`)+"."+raw(string(payload(t, nil)))+".", "the algorithm is not one of")
	f("wrong algorithm for its signature", relabel(token(nil), `{"alg":"RS512","kid":"rsa"}`), "does not verify")
	f("a critical extension", relabel(token(nil), `{"alg":"RS256","kid":"rsa","crit":["x"],"x":1}`), "does not verify")

	parts := strings.Split(token(nil), ".")
	f("a changed claim", parts[0]+"."+raw(string(payload(t, claims{"sub": "root"})))+"."+parts[2], "does not verify")
	f("no signature", parts[0]+"."+parts[1]+".", "does not verify")
	f("two parts", parts[0]+"."+parts[1], "not a signed token")
	f("five parts", token(nil)+".a.b", "not a signed token")
	f("JSON form", `{"payload":"e30","signatures":[]}`, "not a signed token")
	f("garbage", "garbage", "not a signed token")
	f("claims that are a list", signed(t, jose.RS256, testKeys["rsa"], "rsa", []byte(`[]`)), "not an object")
	f("claims that are null", signed(t, jose.RS256, testKeys["rsa"], "rsa", []byte(`null`)), "not an object")
	f("a claim twice", signed(t, jose.RS256, testKeys["rsa"], "rsa", []byte(`{"sub":"alice","sub":"root","exp":9999999999}`)), "not an object")
	f("too long", token(claims{"pad": strings.Repeat("x", 16<<10)}), "longer than 16 KiB")
}

func relabel(token, header string) string {
	_, rest, _ := strings.Cut(token, ".")
	return base64.RawURLEncoding.EncodeToString([]byte(header)) + "." + rest
}

func TestJWTIdentity(t *testing.T) {
	v := &ident.JWT{Keys: ident.NewKeys(testKeys.fetch, 0, clock()), Now: clock()}
	got, err := v.Identify(t.Context(), testKeys.sign(t, es256, claims{"iat": nil, "nbf": nil, "team": claims{"name": "birds"}}))
	if err != nil {
		t.Fatal(err)
	}
	end := epoch.Add(time.Hour)
	want := &ident.Identity{
		Object: map[string]any{
			"iss": issuerURL, "sub": "alice", "aud": []any{"here"}, "jti": "1",
			"exp": float64(end.Unix()), "team": map[string]any{"name": "birds"},
		},
		Subject: "alice",
		Expires: end,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestJWTRevoked(t *testing.T) {
	list := &denyList{}
	v := &ident.JWT{Keys: ident.NewKeys(testKeys.fetch, 0, clock()), Revoked: list, Now: clock()}
	token := testKeys.sign(t, rs256, nil)
	if _, err := v.Identify(t.Context(), token); err != nil {
		t.Fatal(err)
	}
	list.deny("1")
	var rejected *ident.Rejected
	if _, err := v.Identify(t.Context(), token); !errors.As(err, &rejected) || rejected.Reason != "revoked" {
		t.Errorf("after its jti was denied: %v", err)
	}
}
