package maas_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	api "github.com/egret-gateway/egret/api/maas"
	"github.com/egret-gateway/egret/maas"
	"github.com/egret-gateway/egret/store"
)

func TestTokenOfTheQuickstart(t *testing.T) {
	w := newWorld(t)
	a := w.as(admin, "POST", "/v1/tokens", `{"expiration": "10m"}`)
	var token api.Token
	a.into(t, &token)

	t.Run("maas-6 a token has three parts and the lifetime asked for", func(t *testing.T) {
		if a.code != http.StatusCreated || token.Expiration != "10m0s" || strings.Count(token.Token, ".") != 2 {
			t.Errorf("answer %d %s", a.code, a.body)
		}
		if got := a.head.Get("Content-Type"); got != "application/json; charset=utf-8" {
			t.Errorf("Content-Type %q", got)
		}
		wantOrder(t, a.body, "token", "expiration", "expiresAt", "issuedAt", "jti")
	})
	t.Run("maas-7 claims of a token of kube:admin in the free tier", func(t *testing.T) {
		got := claimsOf(t, token.Token)
		want := map[string]any{
			"aud": []any{"maas-default-gateway-sa"},
			"exp": float64(1771003513), "iat": float64(1771002913), "nbf": float64(1771002913),
			"iss": "https://kubernetes.default.svc", "jti": token.JTI,
			"kubernetes.io": map[string]any{
				"namespace": "maas-default-gateway-tier-free",
				"serviceaccount": map[string]any{
					"name": "kube-admin-81378af5", "uid": w.uid("maas-default-gateway-tier-free", "kube-admin-81378af5"),
				},
			},
			"sub": "system:serviceaccount:maas-default-gateway-tier-free:kube-admin-81378af5",
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("claims (-want +got):\n%s", diff)
		}
		if token.ExpiresAt-token.IssuedAt != 600 || token.IssuedAt != 1771002913 {
			t.Errorf("expiresAt %d, issuedAt %d", token.ExpiresAt, token.IssuedAt)
		}
	})
}

// wantOrder checks that the top-level keys of a JSON object come in this order.
func wantOrder(t *testing.T, body string, keys ...string) {
	t.Helper()
	dec := json.NewDecoder(strings.NewReader(body))
	var got []string
	depth, isKey := 0, false
	for {
		token, err := dec.Token()
		if err != nil {
			break
		}
		switch v := token.(type) {
		case json.Delim:
			if v == '{' || v == '[' {
				depth++
			} else {
				depth--
			}
			isKey = depth == 1
		case string:
			if depth == 1 && isKey {
				got = append(got, v)
				isKey = false
				continue
			}
			isKey = depth == 1
		default:
			isKey = depth == 1
		}
	}
	if diff := cmp.Diff(keys, got); diff != "" {
		t.Errorf("order of keys (-want +got):\n%s", diff)
	}
}

func TestTokenLifetime(t *testing.T) {
	w := newWorld(t)
	created := func(name, body, expiration string) {
		t.Run(name, func(t *testing.T) {
			a := w.as(admin, "POST", "/v1/tokens", body)
			var token api.Token
			a.into(t, &token)
			if a.code != http.StatusCreated || token.Expiration != expiration {
				t.Errorf("answer %d %s, want 201 with expiration %s", a.code, a.body, expiration)
			}
			d, err := time.ParseDuration(expiration)
			if err != nil || token.ExpiresAt-token.IssuedAt != int64(d.Truncate(time.Second).Seconds()) {
				t.Errorf("it lives from %d to %d, want %s", token.IssuedAt, token.ExpiresAt, expiration)
			}
		})
	}
	created("maas-16 no body", "", "4h0m0s")
	created("maas-16 an empty object", "{}", "4h0m0s")
	created("null", `{"expiration":null}`, "4h0m0s")
	created("name is ignored, and so are unknown fields", `{"name":"n","x":[1]}`, "4h0m0s")
	created("maas-17 a number is seconds", `{"expiration":601}`, "10m1s")
	created("a fraction of a second is shown and then dropped", `{"expiration":600.5}`, "10m0.5s")
	created("maas-18 a fraction of an hour", `{"expiration":"1.5h"}`, "1h30m0s")
	created("maas-19 hours, minutes and seconds", `{"expiration":"1h30m45s"}`, "1h30m45s")

	refused := func(name, body, want string) {
		t.Run(name, func(t *testing.T) {
			a := w.as(admin, "POST", "/v1/tokens", body)
			if a.code != http.StatusBadRequest || !strings.Contains(a.body, want) {
				t.Errorf("answer %d %s, want 400 with %s", a.code, a.body, want)
			}
		})
	}
	refused("maas-20 too short", `{"expiration":60}`,
		`{"error":"token expiration must be at least 10 minutes","provided_expiration":"1m0s"}`)
	positive := `{"error":"expiration must be positive"}`
	refused("maas-21 empty text", `{"expiration":""}`, positive)
	refused("maas-21 zero", `{"expiration":0}`, positive)
	refused("maas-21 negative", `{"expiration":"-30h"}`, positive)
	refused("zero as text", `{"expiration":"0"}`, positive)
	refused("maas-22 no unit", `{"expiration":"30"}`, "missing unit in duration")
	refused("maas-23 a word as unit", `{"expiration":"4hours"}`, "unknown unit")
	refused("a space before the unit", `{"expiration":"1 h"}`, "unknown unit")
	refused("maas-24 no number", `{"expiration":"abc"}`, `invalid duration \"abc\"`)
	refused("maas-25 a truth value", `{"expiration":true}`, `{"error":"invalid duration"}`)
	refused("an object", `{"expiration":{}}`, `{"error":"invalid duration"}`)
	refused("an array", `{"expiration":[1]}`, `{"error":"invalid duration"}`)
	refused("more than a duration holds", `{"expiration":1e300}`, `{"error":"invalid duration"}`)
	refused("maas-26 malformed JSON", `{`, "unexpected EOF")
}

func TestIdentityHeaders(t *testing.T) {
	w := newWorld(t)
	f := func(name, username, group, ref string) {
		t.Run(name, func(t *testing.T) {
			want := `{"error":"Exception thrown while generating token","exceptionCode":"AUTH_FAILURE","refId":"` + ref + `"}`
			for _, call := range []string{"POST /v1/tokens", "GET /v1/api-keys", "GET /v1/models"} {
				method, path, _ := strings.Cut(call, " ")
				a := w.send(method, path, "", map[string]string{
					maas.HeaderUsername: username, maas.HeaderGroup: group, "Authorization": "Bearer x",
				})
				if a.code != http.StatusInternalServerError || a.body != want {
					t.Errorf("%s: %d %s, want 500 %s", call, a.code, a.body, want)
				}
			}
		})
	}
	f("maas-27 no username", "", `["a"]`, "001")
	f("maas-27 a blank username", "  ", `["a"]`, "001")
	f("maas-28 no groups", "alice", "", "002")
	f("maas-29 groups that are no JSON", "alice", "a b", "003")
	f("maas-29 an empty list of groups", "alice", "[]", "003")
	f("maas-29 groups that are no texts", "alice", "[1]", "003")
}

func TestMintAccount(t *testing.T) {
	w := newWorld(t)
	f := func(name string, p who, want string) {
		t.Run(name, func(t *testing.T) {
			if got := sub(t, w.mint(p).Token); got != "system:serviceaccount:"+want {
				t.Errorf("sub %q, want %q", got, want)
			}
		})
	}
	all := "system:authenticated"
	f("maas-33 an address as username", alice, "maas-default-gateway-tier-free:alice-example-com-fc2398a7")
	f("maas-36 a premium group", who{"p", []string{all, "tier-premium-users"}}, "maas-default-gateway-tier-premium:p-516b9783")
	f("maas-37 premium and enterprise groups", who{"p", []string{"premium-group", " enterprise-group ", all}},
		"maas-default-gateway-tier-enterprise:p-516b9783")

	failed := func(name string, p who) {
		t.Run(name, func(t *testing.T) {
			a := w.as(p, "POST", "/v1/tokens", "")
			if a.code != http.StatusInternalServerError || a.body != `{"error":"Failed to generate token"}` {
				t.Errorf("answer %d %s", a.code, a.body)
			}
		})
	}
	failed("maas-30 a user in no tier", who{"bob", []string{"nobody"}})
	failed("maas-35 a username without a letter or digit", who{"***", []string{all}})
	w.configMap(maas.TiersConfigMap, "", "")
	failed("no tiers are configured", alice)
}

func TestNamespaceAndAccountLabels(t *testing.T) {
	w := newWorld(t)
	w.mint(alice)
	uid := w.uid("maas-default-gateway-tier-free", "alice-example-com-fc2398a7")
	w.mint(alice)
	if again := w.uid("maas-default-gateway-tier-free", "alice-example-com-fc2398a7"); again != uid {
		t.Errorf("the second mint made another ServiceAccount")
	}
	labels := map[string]string{
		"app.kubernetes.io/component": "token-issuer", "app.kubernetes.io/part-of": "maas-api",
		"maas.opendatahub.io/instance": "maas-default-gateway", "maas.opendatahub.io/tier": "free",
	}
	account, err := w.realm.FindAccount(t.Context(), "maas-default-gateway-tier-free", "alice-example-com-fc2398a7")
	w.must(err)
	if diff := cmp.Diff(labels, account.Labels); diff != "" {
		t.Errorf("labels of the ServiceAccount (-want +got):\n%s", diff)
	}
	labels["maas.opendatahub.io/tier-namespace"] = "true"
	namespaces, err := w.store.Namespaces(t.Context())
	w.must(err)
	if diff := cmp.Diff([]store.Namespace{{Name: "maas-default-gateway-tier-free", Labels: labels}}, namespaces); diff != "" {
		t.Errorf("namespaces (-want +got):\n%s", diff)
	}
}

// A MaaS token is exchanged for another of the same identity.
func TestMintAgain(t *testing.T) {
	w := newWorld(t)
	premium := who{"alice@example.com", []string{"system:authenticated", "premium-group"}}
	first := w.mint(premium).Token

	again := func(token, body string) (api.Token, answer) {
		a := w.with(token, "POST", "/v1/tokens", body)
		var next api.Token
		if a.code == http.StatusCreated {
			a.into(t, &next)
		}
		return next, a
	}
	t.Run("maas-38 the new token is of the same ServiceAccount", func(t *testing.T) {
		next, a := again(first, "")
		if a.code != http.StatusCreated || sub(t, next.Token) != sub(t, first) {
			t.Fatalf("answer %d %s", a.code, a.body)
		}
		if diff := cmp.Diff(claimsOf(t, first)["kubernetes.io"], claimsOf(t, next.Token)["kubernetes.io"]); diff != "" {
			t.Errorf("binding (-first +next):\n%s", diff)
		}
	})
	t.Run("maas-38 a chain ends a day after the last use of the person's own credential", func(t *testing.T) {
		token := first
		for range 143 { // every ten minutes
			w.pass(10 * time.Minute)
			next, a := again(token, `{"expiration":"20m"}`)
			if a.code != http.StatusCreated {
				t.Fatalf("at %v: %d %s", w.clock(), a.code, a.body)
			}
			token = next.Token
		}
		next, a := again(token, `{"expiration":"720h"}`)
		if a.code != http.StatusCreated || next.ExpiresAt-next.IssuedAt != 600 {
			t.Errorf("ten minutes before the end: %d %s, want a token that lives until it", a.code, a.body)
		}
		w.pass(10 * time.Minute)
		if _, a := again(token, ""); a.code != http.StatusForbidden || !strings.Contains(a.body, "cluster credential") {
			t.Errorf("after a day: %d %s", a.code, a.body)
		}
		w.mint(premium)
		if _, a := again(token, ""); a.code != http.StatusCreated {
			t.Errorf("after another mint with the own credential: %d %s", a.code, a.body)
		}
	})
	t.Run("a tier that is gone mints no more", func(t *testing.T) {
		token := w.mint(premium).Token
		w.configMap(maas.TiersConfigMap, "tiers", "- {name: free, groups: ['system:authenticated']}")
		if _, a := again(token, ""); a.code != http.StatusInternalServerError {
			t.Errorf("answer %d %s", a.code, a.body)
		}
	})
}

// Two usernames may come to one ServiceAccount name; the second one must not
// become the first.
func TestAccountOfSomebodyElse(t *testing.T) {
	w := newWorld(t)
	_, err := w.realm.EnsureAccount(t.Context(), store.Account{
		Namespace: "maas-default-gateway-tier-free", Name: "alice-example-com-fc2398a7", Owner: "alice!example.com",
	})
	w.must(err)
	a := w.as(alice, "POST", "/v1/tokens", "")
	if a.code != http.StatusInternalServerError || !strings.Contains(w.audit.String(), "belongs to another user") {
		t.Errorf("answer %d %s, audit %s", a.code, a.body, w.audit)
	}
}

// oddCluster gives tokens with claims of its own.
type oddCluster struct {
	maas.Cluster
	claims string
	err    error
}

func (c oddCluster) Token(context.Context, store.Account, string, time.Duration) (string, time.Time, error) {
	return "e30." + base64.RawURLEncoding.EncodeToString([]byte(c.claims)) + ".x", time.Unix(1771003513, 0), c.err
}

func TestTokenOfAnOddCluster(t *testing.T) {
	w := newWorld(t)
	call := func(claims string, err error, path, body string) answer {
		w.server.Cluster = oddCluster{w.realm, claims, err}
		return w.as(alice, "POST", path, body)
	}
	if a := call(`{"jti":"j"}`, nil, "/v1/tokens", ""); a.code != http.StatusInternalServerError {
		t.Errorf("without iat: %d %s", a.code, a.body)
	}
	if a := call(`{"iat":1}`, errors.New("too long"), "/v1/tokens", ""); a.code != http.StatusInternalServerError {
		t.Errorf("the cluster refuses: %d %s", a.code, a.body)
	}
	a := call(`{"iat":1771002913}`, nil, "/v1/tokens", "")
	var token api.Token
	a.into(t, &token)
	if a.code != http.StatusCreated || len(token.JTI) != 32 {
		t.Errorf("without jti: %d %s, want 32 hex digits in its place", a.code, a.body)
	}
	if a := call(`{"iat":1771002913}`, nil, "/v1/api-keys", `{"name":"n"}`); a.code != http.StatusInternalServerError {
		t.Errorf("a key without jti, which nobody could revoke: %d %s", a.code, a.body)
	}
}
