package auth_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"

	"github.com/egret-gateway/egret/plan"
	"github.com/egret-gateway/egret/policy/auth"
	"github.com/egret-gateway/egret/policy/rule"
)

// TestNew: what cannot work is said before the first request, by name.
func TestNew(t *testing.T) {
	f := func(name string, a plan.Auth, want ...string) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			t.Helper()
			a.Source = "ns/policy"
			_, err := auth.New(&a, auth.Deps{})
			if err == nil {
				t.Fatal("it compiles")
			}
			for _, w := range append(want, "ns/policy") {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("%q does not mention %q", err, w)
				}
			}
		})
	}
	f("a condition", plan.Auth{When: []string{"1 +"}}, "when", "1 +")
	f("a condition that is no predicate", plan.Auth{When: []string{`"x"`}}, "when", "bool")
	f("nobody reviews tokens", plan.Auth{Authentication: []plan.Authentication{review("tokens")}}, "tokens", "kubernetesTokenReview")
	f("no way to fetch keys", plan.Auth{Authentication: []plan.Authentication{{Step: named("oidc"), JWT: &plan.JWT{Issuer: "https://i"}}}}, "oidc", "jwt")
	f("no method", plan.Auth{Authentication: []plan.Authentication{{Step: named("empty")}}}, "empty", "names no method")
	f("a rule's condition", plan.Auth{Authentication: []plan.Authentication{
		{Step: plan.Step{Name: "any", When: []plan.Pattern{{Predicate: "("}}}, Anonymous: true}}}, "any", "when")
	broken := anonymous("any")
	broken.Defaults = []plan.Property{property("userid", expression("("))}
	f("a default", plan.Auth{Authentication: []plan.Authentication{broken}}, "any", "defaults", "userid")
	f("no way to make requests", plan.Auth{Metadata: []plan.Metadata{{Step: named("facts")}}}, "facts", "http")
	f("nobody reviews access", plan.Auth{Authorization: []plan.Authorization{{Step: named("sar"), Access: &plan.AccessReview{}}}}, "sar", "kubernetesSubjectAccessReview")
	f("no check", plan.Auth{Authorization: []plan.Authorization{{Step: named("empty")}}}, "empty", "names no check")
	f("a pattern", plan.Auth{Authorization: []plan.Authorization{predicate("p", "(")}}, "p", "patternMatching")
	f("a cache key", plan.Auth{Authorization: []plan.Authorization{
		{Step: plan.Step{Name: "p", Cache: &plan.Cache{Key: *expression("(")}}, Patterns: []plan.Pattern{{Predicate: "true"}}}}}, "p", "cache key")
	f("a header's name", plan.Auth{Headers: []plan.Success{{Step: named("h"), Key: "x y", Plain: static("1")}}}, "h", "x y")
	f("a header's value", plan.Auth{Headers: []plan.Success{{Step: named("h"), Key: "x", Plain: expression("(")}}}, "h", "plain")
	f("a filter's part", plan.Auth{Filters: []plan.Success{{Step: named("f"), Key: "f", JSON: []plan.Property{property("tier", expression("("))}}}}, "f", "tier")
	f("a denial", plan.Auth{Unauthorized: &plan.Denial{Message: expression("(")}}, "unauthorized", "message")
	f("a denial's header", plan.Auth{Unauthenticated: &plan.Denial{Headers: []plan.Property{property("a b", static("1"))}}}, "unauthenticated", "a b")
}

func TestNeedsBody(t *testing.T) {
	const reads = `requestBodyJSON("/model") == "m"`
	f := func(name string, a plan.Auth, want bool) {
		t.Helper()
		if got := newWorld(t).pipeline(&a).NeedsBody(); got != want {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
	f("the bridge", *bridgePolicy(), false)
	f("a condition", plan.Auth{When: []string{reads}}, true)
	f("a pattern", plan.Auth{Authorization: []plan.Authorization{predicate("p", reads)}}, true)
	f("a header", plan.Auth{Headers: []plan.Success{{Step: named("h"), Key: "x", Plain: expression(reads)}}}, true)
	f("a default", plan.Auth{Authentication: []plan.Authentication{{Step: named("any"), Anonymous: true,
		Defaults: []plan.Property{property("model", expression(`requestBodyJSON("/model")`))}}}}, true)
}

// TestPhases: what each phase leaves for the next ones to see.
func TestPhases(t *testing.T) {
	w := newWorld(t)
	w.allowed["system:serviceaccount:maas-default-gateway-tier-free:alice-1 get /p"] = true
	p := w.pipeline(&plan.Auth{
		Authentication: []plan.Authentication{review("tokens")},
		Metadata:       []plan.Metadata{{Step: named("tier"), HTTP: plan.HTTPCall{URL: "http://tiers/"}}},
		Authorization: []plan.Authorization{
			{Step: named("path"), Access: &plan.AccessReview{User: expression("auth.identity.user.username"), Groups: []string{"g"}}},
			predicate("tier", `auth.metadata.tier.tier == "free" && auth.authorization.path.allowed`),
		},
	})
	in := request("GET", "/p?x=1", "Authorization", "Bearer "+freeToken)
	if r := p.Check(t.Context(), in); r.Denied != nil {
		t.Fatalf("denied: %s", r.Denied.Reason)
	}
	if diff := cmp.Diff(map[string]any{"path": map[string]any{"allowed": true, "reason": ""}, "tier": true}, in.Authorization); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	var kinds []string
	for _, e := range w.events {
		kinds = append(kinds, e.Phase+" "+e.Rule+" "+string(e.Kind))
	}
	if diff := cmp.Diff([]string{"authentication tokens call", "metadata tier call", "authorization path call"}, kinds); diff != "" {
		t.Errorf("events (-want +got)\n%s", diff)
	}
}

// TestJWT: a policy whose issuer is found by discovery; its keys are fetched
// once for all pipelines.
func TestJWT(t *testing.T) {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	set, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{KeyID: "k", Key: public}}})
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t)
	w.tier = func(r *http.Request, _ []string) *http.Response {
		if r.URL.Path == "/.well-known/openid-configuration" {
			return answer(200, "application/json", `{"issuer":"https://issuer","jwks_uri":"https://issuer/keys"}`)
		}
		return answer(200, "application/json", string(set))
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.EdDSA, Key: private}, (&jose.SignerOptions{}).WithHeader("kid", "k"))
	if err != nil {
		t.Fatal(err)
	}
	token := func(exp time.Time) string {
		claims, err := json.Marshal(map[string]any{"iss": "https://issuer", "sub": "ann", "team": "birds", "exp": exp.Unix()})
		if err != nil {
			t.Fatal(err)
		}
		signed, err := signer.Sign(claims)
		if err != nil {
			t.Fatal(err)
		}
		text, err := signed.CompactSerialize()
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	policy := &plan.Auth{
		Authentication: []plan.Authentication{{Step: named("oidc"), Credential: plan.Credential{In: plan.InAuthorization}, JWT: &plan.JWT{Issuer: "https://issuer"}}},
		Authorization:  []plan.Authorization{predicate("team", `auth.identity.team == "birds"`)},
	}
	check := func(in *rule.Input) auth.Result { return w.pipeline(policy).Check(t.Context(), in) }
	for range 3 {
		if r := check(post("/", token(time.Now().Add(time.Hour)))); r.Denied != nil || r.Subject != "ann" || r.Expires.IsZero() {
			t.Fatalf("subject %q, denied %+v", r.Subject, r.Denied)
		}
	}
	if n := w.lookups.Load(); n != 2 {
		t.Errorf("%d requests, want 2", n)
	}
	if got := seen(check(post("/", token(time.Now().Add(-time.Hour)))).Denied); got != (refusal{401, `Bearer realm="oidc"`, "not authenticated", ""}) {
		t.Errorf("an expired token: %+v", got)
	}
	w.caches, w.tier = auth.NewCaches(), func(*http.Request, []string) *http.Response { return nil }
	if got := seen(check(post("/", token(time.Now().Add(time.Hour)))).Denied); got != (refusal{500, "", "", "Internal Server Error.\n"}) {
		t.Errorf("without the issuer: %+v", got)
	}
}

// BenchmarkCheck is the usual request: a remembered TokenReview, two
// predicates, two headers, the filter identity.
func BenchmarkCheck(b *testing.B) {
	w := newWorld(b)
	a := bridgePolicy()
	a.Authorization = []plan.Authorization{
		predicate("method", `request.method == "POST"`),
		predicate("tier", `auth.identity.user.username.startsWith("system:serviceaccount:")`),
	}
	a.Headers = []plan.Success{
		{Step: named("user"), Key: "x-maas-username", Plain: expression("auth.identity.userid")},
		{Step: named("groups"), Key: "x-maas-group", Plain: selector("auth.identity.user.groups.@tostr")},
	}
	d := w.deps()
	d.Observe = nil
	p, err := auth.New(a, d)
	if err != nil {
		b.Fatal(err)
	}
	headers := post(bridgePath, freeToken).Request
	b.ReportAllocs()
	for b.Loop() {
		in := rule.Input{Request: headers}
		if r := p.Check(b.Context(), &in); r.Denied != nil {
			b.Fatal(r.Denied.Reason)
		}
	}
}
