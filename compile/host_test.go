package compile

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestIntersect(t *testing.T) {
	f := func(listener, route, want string) {
		t.Helper()
		got, ok := intersect(listener, route)
		if got != want || ok != (want != "") {
			t.Errorf("listener %q, route %q: %q, %v; want %q", listener, route, got, ok, want)
		}
	}
	t.Run("gateway-57 gateway-58 what a listener and a route both serve", func(t *testing.T) {
		f("", "", "*")
		f("", "a.com", "a.com")
		f("a.com", "", "a.com")
		f("a.com", "a.com", "a.com")
		f("a.com", "b.com", "")
		f("*.a.com", "x.a.com", "x.a.com")
		f("*.a.com", "x.y.a.com", "x.y.a.com")
		f("*.a.com", "a.com", "")
		f("*.a.com", ".a.com", "")
		f("*.a.com", "xa.com", "")
		f("x.a.com", "*.a.com", "x.a.com")
		f("a.com", "*.a.com", "")
		f("*.a.com", "*.a.com", "*.a.com")
		f("*.a.com", "*.x.a.com", "*.x.a.com")
		f("*.x.a.com", "*.a.com", "*.x.a.com")
		f("*.a.com", "*.b.com", "")
	})
}

func TestMoreSpecific(t *testing.T) {
	t.Run("gateway-77 exact names, then longer wildcards, then any", func(t *testing.T) {
		got := []string{"*", "*.com", "b.com", "*.x.com", "", "a.very.long.com", "*.y.com"}
		slices.SortStableFunc(got, moreSpecific)
		want := []string{"a.very.long.com", "b.com", "*.x.com", "*.y.com", "*.com", "", "*"}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("-want +got\n%s", diff)
		}
	})
}
