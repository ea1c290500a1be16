package envoy_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/egret-gateway/egret/compile"
	"github.com/egret-gateway/egret/envoy"
	"github.com/egret-gateway/egret/lab/envoybin"
	"github.com/egret-gateway/egret/plan"
	"github.com/egret-gateway/egret/source"
)

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
	p := routesOf(patterns)
	resources := envoy.Translate(p, "default/gw", envoy.Options{})
	s := envoybin.Static{Clusters: []envoybin.Object{{"name": envoy.ClusterLocal, "load_assignment": envoybin.Object{"cluster_name": envoy.ClusterLocal}}}}
	if err := s.Add("", resources, nil); err != nil {
		t.Fatal(err)
	}
	path := bootstrapOf(t, &s)
	for _, version := range envoybin.Versions {
		t.Run("B-09 gateway-38 no expression of one user keeps out the routes of others under Envoy "+version, func(t *testing.T) {
			t.Parallel()
			if n := len(p.Ports[0].Listeners[0].VHosts[0].Entries); n < len(patterns)/2 {
				t.Errorf("%d of %d patterns are left", n, len(patterns))
			}
			if err := validate(t, version, path); err != nil {
				t.Error(err)
			}
		})
	}
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

// routesOf compiles a route for each pattern; what the compiler refuses has no
// entry in the plan.
func routesOf(patterns []string) *plan.Plan {
	s := source.Snapshot{Gateways: []*gwv1.Gateway{{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "gw"},
		Spec:       gwv1.GatewaySpec{GatewayClassName: "egret", Listeners: []gwv1.Listener{{Name: "http", Port: 80, Protocol: gwv1.HTTPProtocolType}}},
	}}}
	for i, text := range patterns {
		kind := gwv1.PathMatchRegularExpression
		s.HTTPRoutes = append(s.HTTPRoutes, &gwv1.HTTPRoute{
			ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: fmt.Sprintf("r%d", i)},
			Spec: gwv1.HTTPRouteSpec{
				CommonRouteSpec: gwv1.CommonRouteSpec{ParentRefs: []gwv1.ParentReference{{Name: "gw"}}},
				Rules:           []gwv1.HTTPRouteRule{{Matches: []gwv1.HTTPRouteMatch{{Path: &gwv1.HTTPPathMatch{Type: &kind, Value: &text}}}}},
			},
		})
	}
	p, _ := compile.Compile(s, compile.Options{Alone: true})
	return p.For("default/gw")
}
