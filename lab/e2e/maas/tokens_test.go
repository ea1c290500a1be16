//go:build cluster

package maas

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// tokens is maas 16 to 40, and 120.
func (w *walk) tokens(t *testing.T) {
	login := w.login(t, "free")
	post := func(body string) func() (int, string) {
		return func() (int, string) {
			a := w.ask(t, "POST", "/maas-api/v1/tokens", login, body)
			return a.Status, a.Body
		}
	}
	for _, c := range []struct {
		name, body string
		status     int
		want       string
	}{
		{"maas-16 an empty body is four hours", ``, 201, `"expiration":"4h0m0s"`},
		{"maas-17 a number is seconds", `{"expiration":601}`, 201, `"expiration":"10m1s"`},
		{"maas-18 a fraction", `{"expiration":"1.5h"}`, 201, `"expiration":"1h30m0s"`},
		{"maas-19 several units", `{"expiration":"1h30m45s"}`, 201, `"expiration":"1h30m45s"`},
		{"maas-20 too short", `{"expiration":60}`, 400, `"error":"token expiration must be at least 10 minutes","provided_expiration":"1m0s"`},
		{"maas-21 empty", `{"expiration":""}`, 400, `"error":"expiration must be positive"`},
		{"maas-21 zero", `{"expiration":0}`, 400, `"error":"expiration must be positive"`},
		{"maas-21 negative", `{"expiration":"-30h"}`, 400, `"error":"expiration must be positive"`},
		{"maas-22 no unit", `{"expiration":"30"}`, 400, `missing unit in duration`},
		{"maas-23 an unknown unit", `{"expiration":"4hours"}`, 400, `unknown unit`},
		{"maas-24 no duration", `{"expiration":"abc"}`, 400, `invalid duration \\"abc\\"`},
		{"maas-25 another type", `{"expiration":true}`, 400, `"error":"invalid duration"`},
		{"maas-26 no JSON", `{`, 400, `"error":"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			status, body := post(c.body)()
			if status != c.status || !matches(c.want, body) {
				t.Errorf("%d %s, want %d %s", status, body, c.status, c.want)
			}
		})
	}
	t.Run("maas-16 maas-31 maas-32 the API server has namespace and account, and keeps to the lifetime", func(t *testing.T) {
		first, second := claimsOf(t, w.mint(t, login)), claimsOf(t, w.mint(t, login))
		namespace, _ := first.account()
		if first.Expires-first.Issued != 3600 || fmt.Sprint(first.Audience) != "[maas-default-gateway-sa]" || first.ID == "" || first.ID == second.ID {
			t.Errorf("claims %+v", first)
		}
		want := map[string]string{
			"app.kubernetes.io/component": "token-issuer", "app.kubernetes.io/part-of": "maas-api",
			"maas.opendatahub.io/instance": "maas-default-gateway", "maas.opendatahub.io/tier": "free",
		}
		if got := w.account(t, first).Labels; fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("labels of the ServiceAccount %v", got)
		}
		want["maas.opendatahub.io/tier-namespace"] = "true"
		var ns corev1.Namespace
		if err := w.Client().Get(t.Context(), client.ObjectKey{Name: namespace}, &ns); err != nil {
			t.Fatal(err)
		}
		got := maps.Clone(ns.Labels)
		if delete(got, "kubernetes.io/metadata.name"); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("labels of the namespace %v", got)
		}
		if first.Subject != second.Subject || namespace != "maas-default-gateway-tier-free" {
			t.Errorf("the tokens are for %s and %s", first.Subject, second.Subject)
		}
	})
	t.Run("who is told by headers", w.headers)
	t.Run("maas-36 premium", func(t *testing.T) { w.inTier(t, "premium") })
	t.Run("maas-37 premium and enterprise", func(t *testing.T) { w.inTier(t, "enterprise") })
	t.Run("maas-38 a MaaS token is exchanged for one of the same account", func(t *testing.T) {
		first, _ := w.somebody(t, "premium")
		again := w.mint(t, first)
		if a, b := claimsOf(t, first), claimsOf(t, again); a.Subject != b.Subject || a.ID == b.ID {
			t.Errorf("%+v became %+v", a, b)
		}
	})
	t.Run("maas-40 a token of the same account for another audience", func(t *testing.T) {
		other := w.token(t, w.account(t, claimsOf(t, w.mint(t, login))), "somewhere-else")
		for _, path := range []string{"/maas-api/v1/models", "/v1/models", "/external/v1/models", "/llm/open/v1/models"} {
			answers(t, w.ask(t, "GET", path, other, ""), 401, `^$`)
		}
	})
	t.Run("maas-120 health, and no metrics", func(t *testing.T) {
		a, err := w.Get(w.api + "/health")
		if err != nil {
			t.Fatal(err)
		}
		answers(t, a, 200, `^\{"status":"healthy"\}$`)
		answers(t, w.ask(t, "GET", "/maas-api/health", "", ""), 401, `^$`)
		answers(t, w.ask(t, "GET", "/maas-api/health", login, ""), 200, `healthy`)
		answers(t, w.ask(t, "GET", "/maas-api/metrics", login, ""), 404, `^404 page not found$`)
	})
}

// headers asks the API past the gateway, with the gateway's proof and without.
func (w *walk) headers(t *testing.T) {
	const free = "system:authenticated"
	t.Run("nobody but the gateway is heard", func(t *testing.T) {
		for _, proof := range []string{"", "X-MaaS-Proof: " + w.login(t, "free"), "X-MaaS-Proof: " + w.Token(t, w.home["free"], "default", "maas-api")} {
			a, err := w.Do("POST", w.api+"/v1/tokens", "", append(slices.DeleteFunc([]string{proof}, empty), as("root", free)...)...)
			if err != nil {
				t.Fatal(err)
			}
			answers(t, a, 401, `Call the API through its gateway`)
		}
	})
	bad := func(ref string) string {
		return `^\{"error":"Exception thrown while generating token","exceptionCode":"AUTH_FAILURE","refId":"` + ref + `"\}$`
	}
	t.Run("maas-27 no user", func(t *testing.T) {
		answers(t, w.direct(t, "POST", "/v1/tokens", "", `X-MaaS-Group: ["a"]`), 500, bad("001"))
	})
	t.Run("maas-28 no groups", func(t *testing.T) {
		answers(t, w.direct(t, "POST", "/v1/tokens", "", `X-MaaS-Username: a`), 500, bad("002"))
	})
	t.Run("maas-29 groups that are no list", func(t *testing.T) {
		for _, g := range []string{"a b", "[]"} {
			answers(t, w.direct(t, "POST", "/v1/tokens", "", `X-MaaS-Username: a`, "X-MaaS-Group: "+g), 500, bad("003"))
		}
	})
	failed := `^\{"error":"Failed to generate token"\}$`
	t.Run("maas-30 a user of no tier", func(t *testing.T) {
		answers(t, w.direct(t, "POST", "/v1/tokens", "", as("bob", "nobody")...), 500, failed)
	})
	t.Run("maas-35 a user without letters", func(t *testing.T) { answers(t, w.direct(t, "POST", "/v1/tokens", "", as("***", free)...), 500, failed) })
	account := func(t *testing.T, user string) string {
		t.Helper()
		var made struct{ Token string }
		w.reads(t, w.direct(t, "POST", "/v1/tokens", "", as(user, free)...), 201, &made)
		_, name := claimsOf(t, made.Token).account()
		return name
	}
	t.Run("maas-33 a user with an address for a name", func(t *testing.T) {
		if got := account(t, "alice@example.com"); got != "alice-example-com-fc2398a7" {
			t.Error(got)
		}
	})
	t.Run("maas-34 a long name", func(t *testing.T) {
		if got := account(t, strings.Repeat("a", 53)+strings.Repeat("-b", 30)); len(got) > 63 || !matches(`[a-z]-[0-9a-f]{8}$`, got) {
			t.Error(got)
		}
	})
}

// inTier mints for somebody and looks at their namespace.
func (w *walk) inTier(t *testing.T, tier string) {
	t.Helper()
	token, _ := w.somebody(t, tier)
	if namespace, _ := claimsOf(t, token).account(); namespace != "maas-default-gateway-tier-"+tier {
		t.Errorf("the token is of %s", namespace)
	}
}

func empty(s string) bool { return s == "" }

// bounds shows where the API's permission to have tokens ends: whoever takes it
// over cannot be everybody.
func (w *walk) bounds(t *testing.T) {
	const as = "--as=system:serviceaccount:opendatahub:maas-api"
	for _, args := range [][]string{
		{"create", "token", "default", "-n", "kube-system", as},
		{"create", "token", "egret-controller", "-n", "egret-system", as},
		{"create", "serviceaccount", "another", "-n", "openshift-ingress", as},
		{"delete", "serviceaccount", "default", "-n", "openshift-ingress", as},
	} {
		if out, err := w.Try(args...); err == nil || !strings.Contains(out+err.Error(), "in namespaces of tiers only") {
			t.Errorf("kubectl %s: %s, %v", strings.Join(args[:3], " "), out, err)
		}
	}
}
