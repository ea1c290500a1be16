//go:build cluster

package share

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// patience is how long a call may take while the counters are away.
const patience = time.Second

// restart ends the process of the counters, which have a disk, and the pods of
// a gateway, which do not count.
func (w *scene) restart(t *testing.T) {
	team := w.team()
	passed(t, w.spend(team, w.url["native"], w.url["envoy"]))
	pod := w.valkey(t)
	w.KillContainer(t, w.ns, pod, "")
	w.Kubectl(t, "wait", "-n", w.ns, "pod/"+pod, "--for=condition=Ready", "--timeout=30s")
	for pod := range w.pods(t, "native") {
		w.KillContainer(t, w.ns, pod, "proxy")
		break
	}
	w.Rolled(t, w.ns, w.deployment(t, "native"))
	for _, p := range planes {
		w.Eventually(t, 10*time.Second, "the budget is known to be spent on plane "+p, func() error {
			return w.want(429, w.url[p], team)
		})
	}
}

// silence stops the counters: they take connections and answer nothing.
func (w *scene) silence(t *testing.T) {
	pod := w.valkey(t)
	w.Signal(t, w.ns, pod, "", "SIGSTOP")
	defer w.Signal(t, w.ns, pod, "", "SIGCONT")
	w.lost(t)
}

// away takes the counters from their Service, and gives new ones.
func (w *scene) away(t *testing.T) {
	w.Kubectl(t, "scale", "deployment/valkey", "-n", w.ns, "--replicas=0")
	w.Kubectl(t, "wait", "-n", w.ns, "pods", "-l", "app=valkey", "--for=delete", "--timeout=60s")
	team := w.lost(t)
	w.Kubectl(t, "scale", "deployment/valkey", "-n", w.ns, "--replicas=1")
	w.Rolled(t, w.ns, "valkey")
	for _, p := range planes {
		w.Eventually(t, 15*time.Second, "what was spent meanwhile is counted, and plane "+p+" knows", func() error {
			return w.want(429, w.url[p], team)
		})
		w.Eventually(t, 15*time.Second, "a limit that fails closed lets pass on plane "+p, func() error {
			return w.want(200, w.url[p]+"/strict", w.team())
		})
	}
	w.reached(t)
	t.Run("and is exact again", func(t *testing.T) { tokens(t, w.spend(w.team(), w.url["native"], w.url["envoy"])) })
}

// lost is what holds while the counters are away. It returns a team that has
// spent more than its budget.
func (w *scene) lost(t *testing.T) (team string) {
	t.Helper()
	team = w.team()
	for _, p := range planes {
		spent, slowest := 0, time.Duration(0)
		for spent <= budget {
			c := w.ask(w.url[p], team)
			if spent += c.tokens; c.err != nil || c.status != 200 || c.tokens == 0 {
				t.Fatalf("a limit that is open, plane %s: %d %s %v", p, c.status, c.body, c.err)
			}
			slowest = max(slowest, c.took())
		}
		for range 6 {
			c := w.ask(w.url[p]+"/strict", w.team())
			if c.err != nil || c.status != 503 || !strings.Contains(c.body, "the rate limiter is out of reach") {
				t.Fatalf("a limit that is closed, plane %s: %d %s %v", p, c.status, c.body, c.err)
			}
			slowest = max(slowest, c.took())
		}
		if slowest > patience {
			t.Errorf("plane %s: a call took %s", p, slowest)
		}
		t.Logf("plane %s: %d tokens passed, the slowest call took %s", p, spent, slowest.Round(time.Millisecond))
	}
	return team
}

func (w *scene) valkey(t *testing.T) string {
	t.Helper()
	return w.Kubectl(t, "get", "pods", "-n", w.ns, "-l", "app=valkey", "-o", "jsonpath={.items[0].metadata.name}")
}

// want asks once.
func (w *scene) want(status int, url, team string) error {
	if c := w.ask(url, team); c.err != nil || c.status != status {
		return fmt.Errorf("%d %s %w", c.status, c.body, c.err)
	}
	return nil
}
