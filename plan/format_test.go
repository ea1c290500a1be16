package plan_test

import (
	"flag"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/egret-gateway/egret/plan"
)

var update = flag.Bool("update", false, "rewrite the results in testdata")

// TestFormat holds the types of a plan to the shape that their Format has. Who
// changes them decides what a plane of an earlier release makes of it: where it
// would have to know, Format is raised and Needs says when.
func TestFormat(t *testing.T) {
	got := shape(reflect.TypeFor[plan.Plan]())
	path := func(n int) string { return fmt.Sprintf("testdata/format-%d.txt", n) }
	if *update {
		if err := os.WriteFile(path(plan.Format), []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	read := func(n int) string {
		text, err := os.ReadFile(path(n))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	if diff := cmp.Diff(read(plan.Format), got); diff != "" {
		t.Errorf("the shape of a plan is not that of format %d (-want +got); raise plan.Format, say in Needs what needs it, and run with -update\n%s", plan.Format, diff)
	}
	for n := 1; n < plan.Format; n++ {
		before, after := lines(read(n)), lines(read(n+1))
		for _, line := range before {
			if !slices.Contains(after, line) {
				t.Errorf("format %d lost or changed %q of format %d: plans of the other release could not be read", n+1, line, n)
			}
		}
		for _, line := range after {
			if !slices.Contains(before, line) && !strings.Contains(line, "omit") {
				t.Errorf("format %d adds %q; what is added must be left out when it is zero", n+1, line)
			}
		}
	}
	if n := (&plan.Plan{}).Needs(); n != 1 {
		t.Errorf("an empty plan needs format %d", n)
	}
}

func lines(text string) []string { return strings.Split(strings.TrimSpace(text), "\n") }

// shape lists all fields of a type with what they are called and hold.
func shape(of reflect.Type) string {
	var out []string
	seen := map[reflect.Type]bool{}
	var walk func(reflect.Type)
	walk = func(t reflect.Type) {
		for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice {
			t = t.Elem()
		}
		if t.Kind() != reflect.Struct || seen[t] {
			return
		}
		seen[t] = true
		for i := range t.NumField() {
			f := t.Field(i)
			out = append(out, fmt.Sprintf("%s.%s %s %s", t.Name(), f.Name, f.Type, f.Tag.Get("json")))
			walk(f.Type)
		}
	}
	walk(of)
	slices.Sort(out)
	return strings.Join(out, "\n") + "\n"
}

// TestCheck: what this program does not know, it does not serve.
func TestCheck(t *testing.T) {
	auth := func(a plan.Auth) *plan.Plan { return &plan.Plan{Policies: []plan.Policy{{Name: "p", Auth: &a}}} }
	step := plan.Step{Name: "s"}
	path := func(kind plan.PathKind) *plan.Plan {
		e := plan.Entry{ID: "e", Match: plan.Match{Path: plan.PathMatch{Kind: kind, Value: "/"}}}
		return &plan.Plan{Ports: []plan.Port{{Listeners: []plan.Listener{{VHosts: []plan.VHost{{Domain: "*", Entries: []plan.Entry{e}}}}}}}}
	}
	f := func(p *plan.Plan, want string) {
		t.Helper()
		err := p.Check()
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
	f(&plan.Plan{}, "")
	f(path(plan.PathRegex), "")
	f(path("glob"), `path match "glob"`)
	f(&plan.Plan{Backends: []plan.Backend{{Name: "b", Protocol: "http3"}}}, `protocol "http3"`)
	f(&plan.Plan{Secrets: []plan.Secret{{Name: "s", Kind: "jwk"}}}, `kind "jwk"`)
	f(auth(plan.Auth{Authentication: []plan.Authentication{{Step: step, Anonymous: true}}}), "")
	f(auth(plan.Auth{Authentication: []plan.Authentication{{Step: step}}}), "0 of the methods")
	f(auth(plan.Auth{Authentication: []plan.Authentication{{Step: step, Anonymous: true, JWT: &plan.JWT{}}}}), "2 of the methods")
	f(auth(plan.Auth{Authentication: []plan.Authentication{{Step: step, TokenReview: &plan.TokenReview{}, Credential: plan.Credential{In: "body"}}}}), `credential in "body"`)
	f(auth(plan.Auth{Metadata: []plan.Metadata{{Step: step, HTTP: plan.HTTPCall{Credential: plan.Credential{In: "body"}}}}}), `credential in "body"`)
	f(auth(plan.Auth{Authorization: []plan.Authorization{{Step: step, Patterns: []plan.Pattern{{Predicate: "true"}}}}}), "")
	f(auth(plan.Auth{Authorization: []plan.Authorization{{Step: step}}}), "none, or several")
}
