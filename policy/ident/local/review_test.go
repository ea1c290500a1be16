package local

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"

	"github.com/egret-gateway/egret/policy/ident"
	"github.com/egret-gateway/egret/store"
	"github.com/egret-gateway/egret/store/sqlite"
)

var (
	ourKey     = sync.OnceValues(func() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, 2048) })
	foreignKey = sync.OnceValues(func() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, 2048) })
)

const gatewayAudience = "maas-default-gateway-sa"

// scene is a realm with one ServiceAccount and one user, alice, whose token is "x".
type scene struct {
	t       testing.TB
	realm   *Realm
	issuer  *Issuer
	account store.Account
	now     time.Time
}

func newScene(t testing.TB) *scene {
	t.Helper()
	s := &scene{t: t, now: time.Unix(1771002913, 0)}
	db, err := sqlite.Open(t.Context(), ":memory:")
	s.must(err)
	t.Cleanup(func() { s.must(db.Close()) })
	key, err := ourKey()
	s.must(err)
	s.issuer, err = NewIssuer(key)
	s.must(err)
	path := filepath.Join(t.TempDir(), "users.yaml")
	s.must(os.WriteFile(path, []byte("users: [{name: alice, tokens: ['"+digestOfX+"']}]"), 0o600))
	users, err := OpenUsers(path, slog.New(slog.DiscardHandler))
	s.must(err)
	s.realm, err = Open(t.Context(), Options{Users: users, Issuer: s.issuer, State: db, Now: func() time.Time { return s.now }})
	s.must(err)
	s.account, err = s.realm.EnsureAccount(t.Context(), store.Account{Namespace: "ns", Name: "sa", Owner: "alice"})
	s.must(err)
	return s
}

func (s *scene) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s *scene) review(token string, audiences ...string) ident.Review {
	s.t.Helper()
	v, err := s.realm.Review(s.t.Context(), token, audiences)
	s.must(err)
	return v
}

// good are claims that are accepted.
func (s *scene) good() claims {
	return claims{
		Audience: []string{gatewayAudience, "other"}, Expires: s.now.Unix() + 600, Issued: s.now.Unix(), Issuer: IssuerURL, ID: "id",
		Cluster:   bound{Namespace: "ns", Account: account{Name: "sa", UID: s.account.UID}},
		NotBefore: s.now.Unix(), Subject: "system:serviceaccount:ns:sa",
	}
}

func (s *scene) sign(c claims) string {
	s.t.Helper()
	token, err := s.issuer.sign(c)
	s.must(err)
	return token
}

// forge signs our good claims with another key or algorithm.
func (s *scene) forge(alg jose.SignatureAlgorithm, key any, keyID string) string {
	s.t.Helper()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: key}, (&jose.SignerOptions{}).WithHeader("kid", keyID))
	s.must(err)
	body, err := json.Marshal(s.good())
	s.must(err)
	signed, err := signer.Sign(body)
	s.must(err)
	token, err := signed.CompactSerialize()
	s.must(err)
	return token
}

func TestReviewAccepts(t *testing.T) {
	s := newScene(t)
	t.Run("a ServiceAccount", func(t *testing.T) {
		token, expires, err := s.realm.Token(t.Context(), s.account, gatewayAudience, 10*time.Minute+time.Second/2)
		s.must(err)
		got := s.review(token, IssuerURL, gatewayAudience)
		want := ident.Review{
			Authenticated: true, Audiences: []string{gatewayAudience}, Expires: s.now.Add(10 * time.Minute), ID: got.ID,
			User: ident.User{
				Username: "system:serviceaccount:ns:sa", UID: s.account.UID,
				Groups: []string{"system:serviceaccounts", "system:serviceaccounts:ns", "system:authenticated"},
				Extra:  map[string][]string{"authentication.kubernetes.io/credential-id": {"JTI=" + got.ID}},
			},
		}
		if diff := cmp.Diff(want, got); diff != "" || !expires.Equal(want.Expires) || got.ID == "" {
			t.Errorf("expires %v, review (-want +got):\n%s", expires, diff)
		}
	})
	t.Run("a person", func(t *testing.T) {
		for _, audiences := range [][]string{nil, {IssuerURL}, {gatewayAudience, IssuerURL}} {
			got := s.review("x", audiences...)
			want := ident.Review{
				Authenticated: true, Audiences: []string{IssuerURL}, ID: "user:" + strings.TrimPrefix(digestOfX, digestPrefix),
				User: ident.User{Username: "alice", Groups: []string{"system:authenticated"}},
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("audiences %v, review (-want +got):\n%s", audiences, diff)
			}
		}
	})
	t.Run("all audiences that both sides name", func(t *testing.T) {
		got := s.review(s.sign(s.good()), "other", "another", gatewayAudience)
		if diff := cmp.Diff([]string{gatewayAudience, "other"}, got.Audiences); diff != "" {
			t.Errorf("audiences (-want +got):\n%s", diff)
		}
	})
	t.Run("a clock that is ten seconds off", func(t *testing.T) {
		c := s.good()
		c.NotBefore += 10
		if got := s.review(s.sign(c), gatewayAudience); !got.Authenticated {
			t.Errorf("ten seconds early: %s", got.Error)
		}
		c = s.good()
		c.Expires = s.now.Unix() - 9
		if got := s.review(s.sign(c), gatewayAudience); !got.Authenticated {
			t.Errorf("nine seconds late: %s", got.Error)
		}
	})
}

func TestReviewRejects(t *testing.T) {
	s := newScene(t)
	f := func(name, token, want string, audiences ...string) {
		t.Run(name, func(t *testing.T) {
			got := s.review(token, audiences...)
			if got.Authenticated || !strings.Contains(got.Error, want) {
				t.Errorf("review %+v, want an error with %q", got, want)
			}
			if token != "" && strings.Contains(got.Error, token) {
				t.Errorf("the error shows the token: %s", got.Error)
			}
			got.Error = ""
			if diff := cmp.Diff(ident.Review{}, got); diff != "" {
				t.Errorf("a rejected token says something:\n%s", diff)
			}
		})
	}
	claim := func(name, want string, change func(*claims)) {
		c := s.good()
		change(&c)
		f(name, s.sign(c), want, gatewayAudience)
	}
	claim("expired", "has expired", func(c *claims) { c.Expires = s.now.Unix() - 10 })
	claim("no expiry", "has expired", func(c *claims) { c.Expires = 0 })
	claim("not yet valid", "not valid yet", func(c *claims) { c.NotBefore += 11 })
	claim("another issuer", "issuer", func(c *claims) { c.Issuer = "https://elsewhere.example" })
	claim("another audience", "is for", func(c *claims) { c.Audience = []string{"elsewhere"} })
	claim("no audience", "is for", func(c *claims) { c.Audience = nil })
	claim("another subject", "do not name one", func(c *claims) { c.Subject = "kube:admin" })
	claim("no id", "do not name one", func(c *claims) { c.ID = "" })
	claim("no uid", "do not name one", func(c *claims) { c.Cluster.Account.UID = "" })
	claim("the uid of a former account", "was deleted", func(c *claims) { c.Cluster.Account.UID = "old" })
	claim("an account that is not there", "was deleted", func(c *claims) {
		c.Cluster.Account.Name, c.Subject = "none", "system:serviceaccount:ns:none"
	})

	good := s.sign(s.good())
	parts := strings.Split(good, ".")
	encode := base64.RawURLEncoding.EncodeToString
	foreign, err := foreignKey()
	s.must(err)
	f("nothing", "", "neither")
	f("the API server's audience is asked for", good, "is for")
	f("a person's token for another audience", "x", "is for", gatewayAudience)
	f("an unknown token", "sha256~unknown", "neither", gatewayAudience)
	f("a token that was not copied whole", "egret_user_AAAA", "not copied whole", IssuerURL)
	f("a token that is too long", strings.Repeat("a", maxToken+1), "longer than", gatewayAudience)
	f("no signature", parts[0]+"."+parts[1]+".", "", gatewayAudience)
	f("claims that were changed", parts[0]+"."+encode([]byte(`{"sub":"x"}`))+"."+parts[2], "signature", gatewayAudience)
	f("alg none", encode([]byte(`{"alg":"none"}`))+"."+parts[1]+".", "neither", gatewayAudience)
	f("alg HS256 with the public key", s.forge(jose.HS256, []byte(strings.Repeat("k", 64)), s.issuer.keyID), "neither", gatewayAudience)
	f("alg PS256", s.forge(jose.PS256, s.issuer.key, s.issuer.keyID), "neither", gatewayAudience)
	f("a foreign key", s.forge(jose.RS256, foreign, "foreign"), "not ours", gatewayAudience)
	f("a foreign key under our id", s.forge(jose.RS256, foreign, s.issuer.keyID), "signature", gatewayAudience)
	f("our key under another id", s.forge(jose.RS256, s.issuer.key, "foreign"), "not ours", gatewayAudience)
	f("case changed", strings.ToLower(good), "", gatewayAudience)
}

// broken is a store that does not answer.
type broken struct{ State }

func (broken) Account(context.Context, string, string) (store.Account, error) {
	return store.Account{}, errors.New("disk on fire")
}

func TestReviewFailsClosed(t *testing.T) {
	s := newScene(t)
	token := s.sign(s.good())
	s.realm.state = broken{s.realm.state}
	if v, err := s.realm.Review(t.Context(), token, []string{gatewayAudience}); err == nil || v.Authenticated {
		t.Errorf("review %+v, error %v", v, err)
	}
}

func TestRevoked(t *testing.T) {
	s := newScene(t)
	one, two := s.good(), s.good()
	two.ID = "two"
	first, second := s.sign(one), s.sign(two)
	a, b, person := s.review(first, gatewayAudience), s.review(second, gatewayAudience), s.review("x")
	check := func(what string, wantA, wantB, wantPerson bool) {
		t.Helper()
		got := []bool{s.realm.Revoked(&a), s.realm.Revoked(&b), s.realm.Revoked(&person)}
		if diff := cmp.Diff([]bool{wantA, wantB, wantPerson}, got); diff != "" {
			t.Errorf("%s: revoked (-want +got):\n%s", what, diff)
		}
	}
	deny := func(subject string, life time.Duration) {
		t.Helper()
		epoch := s.realm.Epoch()
		s.must(s.realm.Deny(t.Context(), store.Denial{Subject: subject, Until: s.now.Add(life)}))
		if s.realm.Epoch() == epoch {
			t.Errorf("denying %s leaves the epoch at %d", subject, epoch)
		}
	}
	check("at first", false, false, false)
	deny("jti:id", time.Hour)
	check("one token", true, false, false)
	if v := s.review(first, gatewayAudience); v.Authenticated {
		t.Error("a fresh review accepts a revoked token")
	}
	deny("uid:"+s.account.UID, time.Hour)
	check("the account", true, true, false)

	again, err := Open(t.Context(), Options{Users: s.realm.users, Issuer: s.issuer, State: s.realm.state, Now: s.realm.now})
	s.must(err)
	if !again.Revoked(&a) || !again.Revoked(&b) {
		t.Error("a restart forgets denials")
	}

	epoch := s.realm.Epoch()
	s.must(os.WriteFile(s.realm.users.path, []byte("users: [{name: alice}]"), 0o600))
	s.must(s.realm.users.Reload())
	check("a token that is no longer in the users file", true, true, true)
	if s.realm.Epoch() == epoch {
		t.Error("a new users file leaves the epoch as it was")
	}

	s.now = s.now.Add(2 * time.Hour)
	deny("jti:other", time.Hour)
	if n := len(s.realm.denied.Load().until); n != 1 {
		t.Errorf("%d denials are kept, want only the one that still counts", n)
	}
}

func FuzzReview(f *testing.F) {
	s := newScene(f)
	good := s.sign(s.good())
	parts := strings.Split(good, ".")
	for _, seed := range []string{
		good, "x", "", ".", "..", "a.b.c", "egret_user_", "sha256~abc", parts[0] + "..", parts[0] + "." + parts[1] + ".",
		"eyJhbGciOiJub25lIn0." + parts[1] + ".", good + ".", " " + good, good + "\n", good[:len(good)-1],
		"eyJhbGciOiJSUzI1NiIsImp3ayI6e319.e30.AA", "eyJhbGciOiJSUzI1NiIsImNyaXQiOlsiYjY0Il0sImI2NCI6ZmFsc2V9.e30.AA",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, token string) {
		v, err := s.realm.Review(context.Background(), token, []string{gatewayAudience, IssuerURL})
		if err != nil {
			t.Fatalf("%q: %v", token, err)
		}
		if !v.Authenticated {
			if v.Error == "" || v.User.Username != "" {
				t.Fatalf("%q: rejected with %+v", token, v)
			}
			return
		}
		// Whatever is accepted must be one of the two tokens there are; the
		// parser may forgive how a token is written down.
		if v.User.Username != "alice" && v.User.Username != "system:serviceaccount:ns:sa" {
			t.Fatalf("%q: accepted as %+v", token, v)
		}
		if strings.Count(token, ".") == 2 && v.User.Username == "alice" {
			t.Fatalf("%q: a JWT is accepted as a person", token)
		}
	})
}
