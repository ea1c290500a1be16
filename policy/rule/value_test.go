package rule

import (
	"encoding/json"
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/egret-gateway/egret/plan"
)

// pick compiles a selector or template and evaluates it on the sample.
func pick(t *testing.T, source string) any {
	t.Helper()
	v, err := NewValue(plan.Value{Selector: source})
	if err != nil {
		t.Fatal(err)
	}
	got, err := v.Eval(sample())
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestSelector(t *testing.T) {
	f := func(source string, want any) {
		t.Helper()
		if d := cmp.Diff(want, pick(t, source)); d != "" {
			t.Errorf("%s: %s", source, d)
		}
	}
	// The quickstart's.
	f(`auth.identity.user.username`, "system:serviceaccount:maas-default-gateway-tier-free:alice-1")
	f(`auth.identity.user.groups.@tostr`, `["system:serviceaccounts","system:authenticated"]`)
	f(`request.headers.authorization.@case:lower`, "bearer abc")
	f(`context.request.http.headers.authorization.@case:lower`, "bearer abc")
	f(`auth.metadata.matchedTier.tier`, "free")
	// Paths.
	f(`request.method`, "POST")
	f(`request.time`, "2026-11-23T06:00:00Z")
	f(`request.size`, int64(42))
	f(`source.port`, int64(4711))
	f(`context.request.http.path`, "/external/v1/chat/completions?x=1")
	f(`auth.identity.authenticated`, true)
	f(`auth.identity.user.groups`, []any{"system:serviceaccounts", "system:authenticated"})
	f(`auth.identity.user.groups.0`, "system:serviceaccounts")
	f(`auth.identity.user.groups.#`, int64(2))
	f(`auth.identity.user.groups.#(%"*auth*")`, "system:authenticated")
	f(`auth.identity.us*.groups.1`, "system:authenticated")
	f(`auth.identity.nope`, nil)
	f(`auth.nope`, nil)
	f(`nope`, nil)
	f(`auth.identity.tier.deeper`, nil)
	f(`request.headers.Authorization`, nil)
	f(`auth.identity.nope.@tostr`, "")
	f(`auth.@keys`, []any{"authorization", "identity", "metadata", "response"})
	f(`@this.auth.identity.tier`, "free")
	// Authorino's modifiers.
	f(`auth.identity.tier.@case:upper`, "FREE")
	f(`auth.identity.user.groups.@case:upper`, []any{"SYSTEM:SERVICEACCOUNTS", "SYSTEM:AUTHENTICATED"})
	f(`auth.identity.user.groups.@case:upper.0`, "SYSTEM:SERVICEACCOUNTS")
	f(`request.headers.authorization.@extract:{"pos":1}`, "AbC")
	f(`request.path.@extract:{"sep":"/","pos":2}`, "v1")
	f(`request.path.@extract:{"sep":"/","pos":9}`, nil)
	f(`request.path.@extract:{"sep":"/","pos":2}|@case:upper`, "V1")
	f(`request.path.@extract:{"sep":"?"}.@extract:{"sep":"/","pos":3}`, "chat")
	f(`auth.identity.user.username.@replace:{"old":"system:serviceaccount:","new":""}`, "maas-default-gateway-tier-free:alice-1")
	f(`auth.identity.tier.@base64:encode`, "ZnJlZQ==")
	f(`auth.identity.tier.@base64:encode.@base64:decode`, "free")
	f(`request.method.@base64:decode`, "<\xe4\x93")
	f(`request.path.@base64:decode`, nil)
	f(`auth.identity.nope.@case:upper`, nil)
	f(`auth.[identity.tier,identity.nope,identity.userid]`, []any{"free", "alice-1"})
}

func TestSelectorOfAPIKey(t *testing.T) {
	in := sample()
	in.Identity = map[string]any{"metadata": map[string]any{
		"name":        "key-1",
		"annotations": map[string]any{"secret.kuadrant.io/user-id": "alice", "a@b": "c"},
	}}
	for source, want := range map[string]any{
		`auth.identity.metadata.annotations.secret\.kuadrant\.io/user-id`:  "alice",
		`auth.identity.metadata.annotations.secret\.kuadrant\.io\/user-id`: "alice",
		`auth.identity.metadata.annotations.secret*`:                       "alice",
		`auth.identity.metadata.annotations.a\@b`:                          "c",
		`auth.identity.metadata.name`:                                      "key-1",
	} {
		v, err := NewValue(plan.Value{Selector: source})
		if err != nil {
			t.Fatal(err)
		}
		if got, err := v.Eval(in); got != want || err != nil {
			t.Errorf("%s: %v, %v, want %v", source, got, err, want)
		}
	}
}

func TestTemplate(t *testing.T) {
	f := func(source string, want any) {
		t.Helper()
		if d := cmp.Diff(want, pick(t, source)); d != "" {
			t.Errorf("%s: %s", source, d)
		}
	}
	f(`{auth.identity.user.username}:{request.path}`, "system:serviceaccount:maas-default-gateway-tier-free:alice-1:/external/v1/chat/completions?x=1")
	f(`{auth.identity.userid}`, "alice-1")
	f(`http://x/{auth.identity.nope}/{request.size}`, "http://x//42")
	f(`tier {request.path.@extract:{"sep":"/","pos":2}}!`, "tier v1!")
	f(`{request.path.@extract:{"sep":"{","pos":0}}`, "/external/v1/chat/completions?x=1")
	f(`groups={auth.identity.user.groups}`, `groups=["system:serviceaccounts","system:authenticated"]`)
}

func TestValue(t *testing.T) {
	f := func(v plan.Value, want any, text string) {
		t.Helper()
		c, err := NewValue(v)
		if err != nil {
			t.Fatal(err)
		}
		got, err := c.Eval(sample())
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%+v: %s", v, d)
		}
		if got, err := c.Text(sample()); got != text || err != nil {
			t.Errorf("%+v: text %q, %v, want %q", v, got, err, text)
		}
	}
	static := func(s string) plan.Value { return plan.Value{Static: json.RawMessage(s)} }
	f(plan.Value{}, nil, "")
	f(static(`"a"`), "a", "a")
	f(static(`{"b":1,"a":[1.0,null]}`), map[string]any{"a": []any{1.0, nil}, "b": int64(1)}, `{"a":[1,null],"b":1}`)
	f(static(`"{auth.identity.userid}"`), "{auth.identity.userid}", "{auth.identity.userid}")
	f(plan.Value{Selector: "auth.identity.userid"}, "alice-1", "alice-1")
	f(plan.Value{Expression: `"<" + auth.identity.userid + ">"`}, "<alice-1>", "<alice-1>")
	f(plan.Value{Expression: `{"a": "<&>"}`}, map[string]any{"a": "<&>"}, `{"a":"<&>"}`)
}

func TestValueRefused(t *testing.T) {
	f := func(v plan.Value, want string) {
		t.Helper()
		if _, err := NewValue(v); err == nil || err.Error() != want {
			t.Errorf("got  %v\nwant %s", err, want)
		}
	}
	f(plan.Value{Static: json.RawMessage(`{`)}, `"{": is not JSON`)
	f(plan.Value{Selector: `a {b`}, `"a {b": column 3: this brace is never closed`)
	f(plan.Value{Selector: `a.@case:title`}, `"a.@case:title": @case takes upper or lower, not "title"`)
	f(plan.Value{Selector: `a.@extract:{"pos":-1}`}, `"a.@extract:{\"pos\":-1}": @extract: pos is -1, must not be negative`)
	f(plan.Value{Selector: `a.@base64`}, `"a.@base64": @base64 takes encode or decode, not ""`)
	f(plan.Value{Selector: `a.@tostr.@tostr.@tostr.@tostr.@tostr`}, `"a.@tostr.@tostr.@tostr.@tostr.@tostr": has more than 4 modifiers`)
	f(plan.Value{Selector: `[auth,auth].[0,0]`}, `"[auth,auth].[0,0]": has more than 1 list of paths`)
	f(plan.Value{Expression: `nope`}, `"nope": column 1: undeclared reference to 'nope'`)
}

func TestValueNeeds(t *testing.T) {
	request, err := NewValue(plan.Value{Expression: `requestBodyJSON("/model")`})
	if err != nil || !request.NeedsRequestBody() || request.NeedsResponseBody() {
		t.Errorf("request body: %+v, %v", request, err)
	}
	none, err := NewValue(plan.Value{Selector: `request.path`})
	if err != nil || none.NeedsRequestBody() || none.NeedsResponseBody() {
		t.Errorf("no body: %+v, %v", none, err)
	}
	patterns, err := NewPatterns([]plan.Pattern{{Any: []plan.Pattern{{Predicate: `requestBodyJSON("/model") == "m"`}}}})
	if err != nil || !patterns.NeedsRequestBody() {
		t.Errorf("patterns: %+v, %v", patterns, err)
	}
}

func TestText(t *testing.T) {
	f := func(v any, want string) {
		t.Helper()
		if got := Text(v); got != want {
			t.Errorf("Text(%#v) = %q, want %q", v, got, want)
		}
	}
	f(nil, "")
	f("a b", "a b")
	f(true, "true")
	f(int64(-7), "-7")
	f(7, "7")
	f(1e6, "1000000")
	f(1e21, "1e+21")
	f(0.25, "0.25")
	f(math.Copysign(0, -1), "0")
	f(math.NaN(), "NaN")
	f(math.Inf(1), "+Inf")
	f(json.Number("12"), "12")
	f([]any{"a", 1e6, nil}, `["a",1000000,null]`)
	f(map[string]any{"b": "<>", "a": 1}, `{"a":1,"b":"<>"}`)
	f([]string{"x"}, `["x"]`)
}
