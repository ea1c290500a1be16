package rule

import (
	"errors"
	"testing"

	"github.com/tidwall/gjson"

	"github.com/egret-gateway/egret/plan"
)

func FuzzCompile(f *testing.F) {
	for _, s := range []string{
		`auth.identity.tier == "free" && !request.path.endsWith("/v1/models")`,
		`auth.identity.user.username.split(":")[2].split("-tier-")[1]`,
		`{"groups": auth.identity.user.groups}`, `responseBodyJSON("/usage/total_tokens")`,
		`has(request.headers.x) ? [1, 2u, 3.5].map(x, x * 2) : request.time`,
		`["a"].join(",").replace("a", "b") + base64.encode(b"\xff")`, `1 / 0`, `request`, `{1: {true: null}}`, `auth.?identity`, ``, `((`,
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		p, err := Compile(s)
		if err != nil {
			var e *Error
			if !errors.As(err, &e) || e.Why == "" {
				t.Fatalf("%q: %v is not a finding", s, err)
			}
			return
		}
		in := sample()
		in.RequestBody = []byte(`{"model":"m","n":[1,2,{"a":null}]}`)
		v, err := p.Eval(in)
		if err != nil && v != nil {
			t.Fatalf("%q: %v beside %v", s, v, err)
		}
		if ok, err := p.True(in); ok && (err != nil || v != true) {
			t.Fatalf("%q: true, but %v and %v", s, v, err)
		}
		if _, merr := marshal(v); err == nil && merr != nil && Text(v) == "" {
			t.Fatalf("%q: %#v has no text: %v", s, v, merr)
		}
	})
}

// FuzzSelector compares the way through the Go values with gjson over the
// whole document.
func FuzzSelector(f *testing.F) {
	for _, s := range []string{
		`auth.identity.user.groups.@tostr`, `auth.identity.user.groups.#(%"*auth*")#`, `request.headers.user-agent`,
		`auth.identity.nope.@tostr`, `auth.identity.tier.x`, `context.request.http.headers.x-two`, `source.remote_address`, `request.time`,
		`auth.identity`, `auth`, `request.@keys`, `auth.identity.user.groups.1`, `auth.identity.user|groups|#`, `auth.identity.`, `auth..identity`,
		`auth.metadata.matchedTier.level`, `request.headers`, `auth.\identity`, `auth.identity\.x`, `auth.identity.user.groups.01`, `!"x"`, `auth.identity.#`,
		`request.path.@extract:{"sep":"/","pos":2}|@case:upper`, `{auth.identity.tier}-{request.size}`, `a{b`, `@case:lower`, `request.@case:upper.path`,
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		in := sample()
		v, err := NewValue(plan.Value{Selector: s})
		if err != nil {
			var e *Error
			if !errors.As(err, &e) || e.Why == "" {
				t.Fatalf("%q: %v is not a finding", s, err)
			}
			return
		}
		got, err := v.Eval(in)
		if err != nil {
			t.Fatalf("%q: %v", s, err)
		}
		if v.selector == nil || len(v.selector.then) > 0 {
			return
		}
		text, err := marshal(document(in))
		if err != nil {
			t.Fatal(err)
		}
		want := native(gjson.GetBytes(text, s))
		if Text(got) != Text(want) || (got == nil) != (want == nil) {
			t.Fatalf("%q: %#v, over the whole document %#v", s, got, want)
		}
	})
}
