package ident_test

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/egret-gateway/egret/policy/ident"
)

// origin is an issuer that counts and can be switched off.
type origin struct {
	keys    keyring
	away    bool
	fetched int
}

func (o *origin) fetch(context.Context) (*jose.JSONWebKeySet, error) {
	o.fetched++
	if o.away {
		return nil, errors.New("connection refused")
	}
	return o.keys.set(), nil
}

func TestKeysAreKept(t *testing.T) {
	type world struct {
		*origin
		verify func(kid string) error
	}
	run := func(name string, test func(t *testing.T, w world)) {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := &origin{keys: testKeys}
				v := &ident.JWT{Keys: ident.NewKeys(o.fetch, 5*time.Minute, time.Now), Now: time.Now}
				test(t, world{o, func(kid string) error {
					_, err := v.Identify(t.Context(), signed(t, jose.RS256, testKeys["rsa"], kid,
						payload(t, claims{"iat": nil, "nbf": nil, "exp": time.Now().Add(time.Hour).Unix()})))
					return err
				}})
			})
		})
	}
	expect := func(t *testing.T, w world, err error, fetched int) {
		t.Helper()
		if err != nil || w.fetched != fetched {
			t.Errorf("err %v after %d fetches, want none after %d", err, w.fetched, fetched)
		}
	}
	run("fetched on first use and after their ttl", func(t *testing.T, w world) {
		expect(t, w, w.verify("rsa"), 1)
		time.Sleep(5*time.Minute - time.Nanosecond)
		expect(t, w, w.verify("rsa"), 1)
		time.Sleep(time.Nanosecond)
		expect(t, w, w.verify("rsa"), 2)
	})
	run("an unknown kid makes one fetch per 10 s", func(t *testing.T, w world) {
		expect(t, w, w.verify("rsa"), 1)
		time.Sleep(10 * time.Second)
		for range 100 {
			var rejected *ident.Rejected
			if err := w.verify("new"); !errors.As(err, &rejected) {
				t.Fatal(err)
			}
		}
		if w.fetched != 2 {
			t.Fatalf("fetched %d times, want 2", w.fetched)
		}
		w.keys = keyring{"new": testKeys["rsa"]}
		time.Sleep(10 * time.Second)
		expect(t, w, w.verify("new"), 3)
	})
	run("old keys serve an hour while the issuer is away", func(t *testing.T, w world) {
		expect(t, w, w.verify("rsa"), 1)
		w.away = true
		time.Sleep(time.Hour + 5*time.Minute - time.Nanosecond)
		expect(t, w, w.verify("rsa"), 2)
		time.Sleep(time.Nanosecond)
		if err := w.verify("rsa"); !errors.Is(err, ident.ErrUnavailable) {
			t.Errorf("beyond the hour: %v", err)
		}
	})
	run("an issuer that is away is asked every 10 s", func(t *testing.T, w world) {
		w.away = true
		for range 100 {
			if err := w.verify("rsa"); !errors.Is(err, ident.ErrUnavailable) {
				t.Fatal(err)
			}
		}
		if w.fetched != 1 {
			t.Errorf("fetched %d times, want 1", w.fetched)
		}
		w.away = false
		time.Sleep(10 * time.Second)
		expect(t, w, w.verify("rsa"), 2)
	})
}

func TestDiscover(t *testing.T) {
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	set, err := json.Marshal(testKeys.set())
	if err != nil {
		t.Fatal(err)
	}
	weakSet, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{KeyID: "rsa", Key: weak.Public()}}})
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	answer := func(path, body string) {
		mux.HandleFunc(path, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, body) })
	}
	document := func(name, issuer, jwks string) {
		answer("/"+name+"/.well-known/openid-configuration", fmt.Sprintf(`{"issuer":%q,"jwks_uri":%q}`, issuer, jwks))
	}
	answer("/keys", string(set))
	answer("/weak", string(weakSet))
	answer("/mixed", `{"keys":[{"kty":"quantum","kid":"q"},`+strings.TrimPrefix(string(set), `{"keys":[`))
	answer("/none", `{"keys":[]}`)
	answer("/text", `hello`)
	answer("/endless", strings.Repeat(" ", 1<<20)+string(set))
	mux.Handle("/moved", http.RedirectHandler("/keys", http.StatusFound))
	document("good", server.URL+"/good", server.URL+"/keys")
	document("slash", server.URL+"/slash/", server.URL+"/keys")
	document("liar", server.URL+"/good", server.URL+"/keys")
	document("file", server.URL+"/file", "file:///etc/keys")

	f := func(name, issuer, jwks, want string) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			t.Helper()
			if issuer != "" {
				issuer = server.URL + issuer
			}
			if jwks != "" {
				jwks = server.URL + jwks
			}
			fetch, err := ident.Discover(server.Client().Transport, issuer, jwks)
			if err != nil {
				t.Fatal(err)
			}
			v := &ident.JWT{Keys: ident.NewKeys(fetch, 0, clock()), Now: clock()}
			_, err = v.Identify(t.Context(), testKeys.sign(t, rs256, nil))
			if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
				t.Errorf("got %v, want %q", err, want)
			}
		})
	}
	f("by issuer", "/good", "", "")
	f("an issuer that ends in a slash", "/slash/", "", "")
	f("by address", "", "/keys", "")
	f("keys of unknown kinds are passed over", "", "/mixed", "")
	f("a weak key is not taken", "", "/weak", "no key of the issuer fits")
	f("no keys", "", "/none", "holds no keys")
	f("no JSON", "", "/text", "invalid character")
	f("longer than 1 MiB", "", "/endless", "longer than 1 MiB")
	f("redirects are not followed", "", "/moved", "status 302")
	f("nobody there", "/nobody", "", "status 404")
	f("a document about another issuer", "/liar", "", "another issuer")
	f("keys at no web address", "/file", "", "jwks_uri")

	for _, bad := range []string{"", "issuer", "ftp://issuer", "https://", "https://%zz"} {
		if _, err := ident.Discover(http.DefaultTransport, bad, ""); err == nil {
			t.Errorf("issuer %q is taken", bad)
		}
	}
}
