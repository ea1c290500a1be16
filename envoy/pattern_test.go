package envoy_test

import (
	"fmt"
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	"google.golang.org/protobuf/proto"

	"github.com/egret-gateway/egret/envoy"
	"github.com/egret-gateway/egret/lab/envoybin"
	"github.com/egret-gateway/egret/plan"
	"github.com/egret-gateway/egret/xds"
)

// TestPatterns: regular expressions reach Envoy in words that all Envoys read.
func TestPatterns(t *testing.T) {
	f := func(in, want string) {
		t.Helper()
		got := "left out"
		for _, r := range virtualHost(t, in).Routes {
			got = r.Match.GetSafeRegex().GetRegex()
		}
		if got != want {
			t.Errorf("%s became %s, want %s", in, got, want)
		}
	}
	f(`/v[0-9]+/(chat|audio)/.*`, `/v[0-9]+/(chat|audio)/.*`)
	f(`/(?i:a)[^/]{3}`, `/(?i:a)[^/]{3}`)
	f(`/\pL+`, `/[A-Za-z]+`)
	f(`/\p{LC}\PL`, "/[A-Za-z][\\x00-@\\[-`\\{-\\x7f]")
	f(`/\x{41}`, `/A`)
	f(`/[é-ÿa]`, `/[a]`)
	f(`/\p{Han}`, "left out")
	f(`/ü`, "left out")
	f(`/[^\x00-\x{10FFFF}]`, "left out")
	f(`/`+strings.Repeat(`.{1000}`, 11), "left out")
}

// TestPatternsAccepted: whatever expressions the compiler takes, real Envoys
// take what becomes of them; one refused would stop everybody's routes.
func TestPatternsAccepted(t *testing.T) {
	patterns := []string{
		`/\p{LC}`, `/[^\x00-\x{10FFFF}]`, `/[\x{4e00}-\x{9fa5}]+`, `/\x{100}`, `/(?<a>b)`, `/\Qa.b\E`, `/\C*`,
		`/` + strings.Repeat(`\pL{1000}|`, 20), `/(?i:\pL{500})`, `/` + strings.Repeat(`[^/]{1000}`, 9), `/(?s:.{1000}){1}`,
	}
	r := rand.New(rand.NewPCG(1, 1))
	for range 400 {
		patterns = append(patterns, "/"+randomPattern(r, 4))
	}
	patterns = keep(patterns)
	resources := envoy.Translate(patternPlan(patterns...), "default/gw", envoy.Options{})
	s := envoybin.Static{Clusters: []envoybin.Object{{"name": envoy.ClusterLocal, "load_assignment": envoybin.Object{"cluster_name": envoy.ClusterLocal}}}}
	if err := s.Add("", resources, nil); err != nil {
		t.Fatal(err)
	}
	path := bootstrapOf(t, &s)
	for _, version := range envoybin.Versions {
		t.Run("B-09 gateway-38 no expression of one user keeps out the routes of others under Envoy "+version, func(t *testing.T) {
			t.Parallel()
			if n := len(virtualHost(t, patterns...).Routes); n < len(patterns)/2 {
				t.Errorf("%d of %d patterns are left", n, len(patterns))
			}
			if err := validate(t, version, path); err != nil {
				t.Error(err)
			}
		})
	}
}

// keep drops what the compiler would refuse.
func keep(patterns []string) (out []string) {
	for _, p := range patterns {
		if _, err := regexp.Compile("^(?:" + p + ")$"); err == nil {
			out = append(out, p)
		}
	}
	return out
}

// randomPattern nests what expressions are made of.
func randomPattern(r *rand.Rand, depth int) string {
	leaves := []string{`a`, `.`, `[^/]`, `\d`, `\W`, `[[:^alpha:]]`, `\pN`, `\P{Lu}`, `[^\pL]`, `\x00`, `\x7f`, `\b`, `\-`, `[\]^-]`, `(?-s:.)`, `(?m:^)`, `é`, `\x{e000}`, `[a-\x{ff}]`, ``}
	if depth == 0 || r.IntN(4) == 0 {
		return leaves[r.IntN(len(leaves))]
	}
	a, b := randomPattern(r, depth-1), randomPattern(r, depth-1)
	return []string{a + b, a + "|" + b, "(" + a + ")", "(?:" + a + ")*?", "(?i:" + a + b + ")", fmt.Sprintf("(?:%s){%d,}", a, r.IntN(9)), fmt.Sprintf("(?:%s){0,%d}%s", a, r.IntN(300), b), "(?U:" + a + "+)"}[r.IntN(8)]
}

// patternPlan has an entry for each pattern.
func patternPlan(patterns ...string) *plan.Plan {
	host := plan.VHost{Domain: "*"}
	for i, text := range patterns {
		host.Entries = append(host.Entries, plan.Entry{
			ID: fmt.Sprintf("default-r-rule0-match%d", i), Rule: "default/r/0",
			Match: plan.Match{Path: plan.PathMatch{Kind: plan.PathRegex, Value: text}},
		})
	}
	return &plan.Plan{
		Ports: []plan.Port{{Gateway: "default/gw", Number: 80, Listeners: []plan.Listener{{Name: "http", VHosts: []plan.VHost{host}}}}},
		Rules: []plan.Rule{{Name: "default/r/0", Route: "default/r"}},
	}
}

// virtualHost is what becomes of a plan of patterns.
func virtualHost(t *testing.T, patterns ...string) *routev3.VirtualHost {
	t.Helper()
	for _, r := range envoy.Translate(patternPlan(patterns...), "default/gw", envoy.Options{}) {
		if r.Type != xds.TypeRoute {
			continue
		}
		var routes routev3.RouteConfiguration
		if err := proto.Unmarshal(r.Value, &routes); err != nil {
			t.Fatal(err)
		}
		return routes.VirtualHosts[0]
	}
	t.Fatal("no routes")
	return nil
}
