package engine

import (
	"context"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/egret-gateway/egret/dialect"
	"github.com/egret-gateway/egret/plan"
)

func TestChoose(t *testing.T) {
	p := onePlan()
	p.Backends = append(p.Backends, plan.Backend{Name: "c", Host: "c.example.com", Port: 80})
	share := func(t *testing.T, targets ...plan.Target) map[string]int {
		t.Helper()
		p.Rules[0].Targets = targets
		w := newWorld(t, p)
		random := rand.New(rand.NewPCG(1, 2))
		w.deps.Random = random.Int64N
		got := map[string]int{}
		for range 1000 {
			x, _ := w.Begin(t.Context(), get("/"))
			if a, refusal := x.Attempt(1); refusal != nil {
				got[http.StatusText(refusal.Status)]++
			} else {
				got[a.Backend.Name]++
			}
			x.End(t.Context(), Done, 0)
		}
		return got
	}
	near := cmpopts.EquateApprox(0, 50)
	f := func(want map[string]int, targets ...plan.Target) {
		t.Helper()
		got := share(t, targets...)
		asFloat := func(m map[string]int) map[string]float64 {
			out := map[string]float64{}
			for k, v := range m {
				out[k] = float64(v)
			}
			return out
		}
		if diff := cmp.Diff(asFloat(want), asFloat(got), near); diff != "" {
			t.Errorf("gateway-22 gateway-23 of 1000 calls, within 5 points (-want +got)\n%s", diff)
		}
	}
	f(map[string]int{"b": 900, "c": 100}, plan.Target{Backend: "b", Weight: 90}, plan.Target{Backend: "c", Weight: 10})
	f(map[string]int{"b": 500, "Internal Server Error": 500},
		plan.Target{Backend: "b", Weight: 1}, plan.Target{Weight: 1, Fault: &plan.Fault{Status: 500, Reason: "missing"}})
	f(map[string]int{"Internal Server Error": 1000})
}

// TestLoad: a plan that cannot be loaded changes nothing, one that can is for
// what begins from then on, and unchanged policies keep what they know.
func TestLoad(t *testing.T) {
	ctx := t.Context()
	w := newWorld(t, onePlan(asksAlice()))
	under, _ := w.Begin(ctx, chat())

	broken := onePlan(asksAlice())
	broken.Ports[0].Listeners[0].VHosts[0].Entries[0].Rule = "nowhere"
	old := w.Plan()
	if err := w.Load(broken); err == nil || w.Plan() != old {
		t.Errorf("a broken plan: error %v, in force %v", err, w.Plan() != old)
	}

	next := onePlan(asksAlice())
	next.Rules[0].Targets[0].Request.Set = []plan.Header{{Name: "x-plan", Value: "next"}}
	if err := w.Load(next); err != nil {
		t.Fatal(err)
	}
	under.Body(ctx, []byte(chatBody))
	if a, _ := under.Attempt(1); a == nil || a.Header.Get("X-Plan") != "" {
		t.Error("an exchange under way was given the new plan")
	}
	under.End(ctx, Done, 0)

	was := w.program.Load().policies
	x, _ := w.Begin(ctx, chat())
	x.Body(ctx, []byte(chatBody))
	if a, _ := x.Attempt(1); a == nil || a.Header.Get("X-Plan") != "next" {
		t.Error("a new exchange was not given the new plan")
	}
	x.End(ctx, Done, 0)
	if w.reviews != 1 {
		t.Errorf("%d reviews of one token over a reload, want 1", w.reviews)
	}

	rotated := onePlan(asksAlice())
	rotated.Secrets = []plan.Secret{{Name: "secret/a/b", Digest: "1"}}
	if err := w.Load(rotated); err != nil {
		t.Fatal(err)
	}
	for name, p := range w.program.Load().policies {
		if p == was[name] {
			t.Error("a policy was kept although a secret changed that it may read")
		}
	}
}

// TestExplain: looking takes nothing.
func TestExplain(t *testing.T) {
	ctx := t.Context()
	both := budget(10)
	both.Calls = []plan.Limit{{Name: "c", ID: "limit.c", Source: "n/p", Rates: []plan.Rate{{Limit: 2, Window: time.Minute}}}}
	w := newWorld(t, onePlan(both))
	for range 5 {
		got := w.Explain(ctx, chat(), nil)
		want := []LimitTold{
			{Name: "c", Source: "n/p", Unit: "requests", Applies: true, Max: 2, Left: 2, Window: "1m0s", Reset: "1m0s"},
			{Name: "t", Source: "n/p", Unit: "tokens", Applies: true, Max: 10, Left: 10, Window: "1m0s", Reset: "1m0s"},
		}
		if diff := cmp.Diff(want, got.Limits); diff != "" || got.Verdict != "forward" {
			t.Fatalf("verdict %s, limits (-want +got)\n%s", got.Verdict, diff)
		}
	}
	w.call(t, chat(), 10)
	if got := w.Explain(ctx, chat(), nil); got.Status != 429 || len(w.records) != 1 {
		t.Errorf("status %d, want 429; %d records, want that of the call alone", got.Status, len(w.records))
	}
	if got := w.Explain(ctx, Head{Gateway: "other/one", Port: 80, Path: "/"}, nil); got.Status != 404 || len(got.Listens) != 1 {
		t.Errorf("of a gateway that is not there: %+v", got)
	}
	if got := w.Explain(ctx, get("/a/../b"), nil); got.Status != 400 || got.Listens != nil {
		t.Errorf("of a bad path: %+v", got)
	}
}

// TestRecord: exchanges that never found a route are recorded like all others.
func TestRecord(t *testing.T) {
	w := newWorld(t, &plan.Plan{})
	w.call(t, chat(), 1)
	want := []Record{{
		ID: "00000000000000000000000000000001", Trace: "00-00000000000000000000000000000001-0000000000000000-00",
		Time: w.deps.Now(), Gateway: "g/w", Method: "POST", Host: "gw.example.com", Path: "/v1/chat/completions",
		Status: 404, Outcome: Refused, Code: "no_route", Reason: "no route of gateway g/w matches POST gw.example.com/v1/chat/completions",
	}}
	if diff := cmp.Diff(want, w.records, cmpopts.EquateComparable(want[0].Remote)); diff != "" {
		t.Errorf("records (-want +got)\n%s", diff)
	}
}

// TestEnd: whatever a body does, there is one Record and one charge.
func TestEnd(t *testing.T) {
	ctx := t.Context()
	w := newWorld(t, onePlan(budget(100)))
	x, _ := w.Begin(ctx, chat())
	x.Body(ctx, []byte(chatBody))
	x.Attempt(1)
	x.Response(ResponseHead{Status: 200, Header: http.Header{"Content-Type": {"application/json"}}})
	x.Chunk(ctx, []byte(`{"usage":{"total_tokens":7}}`), true)
	x.End(ctx, Done, 3)
	x.End(ctx, ClientGone, 9)
	if got := w.Explain(ctx, chat(), nil).Limits[0].Left; got != 93 || len(w.records) != 1 || w.records[0].Sent != 3 || w.records[0].Outcome != Done {
		t.Errorf("left %d, want 93; records %+v", got, w.records)
	}
}

// TestLeaveBeforeTheAnswer: the provider has been asked, so the question is
// paid for, at least one token; a provider that does not answer is free.
func TestLeaveBeforeTheAnswer(t *testing.T) {
	f := func(name string, outcome Outcome, attempts int, want int64) {
		t.Helper()
		ctx := t.Context()
		w := newWorld(t, onePlan(budget(100)))
		x, _ := w.Begin(ctx, chat())
		x.Body(ctx, []byte(chatBody))
		for n := range attempts {
			x.Attempt(n + 1)
		}
		x.End(ctx, outcome, 0)
		if got := 100 - w.Explain(ctx, chat(), nil).Limits[0].Left; got != want || w.records[0].Usage.Exact {
			t.Errorf("%s: %d tokens were charged, want %d; record %+v", name, got, want, w.records[0])
		}
	}
	f("the client leaves", ClientGone, 1, 2) // Hello
	f("the client leaves before anybody is asked", ClientGone, 0, 0)
	f("the provider leaves", UpstreamGone, 1, 0)
	f("the provider is too slow", TimedOut, 1, 0)
}

// TestParallel: two exchanges never share state. Of 200 at once against one
// budget every one is charged its own cost, to the token.
func TestParallel(t *testing.T) {
	const calls, budgetOf = 200, 1 << 30
	p := asksAlice()
	p.Token = budget(budgetOf).Token
	w := newWorld(t, onePlan(p))
	var sum atomic.Int64
	var group sync.WaitGroup
	for i := range calls {
		group.Go(func() {
			cost := i*i + 1
			r := w.call(t, chat(), cost)
			if r.Usage != (dialect.Usage{Total: int64(cost), Exact: true}) || r.Subject != "alice" || !r.Charged {
				t.Errorf("call %d was recorded as %+v", i, r)
			}
			sum.Add(int64(cost))
		})
	}
	group.Wait()
	told := w.Explain(context.Background(), chat(), nil)
	if used := budgetOf - told.Limits[0].Left; used != sum.Load() {
		t.Errorf("%d tokens were charged, want %d", used, sum.Load())
	}
}

// TestIdle: the silence that an answer may keep, unless its rule says how long
// the whole may take.
func TestIdle(t *testing.T) {
	f := func(timeouts plan.Timeouts, want time.Duration) {
		t.Helper()
		p := onePlan()
		p.Rules[0].Timeouts = timeouts
		x, _ := newWorld(t, p).Begin(t.Context(), get("/"))
		if got := x.Idle(); got != want {
			t.Errorf("gateway-80 with %+v: %v, want %v", timeouts, got, want)
		}
	}
	f(plan.Timeouts{Request: time.Hour, Idle: 300 * time.Second}, 300*time.Second)
	f(plan.Timeouts{Request: 400 * time.Second, Idle: 300 * time.Second, Explicit: true}, plan.NoLimit)
	f(plan.Timeouts{Request: plan.NoLimit, Explicit: true, Idle: 300 * time.Second}, plan.NoLimit)
}
