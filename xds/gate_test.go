package xds_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/egret-gateway/egret/xds"
	"github.com/egret-gateway/egret/xds/xdstest"
)

func TestGate(t *testing.T) {
	gated := func(id string, lines ...string) *xds.Set {
		s := set(id, lines...)
		s.Gate = 1
		return s
	}
	t.Run("routes wait until every engine of the node knows the policy", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := open(t, xds.Options{})
			engine, other, router := w.peer(true, policies), w.peer(true, policies), w.peer(true, routes, ports)
			w.server.Put(node, gated("1", "Policy p1=a", "Route r1=a"))
			first, second := engine.next("Policy +p1"), other.next("Policy +p1")
			w.silent(2)
			engine.must(engine.Ack(first))
			w.silent(2)
			other.must(other.Ack(second))
			router.take("Route +r1", "Port")

			w.server.Put(node, gated("2", "Policy p1=a", "Route r2=a"))
			router.take("Route +r2", "Route -r1") // no policy changed: at once
			w.server.Put(node, gated("3", "Policy p2=a", "Route r2=a"))
			engine.take("Policy +p2", "Policy -p1") // removals too, or the parts never add up
			other.take("Policy +p2", "Policy -p1")
			w.silent(10)
		})
	})
	t.Run("a stuck engine holds the routes once, for the patience", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := open(t, xds.Options{})
			engine, stuck, router := w.peer(true, policies), w.peer(true, policies), w.peer(true, routes)
			w.server.Put(node, gated("1", "Policy p1=a", "Route r1=a"))
			began := time.Now()
			engine.take("Policy +p1")
			stuck.next("Policy +p1")
			router.take("Route +r1")
			if waited := time.Since(began); waited != 5*time.Second {
				t.Errorf("first waited %s", waited)
			}
			synctest.Wait()
			began = time.Now()
			w.server.Put(node, gated("2", "Policy p1=b", "Route r1=b"))
			engine.take("Policy +p1")
			router.take("Route +r1")
			if waited := time.Since(began); waited != 0 {
				t.Errorf("then waited %s", waited)
			}
		})
	})
	t.Run("an engine that refuses holds the routes for the patience, and not again", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := open(t, xds.Options{})
			engine, router := w.peer(true, policies), w.peer(true, routes)
			w.server.Put(node, gated("1", "Policy p1=bad", "Route r1=a"))
			began := time.Now()
			engine.must(engine.Nack(engine.next("Policy +p1"), "bad"))
			router.take("Route +r1")
			if waited := time.Since(began); waited != 5*time.Second {
				t.Errorf("waited %s", waited)
			}
			synctest.Wait()
			began = time.Now()
			w.server.Put(node, gated("2", "Policy p1=bad", "Route r1=b"))
			router.take("Route +r1")
			if waited := time.Since(began); waited != 0 {
				t.Errorf("then waited %s", waited)
			}
		})
	})
	t.Run("an engine that leaves is not waited for", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := open(t, xds.Options{})
			router := w.peer(true, routes)
			ctx, leave := context.WithCancel(t.Context())
			engine := &peer{Peer: &xdstest.Peer{Node: node, Delta: true}, t: t}
			engine.must(engine.Open(ctx, w.conn()))
			engine.must(engine.Subscribe(policies))
			synctest.Wait()
			w.server.Put(node, gated("1", "Policy p1=a", "Route r1=a"))
			engine.next("Policy +p1")
			began := time.Now()
			leave()
			router.take("Route +r1")
			if waited := time.Since(began); waited != 0 {
				t.Errorf("waited %s", waited)
			}
		})
	})
	t.Run("a router waits for the engine of its own host, as after a restart, but not for ever", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			// Of what is before the gate, a router hears some itself.
			gated := func(id string, lines ...string) *xds.Set {
				s := gated(id, lines...)
				s.Gate = 2
				return s
			}
			w := open(t, xds.Options{})
			w.server.Put(node, gated("1", "Policy p1=a", "Route r1=a", "Port 80=a"))
			w.peerIn(t.Context(), "a", true, policies).take("Policy +p1")
			w.peerIn(t.Context(), "a", true, routes, ports).take("Route +r1", "Port +80")
			router := w.peerIn(t.Context(), "b", true, routes, ports)
			router.take("Route +r1")
			w.silent(4)
			ctx, leave := context.WithCancel(t.Context())
			engine := w.peerIn(ctx, "b", true, policies)
			policy := engine.next("Policy +p1")
			w.silent(5)
			engine.must(engine.Ack(policy))
			router.take("Port +80")

			leave()
			synctest.Wait()
			began := time.Now()
			w.server.Put(node, gated("2", "Policy p1=a", "Route r1=a", "Port 80=b"))
			router.take("Port +80")
			if waited := time.Since(began); waited != 30*time.Second {
				t.Errorf("without its engine it waited %s", waited)
			}
		})
	})
	t.Run("Sets in a quick row do not hold the routes for ever", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := open(t, xds.Options{})
			stuck, router := w.peer(true, policies), w.peer(true, routes)
			began := time.Now()
			ctx, stop := context.WithCancel(t.Context())
			defer stop()
			go func() {
				for i := 0; ctx.Err() == nil; i++ {
					w.server.Put(node, gated(fmt.Sprint(i), fmt.Sprintf("Policy p1=%d", i), "Route r1=a"))
					select {
					case <-time.After(time.Second):
					case <-ctx.Done():
					}
				}
			}()
			_ = stuck
			router.take("Route +r1")
			if waited := time.Since(began); waited > 5*time.Second {
				t.Errorf("waited %s", waited)
			}
		})
	})
}
