//go:build cluster

package fault

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/egret-gateway/egret/lab/cluster"
	"github.com/egret-gateway/egret/lab/stage"
)

// TestKilled kills what each row names, under load, and holds what clients see
// to the row.
func TestKilled(t *testing.T) {
	c := cluster.Open(t)
	if !c.Own() {
		t.Fatal("this test ends processes of the cluster; it runs in the test cluster only")
	}
	s := prepare(t, c)
	for _, r := range rows {
		t.Run(r.killed, func(t *testing.T) { s.hold(t, r) })
	}
}

// hold is one row: load, kill, recovery, accounts.
func (s *scene) hold(t *testing.T, r row) {
	s.scale(t, max(r.pods, 1))
	caller, gone, late := s.person(t), s.person(t), s.person(t)
	gone.revoke(t, 0)
	loads := s.begin(t, caller, gone)
	time.Sleep(calm) // what is held against the row has something before it
	for _, l := range loads {
		l.unharmed(t, "before the kill", time.Time{}, time.Now())
	}
	killed := time.Now()
	s.kill(t, r.target)
	dead := time.Now()
	late.revoke(t, recovery)
	back := s.recovered(t, loads, killed)
	for _, l := range loads {
		l.Stop()
		l.check(t, r, killed)
	}
	s.refused(t)
	t.Logf("right again after %s; %s", back.Sub(killed).Round(100*time.Millisecond), summary(loads, killed))
	s.account(t, r, caller, loads[0].SoFar(), killed, dead)
	s.person(t).revoke(t, 0)
}

// calm is how long everything has to go well before something is killed, and
// afterwards.
const calm = 2 * time.Second

// stream is of two seconds.
const stream = `{"model": "gpt-4-external", "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 100, "stream": true, "stream_options": {"include_usage": true}}`

// load is a stage.Load with what is right for it.
type load struct {
	*stage.Load
	name  string
	right []string                 // outcomes
	also  func(row, bool) []string // of a row, of streams
}

func (s *scene) begin(t *testing.T, caller, gone *person) []*load {
	calls := func(r row, stream bool) []string {
		if stream {
			return r.streams
		}
		return r.calls
	}
	strangers := func(r row, _ bool) []string { return slices.Concat(r.strangers, r.calls) }
	api := func(r row, _ bool) []string { return r.api }
	return []*load{
		{s.Load(t, stage.Steady{Token: caller.token, Rate: 100, Streams: 20, Stream: stream}), "calls", []string{"200"}, calls},
		{s.Load(t, stage.Steady{Token: gone.token, Rate: 5}), "calls with a revoked token", []string{"401"}, strangers},
		{s.Load(t, stage.Steady{Token: caller.login, Rate: 2, Method: http.MethodGet, URL: s.URL("/v1/models")}), "model lists", []string{"200"}, api},
		{s.Load(t, stage.Steady{Token: caller.login, Rate: 2, Method: http.MethodGet, URL: s.URL("/maas-api/v1/api-keys")}), "key lists", []string{"200"}, api},
		{s.Load(t, stage.Steady{Token: caller.login, Rate: 2, URL: s.URL("/maas-api/v1/tokens"), Body: `{"expiration": "10m"}`}), "mints", []string{"201"}, api},
	}
}

// unharmed fails the test if anything but what is right came of a call that
// ended within a time.
func (l *load) unharmed(t *testing.T, when string, from, to time.Time) {
	t.Helper()
	n := 0
	for _, c := range l.SoFar() {
		if end := c.Begun.Add(c.Took); end.Before(from) || end.After(to) {
			continue
		}
		if n++; !l.good(c) {
			t.Errorf("%s %s: %v", l.name, when, c)
		}
	}
	if n == 0 {
		t.Errorf("%s %s: none", l.name, when)
	}
}

func (l *load) good(c stage.Call) bool { return slices.Contains(l.right, outcome(c.Status, c.Err)) }

// check holds every call since the kill to the row.
func (l *load) check(t *testing.T, r row, killed time.Time) {
	t.Helper()
	wrong := map[string]int{}
	for _, c := range l.SoFar() {
		if c.Begun.Add(c.Took).Before(killed) {
			continue
		}
		took := c.Took
		if c.Stream && c.Status != 0 {
			took = c.First
		}
		if o := outcome(c.Status, c.Err); !l.good(c) && !slices.Contains(l.also(r, c.Stream), o) {
			if wrong[o]++; wrong[o] <= 3 {
				t.Errorf("%s: %v, which the row does not allow", l.name, c)
			}
		} else if took > longest {
			if wrong["late"]++; wrong["late"] <= 3 {
				t.Errorf("%s: %v, more than %s", l.name, c, longest)
			}
		}
	}
	if len(wrong) > 0 {
		t.Errorf("%s, in all: %v", l.name, wrong)
	}
}

// recovered waits until everything is as before and has been for a while. It
// returns when that began, which is no later than the row allows.
func (s *scene) recovered(t *testing.T, loads []*load, killed time.Time) time.Time {
	t.Helper()
	ready, back := time.Time{}, killed
	s.Eventually(t, recovery+calm+5*time.Second, "everything is as before", func() error {
		if err := s.ready(t); err != nil {
			ready = time.Time{}
			return err
		}
		ready = cmp.Or(ready, time.Now())
		last, which := killed, ""
		for _, l := range loads {
			for _, c := range l.SoFar() {
				if end := c.Begun.Add(c.Took); !l.good(c) && end.After(last) {
					last, which = end, fmt.Sprintf("%s: %v", l.name, c)
				}
			}
		}
		if quiet := min(time.Since(last), time.Since(ready)); quiet < calm {
			return fmt.Errorf("for %s only; the last was %s", quiet, which)
		}
		back = last
		return nil
	})
	if back.Sub(killed) > recovery {
		t.Errorf("the last error came %s after the kill", back.Sub(killed))
	}
	return back
}

// summary counts what came of the calls since the kill.
func summary(loads []*load, killed time.Time) string {
	var b []byte
	for _, l := range loads {
		for _, stream := range []bool{false, true} {
			n, slowest := map[string]int{}, time.Duration(0)
			for _, c := range l.SoFar() {
				if c.Stream == stream && c.Begun.Add(c.Took).After(killed) {
					n[outcome(c.Status, c.Err)]++
					slowest = max(slowest, c.Took)
					if stream {
						slowest = max(slowest, c.First)
					}
				}
			}
			if len(n) > 0 {
				b = fmt.Appendf(b, "\n%s (streams: %v): %v, slowest %s", l.name, stream, n, slowest.Round(time.Millisecond))
			}
		}
	}
	return string(b)
}

// outcome names what came of a call.
func outcome(status int, err error) string {
	switch {
	case status == 0:
		return none
	case err != nil:
		return cut
	}
	return strconv.Itoa(status)
}
