package engine

import (
	"testing"

	"github.com/egret-gateway/egret/plan"
)

// TestProof: a Service of the platform is shown that a gateway calls, in the
// place of whatever the client claims; no other backend is.
func TestProof(t *testing.T) {
	f := func(b plan.Backend, want string) {
		t.Helper()
		p := onePlan()
		b.Name, b.Host = "b", "b"
		p.Backends[0] = b
		w := newWorld(t, p)
		w.deps.Proof = func(b *plan.Backend) string {
			if b.Object == "Service opendatahub/maas-api" {
				return "token"
			}
			return ""
		}
		h := get("/")
		h.Header.Set("X-MaaS-Proof", "forged")
		x, _ := w.Begin(t.Context(), h)
		defer x.End(t.Context(), Done, 0)
		a, refusal := x.Attempt(1)
		if refusal != nil {
			t.Fatal(refusal.Reason)
		}
		if got := a.Header.Get("X-MaaS-Proof"); got != want {
			t.Errorf("%s: proof %q, want %q", b.Object, got, want)
		}
	}
	f(plan.Backend{Object: "Service opendatahub/maas-api", Platform: true}, "token")
	f(plan.Backend{Object: "Service default/other", Platform: true}, "")
	f(plan.Backend{Object: "Service opendatahub/maas-api"}, "") // an ExternalName
	f(plan.Backend{Object: "XBackendDestination default/maas-api"}, "")
}
