package engine

import (
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/egret-gateway/egret/plan"
)

// TestEarlierPlans: a router that lags behind names entries as it knows them,
// and gets what they meant then, as long as their plan is kept.
func TestEarlierPlans(t *testing.T) {
	named := func(p *plan.Plan) Head {
		h := get("/x")
		h.Entry = plan.EntryName("l", "*", "e")
		h.Digest = p.Digests(&p.Ports[0])[h.Entry]
		return h
	}
	marked := func(mark string) *plan.Plan {
		p := onePlan()
		p.Rules[0].Targets[0].Request.Set = []plan.Header{{Name: "x-plan", Value: mark}}
		return p
	}
	first, second, third := marked("first"), marked("second"), marked("third")
	w := newWorld(t, first)
	w.deps.Routed = true
	now := time.Now()
	w.deps.Now = func() time.Time { return now }
	if err := w.Load(first); err != nil {
		t.Fatal(err)
	}
	f := func(as *plan.Plan, wantMark string, wantStatus int) {
		t.Helper()
		x, step := w.Begin(t.Context(), named(as))
		defer x.End(t.Context(), Done, 0)
		if step == Refuse {
			if x.Refusal.Status != wantStatus {
				t.Errorf("refused with %d (%s), want %d", x.Refusal.Status, x.Refusal.Reason, wantStatus)
			}
			return
		}
		a, refusal := x.Attempt(1)
		if refusal != nil {
			t.Fatal(refusal.Reason)
		}
		if got := a.Header.Get("X-Plan"); got != wantMark || wantStatus != http.StatusOK {
			t.Errorf("served by the plan of %q, want %q", got, wantMark)
		}
	}
	f(first, "first", 200)
	if err := w.Load(second); err != nil {
		t.Fatal(err)
	}
	f(first, "first", 200) // whoever sent the second did not know of the first, as after a restart
	if err := w.Load(second, first.Hash()); err != nil {
		t.Fatal(err)
	}
	f(first, "first", 200)
	f(second, "second", 200)
	if err := w.Load(third, first.Hash()); err != nil {
		t.Fatal(err)
	}
	f(first, "first", 200)
	f(second, "second", 200) // was in force until now
	f(third, "third", 200)
	if err := w.Load(third, first.Hash()); err != nil {
		t.Fatal(err)
	}
	f(second, "second", 200) // a router that has lost the controller is known to nobody
	now = now.Add(lag)
	if err := w.Load(third, first.Hash()); err != nil {
		t.Fatal(err)
	}
	f(first, "first", 200)
	f(second, "", 503) // not kept: nobody names it any more, or it is too late
	if err := w.Load(third); err != nil {
		t.Fatal(err)
	}
	f(first, "", 503)

	// What a plan changes elsewhere does not concern an entry.
	other := marked("third")
	other.Rules = append(other.Rules, plan.Rule{Name: "r2", Route: "n/other"})
	other.Backends[0].Endpoints = []plan.Endpoint{{Address: "192.0.2.1", Port: 80}}
	if err := w.Load(other); err != nil {
		t.Fatal(err)
	}
	f(third, "third", 200)

	for i := range 3 * mostLater {
		if err := w.Load(marked(strconv.Itoa(i))); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(w.program.Load().earlier); n != mostLater {
		t.Errorf("%d plans are kept of many in a row", n)
	}

	x, step := w.Begin(t.Context(), Head{Gateway: "g/w", Port: 80, Entry: NoEntry, Method: "GET", Host: "h", Path: "/", Header: http.Header{}})
	if step != Refuse || x.Refusal.Status != http.StatusNotFound {
		t.Errorf("a request without a route: step %v", step)
	}
	x.End(t.Context(), Done, 0)
}

// TestTarget: what a foreign router chose is what serves.
func TestTarget(t *testing.T) {
	p := onePlan()
	p.Rules[0].Targets = []plan.Target{{Backend: "b", Weight: 1}, {Weight: 1, Fault: &plan.Fault{Status: 500, Reason: "missing"}}}
	w := newWorld(t, p)
	f := func(target int, wantBackend string) {
		t.Helper()
		h := get("/")
		h.Target = target
		x, _ := w.Begin(t.Context(), h)
		defer x.End(t.Context(), Done, 0)
		a, refusal := x.Attempt(1)
		if got := a != nil && a.Backend.Name == wantBackend; got == (refusal != nil) || refusal != nil && wantBackend != "" {
			t.Errorf("target %d: backend %v, refusal %v", target, a, refusal)
		}
	}
	f(1, "b")
	f(2, "")
	f(3, "b") // the router knows more targets than there are: the engine chooses
}
