//go:build cluster

package share

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/egret-gateway/egret/lab/cluster"
	"github.com/egret-gateway/egret/lab/stage"
)

// TestShare has one, two and three pods of each plane count: alone, over one
// Redis, over one Valkey, and while that is away; and two MaaS APIs keep keys.
func TestShare(t *testing.T) {
	s := stage.MaaS(t, cluster.Open(t))
	w := newScene(t, s)
	t.Run("one pod that counts alone is nothing to tell", func(t *testing.T) { w.tells(t, "") })
	w.replicas(t, 2)
	t.Run("two that count alone are told in the policy's condition", func(t *testing.T) {
		w.tells(t, "each of the 2 pods of Gateway "+w.ns+"/native counts alone")
		w.tells(t, "each of the 2 pods of Gateway "+w.ns+"/envoy counts alone")
	})

	database := s.Postgres(t, w.ns)
	w.twoAPIs(t, database)
	s.Settings(t, s.Redis(t, w.ns), database)
	w.settled(t, 2)
	t.Run("with Redis they share, and nothing is to tell", func(t *testing.T) { w.tells(t, "") })
	t.Run("two pods over one Redis", w.budgets)
	t.Run("the ledger of all pods is one", w.ledger)

	s.Settings(t, s.Valkey(t, w.ns), database)
	w.replicas(t, 3)
	w.settled(t, 3)
	t.Run("three pods over one Valkey", w.budgets)
	t.Run("maas-116 a budget that is spent stays spent when the counters restart", w.restart)
	t.Run("maas-95 counters that do not answer", w.silence)
	t.Run("maas-95 counters that are gone", w.away)
	t.Run("two MaaS APIs over one PostgreSQL", w.keys)
}

// tells looks for a text in the condition of the policies; "" wants none that
// says that pods count alone.
func (w *scene) tells(t *testing.T, want string) {
	t.Helper()
	for _, policy := range []string{"tokenratelimitpolicy/tokens", "ratelimitpolicy/calls"} {
		w.Eventually(t, soon, "condition of "+policy, func() error {
			got := w.Kubectl(t, "get", policy, "-n", w.ns, "-o",
				`jsonpath={range .status.conditions[?(@.type=="Enforced")]}{.status}: {.message}{end}`)
			if !strings.HasPrefix(got, "True: ") || want == "" && strings.Contains(got, "counts alone") || !strings.Contains(got, want) {
				return fmt.Errorf("%s, want %q", got, want)
			}
			return nil
		})
	}
}

// budgets spends budgets on each plane, and on both at once.
func (w *scene) budgets(t *testing.T) {
	// A pod's first call to the counters finds no connection; on a busy machine
	// that takes longer than a limit that is open waits.
	w.spend(w.team(), w.url["native"], w.url["envoy"])
	before := map[string]float64{}
	for _, p := range planes {
		for pod, ip := range w.pods(t, p) {
			before[pod] = w.served(t, ip)
		}
	}
	for name, urls := range map[string][]string{
		"native": {w.url["native"]}, "envoy": {w.url["envoy"]}, "both planes": {w.url["native"], w.url["envoy"]},
	} {
		t.Run("maas-97 maas-103 tokens, "+name, func(t *testing.T) { tokens(t, w.spend(w.team(), urls...)) })
		t.Run("maas-115 calls, "+name, func(t *testing.T) {
			var strip []string
			for _, u := range urls {
				strip = append(strip, u+"/calls")
			}
			if got := passed(t, w.spend(w.team(), strip...)); len(got) != number {
				t.Errorf("%d calls passed, the limit is %d", len(got), number)
			}
		})
	}
	for _, p := range planes {
		if t.Failed() { // these pods will be gone at the end of the test
			t.Log(w.Try("logs", "-n", w.ns, "-l", w.selector(p), "--all-containers", "--prefix", "--tail=20"))
		}
		for pod, ip := range w.pods(t, p) {
			if n := w.served(t, ip) - before[pod]; n == 0 {
				t.Errorf("pod %s served nothing", pod)
			}
		}
	}
}

// tokens holds calls to the budget: what is over it was in flight when it was
// spent.
func tokens(t *testing.T, calls []call) {
	t.Helper()
	spent, cost := 0, 0
	for _, c := range passed(t, calls) {
		spent += c.tokens
		if cost == 0 {
			cost = c.tokens
		}
		if c.tokens != cost || cost == 0 {
			t.Errorf("a call costs %d tokens, another %d", c.tokens, cost)
		}
	}
	if spent < budget || spent > budget+clients*cost {
		t.Errorf("%d tokens passed; the budget is %d, a call costs %d, at most %d are in flight", spent, budget, cost, clients)
	}
	t.Logf("%d calls, %d tokens at %d", len(calls), spent, cost)
}

// passed are the calls that passed. What is not 200 must be 429, and nothing
// that began after a 429 passes.
func passed(t *testing.T, calls []call) (ok []call) {
	t.Helper()
	var over time.Time
	for _, c := range calls {
		switch {
		case c.err != nil || c.status != 200 && c.status != 429:
			t.Errorf("%d %s: %v", c.status, c.body, c.err)
		case c.status == 200:
			ok = append(ok, c)
		case over.IsZero() || c.ended.Before(over):
			over = c.ended
		}
	}
	for _, c := range ok {
		if !over.IsZero() && c.begun.After(over) {
			t.Errorf("a call passed %s after one was refused", c.begun.Sub(over))
		}
	}
	return ok
}

// ledger compares what the database has of a team with what its answers said.
func (w *scene) ledger(t *testing.T) {
	sum := func() string {
		return w.sql(t, "select coalesce(sum(total), 0) || ' ' || count(*) from ledger where route like '%/tokens%' and status = 200")
	}
	before, n := 0, 0
	w.Eventually(t, soon, "the ledger rests", func() error {
		last := before
		if _, err := fmt.Sscan(sum(), &before, &n); err != nil || last != before {
			return fmt.Errorf("%d tokens, %w", before, err)
		}
		return nil
	})
	spent, count := 0, 0
	for _, c := range passed(t, w.spend(w.team(), w.url["native"], w.url["envoy"])) {
		spent, count = spent+c.tokens, count+1
	}
	want := strconv.Itoa(before+spent) + " " + strconv.Itoa(n+count)
	w.Eventually(t, soon, "what was spent is in the ledger", func() error { return is(sum(), want) })
}

func (w *scene) sql(t *testing.T, query string) string {
	t.Helper()
	return strings.TrimSpace(w.Kubectl(t, "exec", "-n", w.ns, "deployment/postgres", "--", "sh", "-c",
		"PGPASSWORD=egret /usr/lib/postgresql/15/bin/psql -h 127.0.0.1 -U egret egret -Atc \"$0\"", query))
}
