package rule

import (
	"testing"

	"github.com/egret-gateway/egret/plan"
)

func TestPatterns(t *testing.T) {
	type p = plan.Pattern
	f := func(want bool, list ...p) {
		t.Helper()
		c, err := NewPatterns(list)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := c.Hold(sample()); got != want || err != nil {
			t.Errorf("%+v: %v, %v, want %v", list, got, err, want)
		}
	}
	is := func(selector, operator, value string) p {
		return p{Selector: selector, Operator: operator, Value: value}
	}
	yes, no := p{Predicate: `true`}, p{Predicate: `false`}
	broken := p{Predicate: `auth.identity.nope == "x"`}

	f(true)
	f(true, is("auth.identity.tier", "eq", "free"))
	f(false, is("auth.identity.tier", "eq", "Free"))
	f(false, is("auth.identity.tier", "neq", "free"))
	f(true, is("auth.identity.nope", "eq", ""))
	f(true, is("auth.identity.nope", "neq", "x"))
	f(true, is("auth.identity.authenticated", "eq", "true"))
	f(true, is("request.size", "eq", "42"))
	f(true, is("auth.identity.user.groups", "incl", "system:authenticated"))
	f(false, is("auth.identity.user.groups", "incl", "system"))
	f(false, is("auth.identity.user.groups", "excl", "system:authenticated"))
	f(true, is("auth.identity.user.groups", "excl", "admins"))
	f(true, is("auth.identity.tier", "incl", "free"))
	f(false, is("auth.identity.nope", "incl", ""))
	f(true, is("auth.identity.nope", "excl", "x"))
	f(true, is("request.path", "matches", `^/external/`))
	f(false, is("request.path", "matches", `^/internal/`))
	f(true, is("request.path.@extract:{\"sep\":\"/\",\"pos\":1}", "eq", "external"))
	f(false, is("auth.identity.tier", "eq", "free"), no)

	f(true, p{All: []p{yes, yes}})
	f(false, p{All: []p{yes, no}})
	f(true, p{All: []p{}})
	f(true, p{Any: []p{no, yes}})
	f(false, p{Any: []p{no, no}})
	f(false, p{Any: []p{}})
	f(true, p{Any: []p{broken, yes}})
	f(true, p{Any: []p{{All: []p{no, yes}}, {Any: []p{yes}}}})
	f(false, no, broken)
}

func TestPatternsFail(t *testing.T) {
	for _, list := range [][]plan.Pattern{
		{{Predicate: `auth.identity.nope == "x"`}},
		{{Any: []plan.Pattern{{Predicate: `false`}, {Predicate: `auth.identity.nope == "x"`}}}},
		{{All: []plan.Pattern{{Predicate: `auth.identity.nope == "x"`}}}},
	} {
		c, err := NewPatterns(list)
		if err != nil {
			t.Fatal(err)
		}
		if ok, err := c.Hold(sample()); ok || err == nil {
			t.Errorf("%+v: %v, %v, want an error", list, ok, err)
		}
	}
}

func TestPatternsRefused(t *testing.T) {
	f := func(p plan.Pattern, want string) {
		t.Helper()
		if _, err := NewPatterns([]plan.Pattern{p}); err == nil || err.Error() != want {
			t.Errorf("got  %v\nwant %s", err, want)
		}
	}
	f(plan.Pattern{}, `a pattern needs a predicate, a selector, all or any`)
	f(plan.Pattern{Selector: "a", Operator: "like"}, `"a": operator "like" is not one of eq, neq, incl, excl, matches`)
	f(plan.Pattern{Selector: "a", Operator: "matches", Value: "("}, "\"(\": error parsing regexp: missing closing ): `(`")
	f(plan.Pattern{All: []plan.Pattern{{Predicate: "1"}}}, `"1": a predicate must give a bool, this gives int`)
	deep := plan.Pattern{Predicate: "true"}
	for range maxDepth + 1 {
		deep = plan.Pattern{All: []plan.Pattern{deep}}
	}
	f(deep, `"all/any": patterns are nested more than 16 deep`)
}
