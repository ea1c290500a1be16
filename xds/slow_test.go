package xds_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"github.com/egret-gateway/egret/xds"
	"github.com/egret-gateway/egret/xds/xdstest"
)

func TestThereAndBack(t *testing.T) {
	for _, delta := range []bool{true, false} {
		t.Run(fmt.Sprintf("what goes back to what it was before the peer answered is sent back, delta %v", delta), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := open(t, xds.Options{})
				w.server.Put(node, set("1", "Policy p1=a", "Route r1=a"))
				p := w.peer(delta, policies, routes)
				p.take("Policy +p1", "Route +r1")
				w.server.Put(node, set("2", "Policy p1=b", "Route r1=b"))
				p.take("Policy +p1")
				last := p.next("Route +r1")
				w.server.Put(node, set("1", "Policy p1=a", "Route r1=a"))
				p.must(p.Ack(last))
				p.take("Policy +p1", "Route +r1")
				synctest.Wait()
				for _, sub := range w.server.Streams(node)[0].Types {
					if sub.Acked != "1" {
						t.Errorf("acknowledged: %+v", sub)
					}
				}
			})
		})
	}
}

// TestSlow changes a Set at random, also back to what it was, while a peer takes
// its time to answer, and holds what the peer has in the end, and is said to have, against the Set.
func TestSlow(t *testing.T) {
	for _, delta := range []bool{true, false} {
		for seed := range uint64(150) {
			t.Run(fmt.Sprintf("delta %v, seed %d", delta, seed), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { slowly(t, delta, rand.New(rand.NewPCG(seed, 0))) })
			})
		}
	}
}

func slowly(t *testing.T, delta bool, dice *rand.Rand) {
	w := open(t, xds.Options{})
	var want []string
	put := func() {
		want = nil
		for _, typ := range []string{"Policy", "Route", "Port"} {
			for _, name := range []string{"a", "b"} {
				if n := dice.IntN(3); n > 0 { // 0: it is not there
					want = append(want, fmt.Sprintf("%s %s=%d", typ, name, n))
				}
			}
		}
		w.server.Put(node, set(fmt.Sprint(want), want...))
	}
	put()
	p := w.peer(delta, types...)
	came := make(chan xdstest.Response, 1<<10)
	go func() {
		for {
			r, err := p.Recv()
			if err != nil {
				return
			}
			came <- r
		}
	}()
	answer := func() bool {
		synctest.Wait()
		if len(came) == 0 {
			return false
		}
		p.must(p.Ack(<-came))
		return true
	}
	for range 60 {
		if dice.IntN(3) == 0 {
			put()
		} else {
			answer()
		}
	}
	for answer() {
	}
	have := map[string]string{}
	for _, typ := range types {
		for name, r := range p.Have(typ) {
			have[typ+" "+name] = string(r.Value)
		}
	}
	wanted := map[string]string{}
	for _, r := range resources(want...) {
		wanted[r.Type+" "+r.Name] = string(r.Value)
	}
	if diff := cmp.Diff(wanted, have); diff != "" {
		t.Errorf("-wanted +had\n%s", diff)
	}
	for _, sub := range w.server.Streams(node)[0].Types {
		if sub.Acked != fmt.Sprint(want) {
			t.Errorf("%s: acknowledged up to %q of %q", sub.Type, sub.Acked, want)
		}
	}
}
