package engine

import (
	"testing"

	"github.com/egret-gateway/egret/plan"
)

func TestHostSent(t *testing.T) {
	t.Run("B-14 the host of a URLRewrite is sent, not the destination's", func(t *testing.T) {
		f := func(rw *plan.Rewrite, authority, want string) {
			t.Helper()
			p := onePlan()
			p.Rules[0].Rewrite, p.Backends[0].Authority = rw, authority
			x, _ := newWorld(t, p).Begin(t.Context(), get("/"))
			if a, refusal := x.Attempt(1); refusal != nil || a.Host != want {
				t.Errorf("rewrite %+v, destination %q: host %q, want %q", rw, authority, a.Host, want)
			}
		}
		f(nil, "", "gw.example.com")
		f(nil, "b.example.com", "b.example.com")
		f(&plan.Rewrite{Host: "api.example.com"}, "b.example.com", "api.example.com")
		f(&plan.Rewrite{Host: "api.example.com"}, "", "api.example.com")
	})
}
