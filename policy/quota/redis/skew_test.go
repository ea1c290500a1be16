//go:build services

package redis

import (
	"testing"
	"time"

	"github.com/egret-gateway/egret/lab/service"
	"github.com/egret-gateway/egret/policy/quota"
)

// TestSkew: windows are by the server's clock, so that pods whose clocks differ
// share them. A pod's own clock only says how old a charge is that waits in it.
func TestSkew(t *testing.T) {
	t.Run("replicas whose clocks differ by hours share one window", func(t *testing.T) {
		s := service.Redis(t)
		at := func(d time.Duration) *Limiter {
			return replica(t, s.URL, Options{Now: func() time.Time { return time.Now().Add(d) }})
		}
		early, late := at(-5*time.Hour), at(5*time.Hour)
		settled(t, early, allowed(t, early, tokens("k", 100)).Ticket, 60)
		settled(t, late, allowed(t, late, tokens("k", 100)).Ticket, 50)
		for _, l := range []*Limiter{early, late} {
			v, err := l.Reserve(t.Context(), []quota.Bucket{tokens("k", 100)})
			if err != nil || v.Allowed {
				t.Errorf("%+v, error %v: 110 of 100 are spent", v, err)
			}
		}
		s.Kill()
		for _, l := range []*Limiter{early, late} {
			lose(t, l)
			settled(t, l, quota.Ticket{Buckets: []quota.Bucket{tokens("n", 100)}}, 5)
			if l.Kept() == 0 {
				t.Error("a charge was not kept")
			}
		}
		s.Start()
		for _, l := range []*Limiter{early, late} {
			l.turn(t.Context())
			if l.Kept() != 0 || l.Lost() != 0 {
				t.Errorf("%d kept, %d lost", l.Kept(), l.Lost())
			}
		}
		if n := used(t, early, "n"); n != 10 {
			t.Errorf("%d are counted of 10 that were charged while the counters were away", n)
		}
	})
}
