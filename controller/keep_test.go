package controller

import (
	"slices"
	"testing"

	"github.com/egret-gateway/egret/plan"
)

// TestKeep: an engine drops a plan only when no Envoy can route by it any more.
func TestKeep(t *testing.T) {
	next := func(g *gateway, hash string) {
		g.envoys = true
		g.leave(hash)
		g.plan, g.hash = &plan.Plan{}, hash
	}
	f := func(name string, do func(g *gateway), want ...string) {
		t.Helper()
		g := &gateway{}
		do(g)
		if !slices.Equal(g.keep, want) {
			t.Errorf("%s: keeps %v, want %v", name, g.keep, want)
		}
	}
	f("the first plan", func(g *gateway) { next(g, "1") })
	f("the plan before is kept when pods hear of the next", func(g *gateway) { next(g, "1"); next(g, "2") }, "1")
	f("until Envoy has left it", func(g *gateway) { next(g, "1"); next(g, "2"); g.keep = g.kept([]string{"2"}) })
	f("which the slowest has not", func(g *gateway) { next(g, "1"); next(g, "2"); next(g, "3"); g.keep = g.kept([]string{"3", "2"}) }, "2")
	f("what may have come after what was said is kept", func(g *gateway) { next(g, "1"); next(g, "2"); next(g, "3"); g.keep = g.kept([]string{"1"}) }, "1", "2")
	f("an Envoy that has said nothing changes nothing", func(g *gateway) { next(g, "1"); next(g, "2"); g.keep = g.kept(nil) }, "1")
	f("a plan that comes back is no earlier one", func(g *gateway) { next(g, "1"); next(g, "2"); next(g, "1") }, "2")
	f("the native plane routes by itself", func(g *gateway) { next(g, "1"); g.envoys = false; g.leave("2") })
	g := &gateway{}
	for i := range 3 * mostKept {
		next(g, string(rune('a'+i)))
	}
	if len(g.keep) != mostKept || g.keep[mostKept-1] != string(rune('a'+3*mostKept-2)) {
		t.Errorf("keeps %q", g.keep)
	}
}
