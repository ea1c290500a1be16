package xds_test

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"github.com/egret-gateway/egret/xds"
)

func TestDelta(t *testing.T) {
	t.Run("names: what exists, what does not, what appears and goes", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := open(t, xds.Options{})
			w.server.Put(node, set("1", "Route r1=a", "Route r2=a"))
			p := w.peer(true)
			p.must(p.Subscribe(routes, "r1", "r3"))
			p.take("Route +r1 -r3")
			w.server.Put(node, set("2", "Route r1=a", "Route r2=b", "Route r3=a"))
			p.take("Route +r3")
			w.server.Put(node, set("3", "Route r2=b", "Route r3=a"))
			p.take("Route -r1")
			p.must(p.Unsubscribe(routes, "r3"))
			synctest.Wait()
			w.server.Put(node, set("4", "Route r1=c", "Route r2=b", "Route r3=c"))
			p.take("Route +r1")
			p.must(p.Subscribe(routes, "r1")) // again: answered again
			p.take("Route +r1")
			p.must(p.Subscribe(routes, "*"))
			p.take("Route +r2 +r3")
			w.silent(6)
		})
	})
	t.Run("gateway-100 B-29 one that comes back gets what differs, whatever it had", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := open(t, xds.Options{})
			w.server.Put(node, set("1", "Policy p1=a", "Policy p2=a", "Route r1=a", "Port 80=a"))
			p := w.peer(true, types...)
			p.take("Policy +p1 +p2", "Route +r1", "Port +80")

			w.grpc.Stop()
			w.server = xds.NewServer(xds.Options{Authenticate: func(context.Context) (xds.Peer, error) {
				return xds.Peer{Nodes: func(string) bool { return true }}, nil
			}})
			w.start()
			w.server.Put(node, set("1", "Policy p1=a", "Policy p3=a", "Route r1=b", "Port 80=a"))
			p.must(p.Open(t.Context(), w.conn()))
			p.take("Policy +p3")
			// The empty answer says that the peer is up to date.
			answers := []string{"Port", "Route +r1"}
			for range 2 {
				r, err := p.Recv()
				p.must(err)
				if !slices.Contains(answers, show(r)) {
					t.Errorf("got %q", show(r))
				}
				p.must(p.Ack(r))
			}
			p.take("Policy -p2")
			w.silent(4)
			if got := p.Have(routes)["r1"]; !cmp.Equal(got, resources("Route r1=b")[0]) {
				t.Errorf("route: %v", got)
			}
		})
	})
	t.Run("endpoints follow a cluster that changed", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := open(t, xds.Options{})
			put := func(lines ...string) {
				w.server.Put(node, xds.NewSet([]string{xds.TypeCluster, xds.TypeEndpoints}, resources(lines...)))
			}
			put("Cluster a=1", "Cluster b=1", "ClusterLoadAssignment a=1", "ClusterLoadAssignment b=1")
			p := w.peer(true, xds.TypeCluster)
			p.take("Cluster +a +b")
			p.must(p.Subscribe(xds.TypeEndpoints, "a", "b"))
			p.take("ClusterLoadAssignment +a +b")
			put("Cluster a=2", "Cluster b=1", "ClusterLoadAssignment a=1", "ClusterLoadAssignment b=1")
			p.take("Cluster +a", "ClusterLoadAssignment +a")
			w.silent(4)
		})
	})
}

func TestWorld(t *testing.T) {
	envoy := []string{xds.TypeCluster, xds.TypeEndpoints}
	put := func(w *world, lines ...string) { w.server.Put(node, xds.NewSet(envoy, resources(lines...))) }
	t.Run("gateway-98 everything for clusters, names for endpoints, nothing twice", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := open(t, xds.Options{})
			put(w, "Cluster a=1", "ClusterLoadAssignment a=1", "ClusterLoadAssignment b=1")
			p := w.peer(false, xds.TypeCluster)
			p.take("Cluster +a")
			p.must(p.Subscribe(xds.TypeEndpoints, "none"))
			w.silent(1) // what does not exist is passed over in silence
			p.must(p.Subscribe(xds.TypeEndpoints, "a"))
			p.take("ClusterLoadAssignment +a")
			p.must(p.Subscribe(xds.TypeEndpoints, "b"))
			p.take("ClusterLoadAssignment +a +b")
			w.silent(3)
			put(w, "Cluster a=1", "ClusterLoadAssignment a=1", "ClusterLoadAssignment b=2", "ClusterLoadAssignment c=1")
			p.take("ClusterLoadAssignment +a +b")
			w.silent(4)
		})
	})
	t.Run("what goes is left until what comes was accepted", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := open(t, xds.Options{})
			put(w, "Cluster a=1")
			p := w.peer(false, xds.TypeCluster)
			p.take("Cluster +a")
			put(w, "Cluster b=1")
			p.take("Cluster +b +a", "Cluster +b")
			w.silent(3)
		})
	})
	t.Run("a refused response is not sent again, a stale answer is passed over", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := open(t, xds.Options{})
			put(w, "Cluster a=1")
			p := w.peer(false, xds.TypeCluster)
			first := p.next("Cluster +a")
			p.must(p.Nack(first, "bad"))
			w.silent(1)
			put(w, "Cluster a=2")
			second := p.next("Cluster +a")
			p.must(p.Ack(first)) // as if it had crossed
			synctest.Wait()
			if w.server.Streams(node)[0].Types[0].Nack == nil {
				t.Error("a stale answer was taken")
			}
			p.must(p.Ack(second))
			w.silent(2)
			if got := w.server.Streams(node)[0].Types[0]; got.Nack != nil {
				t.Errorf("refusal stands: %+v", got)
			}
		})
	})
	t.Run("gateway-100 B-29 versions are of the content, over restarts", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := open(t, xds.Options{})
			put(w, "Cluster a=1")
			p := w.peer(false, xds.TypeCluster)
			p.take("Cluster +a")
			p.must(p.Open(t.Context(), w.conn()))
			w.silent(1) // it has it already
			put(w, "Cluster a=2")
			p.must(p.Open(t.Context(), w.conn()))
			p.take("Cluster +a")
		})
	})
}
