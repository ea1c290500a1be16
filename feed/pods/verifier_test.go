package pods_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"google.golang.org/grpc/metadata"

	"github.com/egret-gateway/egret/feed/pods"
)

const issuer = "https://kubernetes.default.svc.cluster.local"

// api is an API server that publishes keys.
type api struct {
	*httptest.Server
	keys  atomic.Pointer[[]jose.JSONWebKey]
	away  atomic.Bool
	asked atomic.Int64
}

func serve(t *testing.T, keys ...jose.JSONWebKey) *api {
	a := &api{}
	a.keys.Store(&keys)
	a.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if a.away.Load() {
			http.Error(w, "away", http.StatusServiceUnavailable)
			return
		}
		switch r.URL.Path {
		case "/.well-known/openid-configuration":
			a.asked.Add(1)
			_ = json.NewEncoder(w).Encode(map[string]any{"issuer": issuer, "jwks_uri": "https://192.0.2.1/openid/v1/jwks"})
		case "/openid/v1/jwks":
			_ = json.NewEncoder(w).Encode(jose.JSONWebKeySet{Keys: *a.keys.Load()})
		default:
			http.NotFound(w, r)
		}
	}))
	t.Cleanup(a.Close)
	return a
}

func keys(t *testing.T) (*rsa.PrivateKey, *ecdsa.PrivateKey) {
	t.Helper()
	r, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	e, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return r, e
}

func public(kid string, alg jose.SignatureAlgorithm, key any) jose.JSONWebKey {
	return jose.JSONWebKey{KeyID: kid, Algorithm: string(alg), Use: "sig", Key: key}
}

func sign(t *testing.T, alg jose.SignatureAlgorithm, kid string, key any, claims map[string]any) string {
	t.Helper()
	s, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: key}, (&jose.SignerOptions{}).WithHeader("kid", kid))
	if err != nil {
		t.Fatal(err)
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := s.Sign(payload)
	if err != nil {
		t.Fatal(err)
	}
	text, err := signed.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// claims are those of a projected token, with some replaced; nil takes one out.
func claims(now time.Time, other map[string]any) map[string]any {
	c := map[string]any{
		"iss": issuer, "aud": []string{"egret-xds"}, "sub": "system:serviceaccount:shop:egret-proxy-egress",
		"iat": now.Unix(), "nbf": now.Unix(), "exp": now.Add(time.Hour).Unix(), "jti": "b5e0",
		"kubernetes.io": map[string]any{
			"namespace": "shop", "serviceaccount": map[string]string{"name": "egret-proxy-egress", "uid": "u1"},
			"pod": map[string]string{"name": "egret-proxy-egress-7f", "uid": "u2"}, "node": map[string]string{"name": "n1"},
		},
	}
	for k, v := range other {
		c[k] = v
		if v == nil {
			delete(c, k)
		}
	}
	return c
}

func TestVerify(t *testing.T) {
	now := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	r, e := keys(t)
	stranger, _ := keys(t)
	a := serve(t, public("r", jose.RS256, r.Public()), public("e", jose.ES256, e.Public()), public("oct", jose.HS256, []byte("secret-secret-secret-secret-secre")))
	v := &pods.Verifier{Server: a.URL, Client: a.Client(), Now: func() time.Time { return now }}
	want := pods.Pod{Namespace: "shop", ServiceAccount: "egret-proxy-egress", Name: "egret-proxy-egress-7f", UID: "u2"}
	f := func(t *testing.T, name, token, problem string) {
		t.Helper()
		now = now.Add(11 * time.Second) // the pause between two fetches
		got, err := v.Verify(t.Context(), token)
		switch {
		case problem == "" && (err != nil || got != want):
			t.Errorf("%s: %+v, %v", name, got, err)
		case problem != "" && (err == nil || !strings.Contains(err.Error(), problem) || got != pods.Pod{}):
			t.Errorf("%s: %+v, %v; want %q", name, got, err, problem)
		case err != nil && strings.Contains(err.Error(), token):
			t.Errorf("%s: the error holds the token", name)
		}
	}
	ok := func(other map[string]any) string { return sign(t, jose.RS256, "r", r, claims(now, other)) }
	t.Run("gateway-101 B-30 who holds a token is verified", func(t *testing.T) {
		f(t, "RS256", ok(nil), "")
		f(t, "ES256", sign(t, jose.ES256, "e", e, claims(now, nil)), "")
		f(t, "one audience of two", ok(map[string]any{"aud": []string{"x", "egret-xds"}}), "")
		f(t, "other audience", ok(map[string]any{"aud": []string{"https://kubernetes.default.svc"}}), "audience")
		f(t, "other issuer", ok(map[string]any{"iss": "https://evil.example.com"}), "issuer")
		f(t, "expired", ok(map[string]any{"exp": now.Unix()}), "expired")
		f(t, "no end", ok(map[string]any{"exp": nil}), "never expires")
		f(t, "not yet", ok(map[string]any{"nbf": now.Add(time.Minute).Unix()}), "not valid yet")
		f(t, "another subject", ok(map[string]any{"sub": "system:serviceaccount:shop:other"}), "subject")
		f(t, "a person", ok(map[string]any{"sub": "alice", "kubernetes.io": nil}), "subject")
		f(t, "a stranger's key by a known id", sign(t, jose.RS256, "r", stranger, claims(now, nil)), "signature")
		f(t, "unknown id", sign(t, jose.RS256, "new", stranger, claims(now, nil)), "none of the API server's keys")
		f(t, "no id", sign(t, jose.RS256, "", r, claims(now, nil)), "none of the API server's keys")
		f(t, "another algorithm than the key's", sign(t, jose.RS512, "r", r, claims(now, nil)), "none of the API server's keys")
		f(t, "a secret", sign(t, jose.HS256, "oct", []byte("secret-secret-secret-secret-secre"), claims(now, nil)), "no token signed")
		f(t, "none", "eyJhbGciOiJub25lIn0.e30.", "no token signed")
		f(t, "not a token", "x", "no token signed")
		f(t, "huge", strings.Repeat("x", 20<<10), "larger")
	})
}

func TestKeys(t *testing.T) {
	now := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	first, e := keys(t)
	a := serve(t, public("1", jose.RS256, first.Public()))
	v := &pods.Verifier{Server: a.URL, Client: a.Client(), Now: func() time.Time { return now }}
	old := func() string { return sign(t, jose.RS256, "1", first, claims(now, nil)) }
	fresh := func() string { return sign(t, jose.ES256, "2", e, claims(now, nil)) }
	f := func(name, token string, ok bool, asked int64) {
		t.Helper()
		if _, err := v.Verify(t.Context(), token); (err == nil) != ok || a.asked.Load() != asked {
			t.Errorf("%s: %v, asked %d times, want %d", name, err, a.asked.Load(), asked)
		}
	}
	a.away.Store(true)
	f("no keys yet", old(), false, 0)
	a.away.Store(false)
	f("too soon", old(), false, 0)
	now = now.Add(10 * time.Second)
	f("first", old(), true, 1)
	f("known", old(), true, 1)
	f("unknown, too soon", fresh(), false, 1)
	now = now.Add(10 * time.Second)
	f("unknown", fresh(), false, 2)
	f("again, too soon", fresh(), false, 2)
	a.keys.Store(&[]jose.JSONWebKey{public("2", jose.ES256, e.Public()), public("1", jose.RS256, first.Public())})
	now = now.Add(10 * time.Second)
	f("rotated", fresh(), true, 3)
	a.away.Store(true)
	now = now.Add(24 * time.Hour)
	f("the API server is away", old(), true, 3)
	a.away.Store(false)
	a.keys.Store(&[]jose.JSONWebKey{public("2", jose.ES256, e.Public())})
	now = now.Add(time.Hour)
	f("a key was withdrawn", old(), false, 4)
}

func TestAuthenticate(t *testing.T) {
	now := time.Now()
	r, _ := keys(t)
	a := serve(t, public("r", jose.RS256, r.Public()))
	v := &pods.Verifier{Server: a.URL, Client: a.Client()}
	authenticate := v.Authenticate(func(p pods.Pod) func(string) bool {
		return func(node string) bool { return node == p.ServiceAccount+"."+p.Namespace }
	})
	token := sign(t, jose.RS256, "r", r, claims(now, nil))
	f := func(node string, ok bool, headers ...string) {
		t.Helper()
		md := metadata.MD{}
		md.Append("authorization", headers...)
		who, err := authenticate(metadata.NewIncomingContext(context.Background(), md))
		if err == nil && !who.Nodes(node) {
			err = errors.New("not its node")
		}
		if (err == nil) != ok {
			t.Errorf("%q for %s: %v", headers, node, err)
		}
	}
	f("egret-proxy-egress.shop", true, "Bearer "+token)
	f("egret-proxy-egress.other", false, "Bearer "+token)
	f("egret-proxy-egress.shop", false)
	f("egret-proxy-egress.shop", false, "Basic "+token)
	f("egret-proxy-egress.shop", false, token)
	f("egret-proxy-egress.shop", false, "Bearer "+token, "Bearer x")
}
