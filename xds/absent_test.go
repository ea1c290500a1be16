package xds_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/egret-gateway/egret/xds"
	"github.com/egret-gateway/egret/xds/xdstest"
)

func TestAbsentType(t *testing.T) {
	only := func(id string, typ string, lines ...string) *xds.Set {
		s := xds.NewSet([]string{typ}, resources(lines...))
		s.ID = id
		return s
	}
	for _, delta := range []bool{true, false} {
		name := map[bool]string{true: "delta: ", false: "state of the world: "}[delta]
		t.Run(name+"what a peer has of a type that the next Set does not have stays", func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := open(t, xds.Options{})
				p := w.peer(delta, routes)
				w.server.Put(node, only("1", routes, "Route r=a"))
				p.take("Route +r")
				w.server.Put(node, only("2", policies, "Policy p=a"))
				w.silent(1)
				w.server.Put(node, only("3", routes, "Route r=a"))
				w.silent(1)
				w.server.Put(node, only("4", routes, "Route s=a"))
				want := []string{"Route +s", "Route -r"}
				if !delta {
					want = []string{"Route +s +r", "Route +s"}
				}
				p.take(want...)
			})
		})
		t.Run(name+"also when it comes back to a server that is another", func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := open(t, xds.Options{})
				p := w.peer(delta, routes)
				w.server.Put(node, only("1", routes, "Route r=a"))
				p.take("Route +r")
				after := open(t, xds.Options{})
				after.server.Put(node, only("2", policies, "Policy p=a"))
				p.must(p.Open(t.Context(), after.conn()))
				after.silent(0)
				after.server.Put(node, only("3", routes))
				p.take("Route") // the first answer
				if delta {
					p.take("Route -r")
				}
			})
		})
	}
	t.Run("a peer that has nothing hears that there is nothing", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := open(t, xds.Options{})
			w.server.Put(node, only("1", policies, "Policy p=a"))
			p := &peer{Peer: &xdstest.Peer{Node: node, Delta: true}, t: t}
			p.must(p.Open(t.Context(), w.conn()))
			p.must(p.Subscribe(routes))
			began := time.Now()
			p.take("Route")
			if waited := time.Since(began); waited != 0 {
				t.Errorf("after %s", waited)
			}
		})
	})
}
