package xds_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/egret-gateway/egret/xds"
	"github.com/egret-gateway/egret/xds/xdstest"
)

const (
	policies = "egret.dev/test.Policy"
	routes   = "egret.dev/test.Route"
	ports    = "egret.dev/test.Port"
	node     = "gw"
)

var types = []string{policies, routes, ports}

// world is a server with a listener in memory.
type world struct {
	t        *testing.T
	server   *xds.Server
	listener *bufconn.Listener
	grpc     *grpc.Server
}

// open gives the peers of a test a server; everything ends with the test.
func open(t *testing.T, o xds.Options) *world {
	t.Helper()
	if o.Authenticate == nil {
		o.Authenticate = func(ctx context.Context) (xds.Peer, error) {
			md, _ := metadata.FromIncomingContext(ctx)
			return xds.Peer{Nodes: func(string) bool { return true }, Host: strings.Join(md.Get("x-host"), "")}, nil
		}
	}
	w := &world{t: t, server: xds.NewServer(o)}
	w.start()
	t.Cleanup(func() { w.grpc.Stop() })
	return w
}

func (w *world) start() {
	w.listener = bufconn.Listen(1 << 20)
	w.grpc = grpc.NewServer(xds.ServerOptions()...)
	w.server.Register(w.grpc)
	g, l := w.grpc, w.listener
	go func() { _ = g.Serve(l) }()
}

func (w *world) dial(ctx context.Context, _ string) (net.Conn, error) {
	return w.listener.DialContext(ctx)
}

func (w *world) conn() *grpc.ClientConn {
	w.t.Helper()
	c, err := grpc.NewClient("passthrough:///memory", grpc.WithContextDialer(w.dial), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = c.Close() })
	return c
}

// peer opens a stream and subscribes to all of the types.
func (w *world) peer(delta bool, types ...string) *peer {
	w.t.Helper()
	return w.peerIn(w.t.Context(), "", delta, types...)
}

// peerIn is peer of a host, until ctx ends.
func (w *world) peerIn(ctx context.Context, host string, delta bool, types ...string) *peer {
	w.t.Helper()
	p := &peer{Peer: &xdstest.Peer{Node: node, Agent: "tester", Delta: delta}, t: w.t}
	ctx, stop := context.WithTimeout(metadata.AppendToOutgoingContext(ctx, "x-host", host), time.Hour) // of the test's clock: what does not come fails
	w.t.Cleanup(stop)
	p.must(p.Open(ctx, w.conn()))
	for _, t := range types {
		if err := p.Subscribe(t); !errors.Is(err, io.EOF) { // the end of the stream may be faster: Recv tells
			p.must(err)
		}
	}
	synctest.Wait()
	return p
}

type peer struct {
	*xdstest.Peer
	t *testing.T
}

func (p *peer) must(err error) {
	p.t.Helper()
	if err != nil {
		p.t.Fatal(err)
	}
}

// next receives a response and checks what is in it: "type +name -name".
func (p *peer) next(want string) xdstest.Response {
	p.t.Helper()
	r, err := p.Recv()
	p.must(err)
	if got := show(r); got != want {
		p.t.Fatalf("got %q, want %q", got, want)
	}
	return r
}

// take is next with an acknowledgement.
func (p *peer) take(want ...string) {
	p.t.Helper()
	for _, w := range want {
		p.must(p.Ack(p.next(w)))
	}
}

// silent checks that nothing was sent that was not received.
func (w *world) silent(pushes uint64) {
	w.t.Helper()
	synctest.Wait()
	var n uint64
	for _, c := range w.server.Counts() {
		n += c.Pushes
	}
	if n != pushes {
		w.t.Fatalf("%d responses were sent, want %d", n, pushes)
	}
}

func show(r xdstest.Response) string {
	out := r.Type[strings.LastIndexByte(r.Type, '.')+1:]
	for _, n := range r.Names() {
		out += " +" + n
	}
	for _, n := range r.Removed {
		out += " -" + n
	}
	return out
}

// resources makes resources of "Type name=value" lines, with the name in field
// 1 as Envoy's have it.
func resources(lines ...string) (out []xds.Resource) {
	for _, l := range lines {
		typ, rest, _ := strings.Cut(l, " ")
		name, value, _ := strings.Cut(rest, "=")
		switch typ {
		case "Policy", "Route", "Port":
			typ = "egret.dev/test." + typ
		case "Cluster":
			typ = xds.TypeCluster
		case "Secret":
			typ = xds.TypeSecret
		case "ClusterLoadAssignment":
			typ = xds.TypeEndpoints
		}
		b := protowire.AppendString(protowire.AppendTag(nil, 1, protowire.BytesType), name)
		b = protowire.AppendString(protowire.AppendTag(b, 2, protowire.BytesType), value)
		out = append(out, xds.NewResource(typ, name, b))
	}
	return out
}

func set(id string, lines ...string) *xds.Set {
	s := xds.NewSet(types, resources(lines...))
	s.ID = id
	return s
}

func TestOrder(t *testing.T) {
	t.Run("each type waits for the one before, removals come last and in reverse", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := open(t, xds.Options{})
			w.server.Put(node, set("1", "Policy p1=a", "Route r1=a", "Port 80=a"))
			p := w.peer(true, types...)
			first := p.next("Policy +p1")
			w.silent(1)
			p.must(p.Ack(first))
			p.take("Route +r1", "Port +80")

			w.server.Put(node, set("2", "Policy p2=a", "Route r2=a", "Port 80=b"))
			p.take("Policy +p2", "Route +r2", "Port +80", "Route -r1", "Policy -p1")
			w.silent(8)
			if got := w.server.Streams(node)[0].Types; len(got) != 3 || got[0].Acked != "2" || got[1].Acked != "2" || got[2].Acked != "2" {
				t.Errorf("acknowledged: %+v", got)
			}
		})
	})
	t.Run("a refused type does not hold the others, and is named", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := open(t, xds.Options{})
			w.server.Put(node, set("1", "Policy p1=bad", "Route r1=a", "Port 80=a"))
			p := w.peer(true, types...)
			p.must(p.Nack(p.next("Policy +p1"), strings.Repeat("no", 4000)))
			p.take("Route +r1", "Port +80")
			w.silent(3)
			st := w.server.Streams(node)[0]
			nack := st.Types[0].Nack
			if st.Agent != "tester" || nack == nil || nack.Set != "1" || len(nack.Message) != 4096 || st.Types[0].Acked != "" || st.Types[2].Acked != "1" {
				t.Fatalf("stream: %+v", st)
			}
			if c := w.server.Counts()[policies]; c.Nacks != 1 || c.Streams != 1 {
				t.Errorf("counts: %+v", c)
			}
			w.server.Put(node, set("2", "Policy p1=good", "Route r1=a", "Port 80=a"))
			p.take("Policy +p1")
			w.silent(4)
			if sub := w.server.Streams(node)[0].Types[0]; sub.Nack != nil || sub.Acked != "2" {
				t.Errorf("after an accepted one: %+v", sub)
			}
		})
	})
	t.Run("a refusal stands until what was refused is accepted", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := open(t, xds.Options{})
			refused := func() bool { synctest.Wait(); return w.server.Streams(node)[0].Types[0].Nack != nil }
			w.server.Put(node, set("1", "Policy a=bad", "Policy b=1"))
			p := w.peer(true, types...)
			p.must(p.Nack(p.next("Policy +a +b"), "a is bad"))
			p.take("Route", "Port")
			w.server.Put(node, set("2", "Policy a=bad", "Policy b=1", "Policy c=1"))
			p.take("Policy +c")
			if !refused() {
				t.Error("another resource was accepted, and a counts as accepted too")
			}
			w.server.Put(node, set("3", "Policy a=good", "Policy b=1", "Policy c=1"))
			p.take("Policy +a")
			p.take("Policy +b") // may have been refused with it
			if refused() {
				t.Error("all was accepted, and the refusal stands")
			}
		})
	})
	t.Run("a peer that never answers gets the rest after the patience", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := open(t, xds.Options{})
			w.server.Put(node, set("1", "Policy p1=a", "Route r1=a"))
			began := time.Now()
			p := w.peer(true, types...)
			p.next("Policy +p1")
			p.next("Route +r1")
			if waited := time.Since(began); waited != 5*time.Second {
				t.Errorf("waited %s", waited)
			}
		})
	})
	t.Run("gateway-102 clusters are accepted when they are warm, so what they need does not wait", func(t *testing.T) {
		f := func(delta bool) {
			synctest.Test(t, func(t *testing.T) {
				w := open(t, xds.Options{})
				put := func(lines ...string) {
					w.server.Put(node, xds.NewSet([]string{xds.TypeSecret, xds.TypeCluster, xds.TypeEndpoints, routes}, resources(lines...)))
				}
				put("Cluster a=1", "ClusterLoadAssignment a=1", "Route r=a")
				p := w.peer(delta, xds.TypeCluster)
				p.take("Cluster +a")
				p.must(p.Subscribe(xds.TypeEndpoints, "a"))
				p.take("ClusterLoadAssignment +a")
				p.must(p.Subscribe(routes))
				p.take("Route +r")

				began := time.Now()
				put("Secret s=1", "Cluster a=1", "Cluster b=1", "ClusterLoadAssignment a=1", "ClusterLoadAssignment b=1", "Route r=b")
				clusters := p.next(map[bool]string{true: "Cluster +b", false: "Cluster +a +b"}[delta])
				p.must(p.Subscribe(xds.TypeEndpoints, "b"))
				endpoints := p.next(map[bool]string{true: "ClusterLoadAssignment +b", false: "ClusterLoadAssignment +a +b"}[delta])
				p.must(p.Subscribe(xds.TypeSecret, "s"))
				p.take("Secret +s")
				p.must(p.Ack(endpoints))
				w.silent(6) // no routes to what was not accepted
				p.must(p.Ack(clusters))
				p.take("Route +r")
				if waited := time.Since(began); waited != 0 {
					t.Errorf("the routes waited %s", waited)
				}
			})
		}
		f(true)
		f(false)
	})
	t.Run("what was not sent yet of an older Set is passed over", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := open(t, xds.Options{})
			w.server.Put(node, set("1", "Policy p1=a", "Route r1=a"))
			p := w.peer(true, types...)
			r := p.next("Policy +p1")
			w.server.Put(node, set("2", "Policy p1=a", "Route r2=a"))
			w.server.Put(node, set("3", "Policy p1=a", "Route r3=a"))
			p.must(p.Ack(r))
			p.take("Route +r3", "Port")
			w.silent(3)
		})
	})
	t.Run("large groups go in pieces", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := open(t, xds.Options{})
			big := strings.Repeat("x", 600<<10)
			w.server.Put(node, set("1", "Policy p1="+big, "Policy p2="+big, "Policy p3="+big, "Route r1=a"))
			p := w.peer(true, types...)
			p.take("Policy +p1", "Policy +p2", "Policy +p3", "Route +r1", "Port")
		})
	})
}

func TestSettled(t *testing.T) {
	t.Run("gateway-33 B-15 nothing is sent while nothing changes, also for an equal Set", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			var told atomic.Int64
			w := open(t, xds.Options{Changed: func(string) { told.Add(1) }})
			w.server.Put(node, set("1", "Policy p1=a", "Route r1=a", "Port 80=a"))
			p := w.peer(true, types...)
			p.take("Policy +p1", "Route +r1", "Port +80")
			w.silent(3)
			before := told.Load()
			time.Sleep(60 * time.Second)
			w.silent(3)
			if n := told.Load(); n != before {
				t.Errorf("told %d times of nothing", n-before)
			}
			w.server.Put(node, set("2", "Policy p1=a", "Route r1=a", "Port 80=a"))
			w.silent(3)
			if got := w.server.Streams(node)[0].Types[0].Acked; got != "2" || told.Load() == before {
				t.Errorf("acknowledged %q, told %d times", got, told.Load()-before)
			}
		})
	})
}

func TestEnd(t *testing.T) {
	end := func(p *peer) error {
		for {
			if _, err := p.Recv(); err != nil {
				return err
			}
		}
	}
	t.Run("a forgotten node's streams end", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := open(t, xds.Options{})
			w.server.Put(node, set("1", "Policy p1=a"))
			p := w.peer(true, types...)
			w.server.Put(node, nil)
			if err := end(p); status.Code(err) != codes.Unavailable {
				t.Errorf("ended with %v", err)
			}
			synctest.Wait()
			if s := w.server.Streams(node); s != nil {
				t.Errorf("left: %+v", s)
			}
			early := w.peer(true, policies) // waits for a Set
			w.silent(1)
			w.server.Put(node, set("2", "Policy p1=a"))
			early.take("Policy +p1")
		})
	})
	t.Run("a server that does not lead refuses, and ends what it has", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			var leads atomic.Bool
			w := open(t, xds.Options{Serving: func() error {
				if leads.Load() {
					return nil
				}
				return errors.New("another replica leads")
			}})
			w.server.Put(node, set("1", "Policy p1=a"))
			for range 2 {
				p := w.peer(true, policies)
				if leads.Load() {
					p.take("Policy +p1")
					leads.Store(false)
				}
				if err := end(p); status.Code(err) != codes.Unavailable || status.Convert(err).Message() != "another replica leads" {
					t.Errorf("ended with %v", err)
				}
				leads.Store(true)
			}
		})
	})
	t.Run("a stream that says nothing ends", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := open(t, xds.Options{})
			if err := end(w.peer(true)); status.Code(err) != codes.DeadlineExceeded {
				t.Errorf("ended with %v", err)
			}
		})
	})
	t.Run("peers cannot ask for more than their share", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := open(t, xds.Options{})
			names := make([]string, 10_001)
			for i := range names {
				names[i] = fmt.Sprint("n", i)
			}
			p := w.peer(true)
			p.must(p.Subscribe(policies, names...))
			if err := end(p); status.Code(err) != codes.ResourceExhausted {
				t.Errorf("names: %v", err)
			}
			p = w.peer(true)
			p.must(p.Subscribe(policies, strings.Repeat("n", 2000)))
			if err := end(p); status.Code(err) != codes.InvalidArgument {
				t.Errorf("long name: %v", err)
			}
			for range 256 {
				w.peer(true, policies)
			}
			if err := end(w.peer(true, policies)); status.Code(err) != codes.ResourceExhausted {
				t.Errorf("streams: %v", err)
			}
		})
	})
}

func TestWho(t *testing.T) {
	authenticate := func(ctx context.Context) (xds.Peer, error) {
		md, _ := metadata.FromIncomingContext(ctx)
		if got := md.Get("authorization"); !slices.Equal(got, []string{"Bearer mine"}) {
			return xds.Peer{}, errors.New("no such token")
		}
		return xds.Peer{Nodes: func(n string) bool { return n == node }}, nil
	}
	f := func(token, who string, want codes.Code) {
		t.Helper()
		synctest.Test(t, func(t *testing.T) {
			w := open(t, xds.Options{Authenticate: authenticate})
			w.server.Put(node, set("1", "Policy p1=secret"))
			w.server.Put("other", set("1", "Policy p1=secret"))
			p := &peer{Peer: &xdstest.Peer{Node: who, Delta: true}, t: t}
			ctx := metadata.AppendToOutgoingContext(t.Context(), "authorization", token)
			p.must(p.Open(ctx, w.conn()))
			_ = p.Subscribe(policies) // the end of the stream may be faster
			_, err := p.Recv()
			if status.Code(err) != want {
				t.Errorf("token %q, node %q: %v, want %v", token, who, err, want)
			}
			if _, bytes := p.Received(); want != codes.OK && bytes != 0 {
				t.Errorf("%d bytes were sent", bytes)
			}
		})
	}
	t.Run("gateway-101 B-30 own node, another's, no good token", func(*testing.T) {
		f("Bearer mine", node, codes.OK)
		f("Bearer mine", "other", codes.PermissionDenied)
		f("Bearer mine", "", codes.PermissionDenied)
		f("Bearer wrong", node, codes.Unauthenticated)
		f("", node, codes.Unauthenticated)
	})
	t.Run("gateway-101 B-30 a server that cannot authenticate refuses everybody", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := &world{t: t, server: xds.NewServer(xds.Options{})}
			w.start()
			t.Cleanup(func() { w.grpc.Stop() })
			p := &peer{Peer: &xdstest.Peer{Node: node, Delta: true}, t: t}
			p.must(p.Open(t.Context(), w.conn()))
			if _, err := p.Recv(); status.Code(err) != codes.Unauthenticated {
				t.Error(err)
			}
		})
	})
}

// TestChanged: news are told to one at a time, and none is lost.
func TestChanged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var w *world
		inside, seen := 0, 0
		ready := make(chan struct{})
		w = open(t, xds.Options{Changed: func(n string) {
			<-ready
			mu.Lock()
			inside++
			if inside > 1 {
				t.Error("told twice at a time")
			}
			mu.Unlock()
			seen = len(w.server.Streams(n)) // no lock is held
			mu.Lock()
			inside--
			mu.Unlock()
		}})
		close(ready)
		for range 20 {
			w.peer(true, policies)
		}
		synctest.Wait()
		if seen != 20 {
			t.Errorf("saw %d streams at last", seen)
		}
	})
}
