package auth_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/egret-gateway/egret/plan"
	"github.com/egret-gateway/egret/policy/rule"
)

func named(name string) plan.Step { return plan.Step{Name: name} }

func anonymous(name string) plan.Authentication {
	return plan.Authentication{Step: named(name), Anonymous: true}
}

func review(name string) plan.Authentication {
	return plan.Authentication{Step: named(name), Credential: plan.Credential{In: plan.InAuthorization, Name: "Bearer"},
		TokenReview: &plan.TokenReview{Audiences: []string{audience}}}
}

func apiKey(name string) plan.Authentication {
	return plan.Authentication{Step: named(name), Credential: plan.Credential{In: plan.InHeader, Name: "X-Api-Key"}, APIKey: &plan.APIKey{}}
}

func predicate(name, expr string) plan.Authorization {
	return plan.Authorization{Step: named(name), Patterns: []plan.Pattern{{Predicate: expr}}}
}

// TestAnswers is the table of answers of Authorino, and what a policy may
// change about them.
func TestAnswers(t *testing.T) {
	type answer struct {
		Status int
		Header http.Header
		Body   string
	}
	headers := func(kv ...string) http.Header {
		h := http.Header{}
		for i := 0; i < len(kv); i += 2 {
			h.Add(kv[i], kv[i+1])
		}
		return h
	}
	f := func(name string, p plan.Auth, in *rule.Input, want answer) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			t.Helper()
			p.Source = "ns/policy"
			d := newWorld(t).pipeline(&p).Check(t.Context(), in).Denied
			if d == nil {
				t.Fatal("it passed")
			}
			if diff := cmp.Diff(want, answer{d.Status, d.Header, string(d.Body)}); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
			if strings.Contains(d.Reason, "token.x") {
				t.Errorf("the reason repeats the token: %s", d.Reason)
			}
		})
	}
	one := []plan.Authentication{review("one")}
	both := []plan.Authentication{apiKey("keys"), review("tokens")}
	bare := request("GET", "/")
	bad := post("/", "bad.token.x")
	good := post("/", freeToken)

	f("no credential", plan.Auth{Authentication: one}, bare,
		answer{401, headers("WWW-Authenticate", `Bearer realm="one"`, "X-Ext-Auth-Reason", "credential not found"), ""})
	f("a credential that is rejected", plan.Auth{Authentication: one}, bad,
		answer{401, headers("WWW-Authenticate", `Bearer realm="one"`, "X-Ext-Auth-Reason", "not authenticated"), ""})
	f("a credential that is given twice", plan.Auth{Authentication: one},
		request("GET", "/", "Authorization", "Bearer "+freeToken, "Authorization", "Bearer "+freeToken),
		answer{401, headers("WWW-Authenticate", `Bearer realm="one"`, "X-Ext-Auth-Reason", "not authenticated"), ""})
	f("several rules that failed", plan.Auth{Authentication: both}, bad,
		answer{401, headers("WWW-Authenticate", `X-Api-Key realm="keys"`, "WWW-Authenticate", `Bearer realm="tokens"`,
			"X-Ext-Auth-Reason", `{"keys":"credential not found","tokens":"not authenticated"}`), ""})
	f("a rule whose name has quotes and line ends", plan.Auth{Authentication: []plan.Authentication{review("a\"b\r\nX: y")}}, bare,
		answer{401, headers("WWW-Authenticate", `Bearer realm="a\"b  X: y"`, "X-Ext-Auth-Reason", "credential not found"), ""})
	f("an API key that nobody holds", plan.Auth{Authentication: []plan.Authentication{apiKey("keys")}}, request("GET", "/", "X-Api-Key", "k"),
		answer{401, headers("WWW-Authenticate", `X-Api-Key realm="keys"`, "X-Ext-Auth-Reason", "not authenticated"), ""})
	f("no rule applies", plan.Auth{Authentication: []plan.Authentication{
		{Step: plan.Step{Name: "posts", When: []plan.Pattern{{Predicate: `request.method == "POST"`}}}, Anonymous: true}}}, bare,
		answer{401, headers("X-Ext-Auth-Reason", "not authenticated"), ""})
	f("a pattern that does not match", plan.Auth{Authorization: []plan.Authorization{predicate("p", `request.method == "POST"`)}}, bare,
		answer{403, headers("X-Ext-Auth-Reason", "Unauthorized"), ""})
	f("a pattern that cannot be evaluated", plan.Auth{Authorization: []plan.Authorization{predicate("p", `request.headers["x"] == "y"`)}}, bare,
		answer{403, headers("X-Ext-Auth-Reason", "Unauthorized"), ""})
	path := plan.Authorization{Step: named("p"), Access: &plan.AccessReview{User: static(`"nobody"`)}}
	f("an access review that denies", plan.Auth{Authorization: []plan.Authorization{path}}, bare,
		answer{403, headers("X-Ext-Auth-Reason", "not authorized: no rule of nobody allows it"), ""})
	mute := plan.Authorization{Step: named("p"), Access: &plan.AccessReview{User: static(`"mute"`)}}
	f("an access review that gives no reason", plan.Auth{Authorization: []plan.Authorization{mute}}, bare,
		answer{403, headers("X-Ext-Auth-Reason", "not authorized: unknown reason"), ""})
	f("an access review about nobody", plan.Auth{Authorization: []plan.Authorization{
		{Step: named("p"), Access: &plan.AccessReview{User: selector("auth.identity.none")}}}}, bare,
		answer{403, headers("X-Ext-Auth-Reason", "not authorized: unknown reason"), ""})

	custom := &plan.Denial{
		Code: 302, Message: expression(`"hello " + request.method`), Body: static(`{"error":"please sign in"}`),
		Headers: []plan.Property{
			property("Location", expression(`"https://login?from=" + request.path`)),
			property("X-Split", expression(`"a\r\nb"`)),
			property("X-Missing", expression(`request.headers["none"]`)),
		},
	}
	f("unauthenticated, customised", plan.Auth{Authentication: one, Unauthenticated: custom}, bare,
		answer{302, headers("X-Ext-Auth-Reason", "hello GET", "Location", "https://login?from=/"), `{"error":"please sign in"}`})
	f("unauthenticated, only a body: the challenge stays", plan.Auth{Authentication: one, Unauthenticated: &plan.Denial{Body: static(`"no"`)}}, bare,
		answer{401, headers("WWW-Authenticate", `Bearer realm="one"`, "X-Ext-Auth-Reason", "credential not found"), "no"})
	f("unauthorized, customised with the identity", plan.Auth{Authentication: one,
		Authorization: []plan.Authorization{predicate("never", "false")},
		Unauthorized:  &plan.Denial{Code: 404, Message: expression(`auth.identity.user.username + " may not"`)}}, good,
		answer{404, headers("X-Ext-Auth-Reason", "system:serviceaccount:maas-default-gateway-tier-free:alice-1 may not"), ""})
	f("a reason is one line", plan.Auth{Authorization: []plan.Authorization{predicate("never", "false")},
		Unauthorized: &plan.Denial{Message: static(`"a\r\nX-Evil: b"`)}}, bare,
		answer{403, headers("X-Ext-Auth-Reason", "a  X-Evil: b"), ""})
	f("a filter identity without a part", plan.Auth{Filters: []plan.Success{{Step: named("identity"), Key: "identity",
		JSON: []plan.Property{property("tier", selector("auth.metadata.tier"))}}}}, bare,
		answer{403, headers("X-Ext-Auth-Reason", "not authorized: unknown reason"), ""})
	f("a condition of an authorization rule that cannot be evaluated", plan.Auth{Authorization: []plan.Authorization{
		{Step: plan.Step{Name: "p", When: []plan.Pattern{{Predicate: `request.headers["x"] == "y"`}}}, Patterns: []plan.Pattern{{Predicate: "true"}}}}}, bare,
		answer{403, headers("X-Ext-Auth-Reason", "Unauthorized"), ""})
	f("a condition of the policy that cannot be evaluated does not switch it off",
		plan.Auth{When: []string{`request.headers["x"] == "y"`}, Authentication: one}, bare,
		answer{401, headers("WWW-Authenticate", `Bearer realm="one"`, "X-Ext-Auth-Reason", "credential not found"), ""})
}

// TestIdentities says who is calling, for each method, and what defaults and
// overrides make of it.
func TestIdentities(t *testing.T) {
	f := func(name string, in *rule.Input, subject, method string, identity any, rules ...plan.Authentication) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			t.Helper()
			w := newWorld(t)
			w.secrets["secret/ns/team"] = &plan.Secret{Data: []plan.Item{{Key: "api_key", Value: plan.Bytes("k1")}}}
			r := w.pipeline(&plan.Auth{Source: "ns/policy", Authentication: rules}).Check(t.Context(), in)
			if r.Denied != nil {
				t.Fatalf("denied: %s", r.Denied.Reason)
			}
			if r.Subject != subject || r.Method != method {
				t.Errorf("%q by %q, want %q by %q", r.Subject, r.Method, subject, method)
			}
			if diff := cmp.Diff(identity, r.Identity); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
	keys := apiKey("keys")
	keys.APIKey.Keys = []plan.APIKeyRef{{Secret: "secret/ns/team", Identity: []byte(`{"metadata":{"name":"team"}}`)}}
	team := map[string]any{"metadata": map[string]any{"name": "team"}}
	nobody := map[string]any{"anonymous": true}
	keyed := request("GET", "/", "X-Api-Key", "k1")

	f("no rules at all admit anybody", request("GET", "/"), "", "", nobody)
	f("anonymous", request("GET", "/"), "", "any", nobody, anonymous("any"))
	f("an API key", keyed, "team", "keys", team, keys)
	f("the first that succeeds decides", keyed, "team", "keys", team, review("tokens"), keys, anonymous("any"))
	f("the next when it does not", request("GET", "/", "X-Api-Key", "k2"), "", "any", nobody, keys, anonymous("any"))
	f("a plain value", request("GET", "/", "X-User", "ann"), "", "header", "ann",
		plan.Authentication{Step: named("header"), Plain: selector("context.request.http.headers.x-user")})
	f("a plain value that is not there", request("GET", "/"), "", "any", nobody,
		plan.Authentication{Step: named("header"), Plain: selector("context.request.http.headers.x-user")}, anonymous("any"))

	extended := anonymous("any")
	extended.Defaults = []plan.Property{
		property("anonymous", static(`"not replaced"`)), property("path", expression("request.path")), property("broken", expression(`request.headers["x"]`)),
	}
	extended.Overrides = []plan.Property{property("path", expression(`"<" + request.path + ">"`))}
	f("defaults where absent, then overrides", request("GET", "/x"), "", "any", map[string]any{"anonymous": true, "path": "</x>"}, extended)

	broken := anonymous("broken")
	broken.Overrides = []plan.Property{property("anonymous", expression(`request.headers["x"]`))}
	f("an override that fails fails the rule", request("GET", "/"), "", "any", nobody, broken, anonymous("any"))
}

// TestShared: what one request adds to an identity, another does not see.
func TestShared(t *testing.T) {
	w := newWorld(t)
	p := w.pipeline(bridgePolicy())
	first := p.Check(t.Context(), post(bridgePath, freeToken))
	first.Identity.(map[string]any)["userid"] = "root"
	second := p.Check(t.Context(), post(bridgePath, freeToken))
	if got := second.Identity.(map[string]any)["userid"]; got != "alice-1" {
		t.Errorf("the second request sees %v", got)
	}
	if n := w.reviews.Load(); n != 1 {
		t.Errorf("%d reviews, want 1", n)
	}
}

// TestUndecided: one way that cannot tell does not spoil another that can, but
// without any it is our fault, not the caller's.
func TestUndecided(t *testing.T) {
	w := newWorld(t)
	w.away = http.ErrServerClosed
	both := []plan.Authentication{review("tokens"), anonymous("any")}
	if r := w.pipeline(&plan.Auth{Authentication: both}).Check(t.Context(), post("/", freeToken)); r.Denied != nil || r.Method != "any" {
		t.Errorf("denied %+v, method %q", r.Denied, r.Method)
	}
	two := []plan.Authentication{apiKey("keys"), review("tokens")}
	if r := w.pipeline(&plan.Auth{Authentication: two}).Check(t.Context(), post("/", freeToken)); r.Denied == nil || r.Denied.Status != 500 || r.Denied.Rule != "tokens" {
		t.Errorf("got %+v", r.Denied)
	}
}

func TestPassed(t *testing.T) {
	w := newWorld(t)
	p := w.pipeline(&plan.Auth{When: []string{`request.method != "OPTIONS"`, "true"}, Authentication: []plan.Authentication{review("one")}})
	in := request("OPTIONS", "/")
	if r := p.Check(t.Context(), in); !r.Passed || r.Denied != nil || in.Identity != nil {
		t.Errorf("got %+v", r)
	}
}

// TestResponse: what becomes of headers and filters.
func TestResponse(t *testing.T) {
	items := func(v ...any) (out []plan.Success) {
		for i := 0; i < len(v); i += 2 {
			out = append(out, plan.Success{Step: named(v[i].(string)), Key: v[i].(string), Plain: v[i+1].(*plan.Value)})
		}
		return out
	}
	w := newWorld(t)
	sometimes := items("x-sometimes", static(`"s"`))
	sometimes[0].When = []plan.Pattern{{Predicate: "false"}}
	p := w.pipeline(&plan.Auth{
		Headers: append(items(
			"x-text", static(`"t"`),
			"x-number", static(`1500000`),
			"x-list", static(`["a","b"]`),
			"x-unicode", static(`"é"`),
			"x-split", static(`"a\r\nX-Evil: b"`),
			"x-nul", static(`"a\u0000b"`),
			"x-long", static(`"`+strings.Repeat("x", 8<<10+1)+`"`),
			"x-missing", selector("auth.identity.none"),
			"x-broken", expression(`request.headers["none"]`),
			"x-earlier", expression(`auth.response["x-text"] + "!"`),
		), append(sometimes, plan.Success{Step: named("x-object"), Key: "x-object", JSON: []plan.Property{
			property("path", expression("request.path")), property("none", selector("auth.identity.none")),
		}})...),
		Filters: items("plain", static(`{"a":1}`), "broken", expression(`request.headers["none"]`)),
	})
	r := p.Check(t.Context(), request("GET", "/p"))
	if r.Denied != nil {
		t.Fatalf("denied: %s", r.Denied.Reason)
	}
	if diff := cmp.Diff([]plan.Header{
		{Name: "x-text", Value: "t"}, {Name: "x-number", Value: "1500000"}, {Name: "x-list", Value: `["a","b"]`},
		{Name: "x-unicode", Value: "é"}, {Name: "x-earlier", Value: "t!"}, {Name: "x-object", Value: `{"none":null,"path":"/p"}`},
	}, r.Headers); diff != "" {
		t.Errorf("headers (-want +got)\n%s", diff)
	}
	if diff := cmp.Diff(map[string]any{"plain": map[string]any{"a": int64(1)}}, r.Filters); diff != "" {
		t.Errorf("filters (-want +got)\n%s", diff)
	}
	for _, left := range []string{"x-split", "x-nul", "x-long", "x-broken", "rule=broken"} {
		if !strings.Contains(w.log.String(), left) {
			t.Errorf("the log does not mention %s", left)
		}
	}
	if strings.Contains(w.log.String(), "x-missing") {
		t.Error("a fact that is merely absent is logged")
	}
}

// TestExpires: the end of a credential reaches the caller.
func TestExpires(t *testing.T) {
	w := newWorld(t)
	w.expires = time.Now().Add(time.Hour)
	r := w.pipeline(bridgePolicy()).Check(t.Context(), post("/", freeToken))
	if !r.Expires.Equal(w.expires) {
		t.Errorf("it ends at %s, want %s", r.Expires, w.expires)
	}
}
