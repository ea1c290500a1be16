package rule

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// eval compiles and evaluates an expression on the sample.
func eval(t *testing.T, expr string, in *Input) (any, error) {
	t.Helper()
	p, err := Compile(expr)
	if err != nil {
		t.Fatal(err)
	}
	return p.Eval(in)
}

// TestQuickstart has the expressions of the MaaS policies, as specified.
func TestQuickstart(t *testing.T) {
	f := func(name, expr string, in *Input, want any) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			t.Helper()
			got, err := eval(t, expr, in)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(want, got); d != "" {
				t.Errorf("%s: %s", expr, d)
			}
		})
	}
	fails := func(name, expr string, in *Input) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			t.Helper()
			if got, err := eval(t, expr, in); err == nil {
				t.Errorf("%s gives %v, want an error", expr, got)
			}
		})
	}
	at := func(path string) *Input {
		in := sample()
		in.Request.Path = path
		return in
	}
	const (
		userid    = `auth.identity.user.username.split(":")[3]`
		tier      = `auth.identity.user.username.split(":")[2].split("-tier-")[1]`
		namespace = `request.path.split("/")[1]`
		model     = `request.path.split("/")[2]`
		limit     = `auth.identity.tier == "free" && !request.path.endsWith("/v1/models")`
	)
	f("the user id is the name of the ServiceAccount", userid, sample(), "alice-1")
	f("the tier is in the namespace's name", tier, sample(), "free")
	f("the lookup sends the groups", `{"groups": auth.identity.user.groups}`, sample(),
		map[string]any{"groups": []any{"system:serviceaccounts", "system:authenticated"}})
	f("the tier comes from the lookup", `auth.metadata.matchedTier.tier`, sample(), "free")
	f("the reviewed namespace is the first segment", namespace, at("/llm/granite/v1/chat/completions"), "llm")
	f("the reviewed name is the second segment", model, at("/llm/granite/v1/chat/completions"), "granite")
	fails("maas-91 a path of one segment names no model", model, at("/x"))
	f("the limit of the free tier holds", limit, sample(), true)
	f("maas-102 a model list is not limited", limit, at("/external/v1/models"), false)
	f("the path carries its query", limit, at("/external/v1/models?x=1"), true)
	f("the counter is the user id", `auth.identity.userid`, sample(), "alice-1")

	other := sample()
	other.Identity = map[string]any{"userid": "bob", "tier": "premium"}
	f("maas-107 a tier without a limit matches none", limit, other, false)
	other = sample()
	other.Identity = map[string]any{"userid": "bob"}
	fails("an identity without a tier matches none", limit, other)
	other = sample()
	other.Identity = map[string]any{"user": map[string]any{"username": "system:serviceaccount:default:bob"}}
	fails("a namespace that is not of a tier has no tier", tier, other)

	answered := sample()
	answered.ResponseBody = []byte(`{"model":"granite","usage":{"total_tokens":42}}`)
	f("the usage is found in the answer", `responseBodyJSON("/usage/total_tokens")`, answered, int64(42))
	f("the model is found in the answer", `responseBodyJSON("/model")`, answered, "granite")
	fails("there is no answer before the report", `responseBodyJSON("/model")`, sample())
}

func TestVariables(t *testing.T) {
	f := func(expr string, want any) {
		t.Helper()
		got, err := eval(t, expr, sample())
		if err != nil {
			t.Errorf("%v", err)
			return
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s: %s", expr, d)
		}
	}
	f(`request.method`, "POST")
	f(`request.host`, "maas.example.com")
	f(`request.scheme`, "https")
	f(`request.protocol`, "HTTP/1.1")
	f(`request.id`, "r1")
	f(`request.time`, "2026-11-23T06:00:00Z")
	f(`request.time.getHours() == 6`, true)
	f(`request.size`, int64(42))
	f(`request.path`, "/external/v1/chat/completions?x=1")
	f(`request.url_path`, "/external/v1/chat/completions")
	f(`request.query`, "x=1")
	f(`request.user_agent`, "curl/8")
	f(`request.useragent`, "curl/8")
	f(`request.referer`, "")
	f(`source.address`, "192.0.2.7:4711")
	f(`source.remote_address`, "192.0.2.7")
	f(`source.port`, int64(4711))
	f(`context.request.http.path`, "/external/v1/chat/completions?x=1")
	f(`context.request.http.headers["user-agent"]`, "curl/8")

	f(`request.headers["content-type"]`, "application/json")
	f(`request.headers.authorization`, "Bearer AbC")
	f(`request.headers["x-two"]`, "a,b")
	f(`"x-two" in request.headers`, true)
	f(`"X-Two" in request.headers`, false)
	f(`has(request.headers.nope)`, false)
	f(`has(request.headers.authorization)`, true)
	f(`size(request.headers)`, int64(5)) // with host
	f(`request.headers.exists(k, k == "x-two")`, true)
	f(`request.headers.all(k, k == k.lowerAscii())`, true)
	f(`request.headers == request.headers`, true)
	f(`request["headers"]["user-agent"]`, "curl/8")
	f(`request["path"] == request.path`, true)
	f(`has(request.nope)`, false)
	f(`has(request.path) && has(auth.identity) && has(auth.identity.tier)`, true)
	f(`has(auth.identity.nope)`, false)
	f(`auth.authorization == {}`, true)
	f(`auth.metadata.matchedTier.level == 0`, true)
	f(`auth["identity"].tier`, "free")

	f(`"a:b".split(":")`, []any{"a", "b"})
	f(`"A-b".lowerAscii().replace("-", "_")`, "a_b")
	f(`"aaa".replace("a", "bb", 2)`, "bbbba")
	f(`["a", "b"].join("-") + ["a", "b"].join()`, "a-bab")
	f(`"abc".substring(1) + "abc".charAt(0)`, "bca")
	f(`"x1".matches("^x[0-9]$")`, true)
	f(`[1, 2, 3].slice(1, 3)`, []any{int64(2), int64(3)})
	f(`[1, 2].map(x, x * 2)`, []any{int64(2), int64(4)})
	f(`base64.encode(b"hi")`, "aGk=")
	f(`b"hi"`, "aGk=")
	f(`duration("90s")`, "90s")
	f(`{"a": null, 1: 2u, "b": 0.5}`, map[string]any{"a": nil, "1": int64(2), "b": 0.5})
	f(`["x"].exists(request, request == "x")`, true)
}

func TestMissing(t *testing.T) {
	for _, expr := range []string{
		`auth.identity.nope`, `auth.identity.tier.deeper`, `auth.metadata.nope.x == "y"`, `request.headers.nope == "x"`,
		`auth.identity.user.groups[7] == "x"`, `requestBodyJSON("/a") == "x"`,
	} {
		p, err := CompilePredicate(expr)
		if err != nil {
			if p, err = Compile(expr); err != nil {
				t.Fatal(err)
			}
		}
		if got, err := p.Eval(sample()); err == nil || got != nil {
			t.Errorf("%s: Eval gives %v, %v", expr, got, err)
		}
		if ok, err := p.True(sample()); err == nil || ok {
			t.Errorf("%s: True gives %v, %v", expr, ok, err)
		}
	}
	unknown := sample()
	unknown.Identity = nil
	if got, err := eval(t, `auth.identity == null && !has(auth.identity.tier)`, unknown); got != true {
		t.Errorf("without an identity: %v, %v", got, err)
	}
	if p, _ := Compile(`auth.identity.tier`); p != nil {
		if ok, err := p.True(sample()); ok || err == nil {
			t.Errorf("a string is taken for true: %v, %v", ok, err)
		}
	}
}

func TestCompileErrors(t *testing.T) {
	f := func(expr, want string) {
		t.Helper()
		_, err := CompilePredicate(expr)
		var e *Error
		if !errors.As(err, &e) {
			t.Errorf("%q: %v, want an *Error", expr, err)
			return
		}
		if e.Expr != expr || err.Error() != want {
			t.Errorf("got  %s\nwant %s", err, want)
		}
	}
	f(``, `"": is empty`)
	f(" \n", `" \n": is empty`)
	f(`1 +`, `"1 +": column 4: Syntax error: mismatched input '<EOF>'`)
	f("true &&\n  nope", `"true &&\n  nope": line 2, column 3: undeclared reference to 'nope'`)
	f(`request.headerz["a"] == "b"`, `"request.headerz[\"a\"] == \"b\"": column 8: request has no field "headerz"; it has method, host, scheme, protocol, id, time, size, path, url_path, query, referer, user_agent, useragent, headers`)
	f(`auth.user == "b"`, `"auth.user == \"b\"": column 5: auth has no field "user"; it has identity, metadata, authorization, response`)
	f(`request.path`, `"request.path": a predicate must give a bool, this gives string`)
	f(`request.path == 3`, `"request.path == 3": column 14: found no matching overload for '_==_' applied to '(string, int)'`)
	f(`requestBodyJSON(1) == 2`, `"requestBodyJSON(1) == 2": column 16: found no matching overload for 'requestBodyJSON' or 'responseBodyJSON' applied to '(int)'`)
	f(`"a".replace(1, 2) == "a"`, `"\"a\".replace(1, 2) == \"a\"": column 12: found no matching overload for 'replace' applied to '(string, int, int)'`)
	f(`requestBodyJSON() == 2`, `"requestBodyJSON() == 2": column 16: undeclared reference to 'requestBodyJSON'`)
	long := strings.Repeat("x", maxSource+1)
	if _, err := Compile(long); err == nil || !strings.HasSuffix(err.Error(), `…": is longer than 16384 bytes`) {
		t.Errorf("a long expression: %v", err)
	}
	for _, deep := range []string{strings.Repeat("1+", 5000) + "1", strings.Repeat("[", 5000) + strings.Repeat("]", 5000)} {
		if _, err := Compile(deep); err == nil || !strings.HasSuffix(err.Error(), "is nested more than 250 deep") {
			t.Errorf("deep nesting: %v", err)
		}
	}
	for _, long := range []string{strings.Repeat(`request.path == "/a" || `, 500) + "true", strings.Repeat(`"a" + `, 100) + `"b" == "c"`} {
		if _, err := CompilePredicate(long); err != nil {
			t.Errorf("a long but flat expression: %v", err)
		}
	}
}

func TestNeeds(t *testing.T) {
	f := func(expr string, request, response bool) {
		t.Helper()
		p, err := Compile(expr)
		if err != nil {
			t.Fatal(err)
		}
		if p.NeedsRequestBody() != request || p.NeedsResponseBody() != response {
			t.Errorf("%s: needs %v, %v", expr, p.NeedsRequestBody(), p.NeedsResponseBody())
		}
	}
	f(`request.path == "requestBodyJSON"`, false, false)
	f(`requestBodyJSON("/model") == "a"`, true, false)
	f(`["a"].exists(m, m == responseBodyJSON("/model"))`, false, true)
	f(`request.size > 1 && requestBodyJSON("/max_tokens") + responseBodyJSON("/usage") > 2`, true, true)
}

func TestCost(t *testing.T) {
	in := sample()
	in.Request.Header = http.Header{"X": {strings.Repeat("a", 2000)}}
	for _, expr := range []string{
		`request.headers.x.split("").all(a, request.headers.x.split("").all(b, request.headers.x.split("").all(c, a == b && b == c)))`,
		`request.headers.x.replace("a", request.headers.x).replace("a", request.headers.x)`,
		`request.headers.x.split("").join(request.headers.x)`,
	} {
		if got, err := eval(t, expr, in); err == nil {
			t.Errorf("%s gives %d bytes", expr, len(Text(got)))
		}
	}
}

func TestOddTypes(t *testing.T) {
	in := sample()
	in.Identity = map[string]any{
		"n": int64(3), "f": 2.0, "l": []string{"a"}, "m": map[string]string{"a": "b"}, "j": json.Number("7"),
	}
	f := func(expr string, want any) {
		t.Helper()
		got, err := eval(t, expr, in)
		if d := cmp.Diff(want, got); err != nil || d != "" {
			t.Errorf("%s: %v %s", expr, err, d)
		}
	}
	f(`auth.identity.n + 1 == 4 && auth.identity.f == 2`, true)
	f(`auth.identity.l[0] + auth.identity.m.a`, "ab")
	f(`auth.identity.l`, []any{"a"})
	f(`auth.identity.m`, map[string]any{"a": "b"})
	f(`18446744073709551615u`, 18446744073709551615.0)
	f(`request.headers`, map[string]any{
		"authorization": "Bearer AbC", "content-type": "application/json", "user-agent": "curl/8", "x-two": "a,b", "host": "maas.example.com",
	})
	f(`request.headers == {"a": "b"}`, false)
	f(`type(request.headers) == map`, true)
	for _, expr := range []string{`type(1)`, `{"a": type(1)}`, `[type(1)]`, `{type(1): 1}`} {
		if got, err := eval(t, expr, in); err == nil {
			t.Errorf("%s gives %v, want an error", expr, got)
		}
	}
	unknown := &Input{}
	if got, err := eval(t, `source.address + source.remote_address`, unknown); got != "" || err != nil {
		t.Errorf("an unknown client: %v, %v", got, err)
	}
}

func TestConcurrentCompile(t *testing.T) {
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for _, expr := range quickstart {
				if _, err := Compile(expr); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
}

func TestConcurrentUse(t *testing.T) {
	p, err := CompilePredicate(`requestBodyJSON("/model") == "m" && auth.identity.user.groups.exists(g, g == "system:authenticated") && "x-two" in request.headers`)
	if err != nil {
		t.Fatal(err)
	}
	in := sample()
	in.RequestBody = []byte(`{"model":"m"}`)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 50 {
				if ok, err := p.True(in); !ok {
					t.Errorf("false: %v", err)
				}
			}
		})
	}
	wg.Wait()
}

func TestPredicateAllocates(t *testing.T) {
	p, err := CompilePredicate(`auth.identity.tier == "free" && !request.path.endsWith("/v1/models")`)
	if err != nil {
		t.Fatal(err)
	}
	in := sample()
	got := testing.AllocsPerRun(100, func() {
		if ok, _ := p.True(in); !ok {
			t.Error("does not hold")
		}
	})
	if got > 3 {
		t.Errorf("%v allocations for two strings, want at most 3", got)
	}
}
