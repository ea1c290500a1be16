package xds_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/egret-gateway/egret/xds"
	"github.com/egret-gateway/egret/xds/xdstest"
)

// plane is a client with what it was given, over connections that can be cut.
type plane struct {
	*xds.Client
	refuse func(xds.Change) error

	mu    sync.Mutex
	have  map[string]map[string]xds.Resource
	seen  []string // changes, as show prints them
	conns []net.Conn
}

func (w *world) plane() *plane {
	p := &plane{have: map[string]map[string]xds.Resource{}}
	p.Client = &xds.Client{
		Target: "memory:1", Node: node, Agent: "egret-test", Version: "v1", Types: types,
		Options: []grpc.DialOption{grpc.WithTransportCredentials(insecure.NewCredentials())},
		Dial: func(ctx context.Context, a string) (net.Conn, error) {
			c, err := w.dial(ctx, a)
			p.mu.Lock()
			defer p.mu.Unlock()
			if err == nil {
				p.conns = append(p.conns, c)
			}
			return c, err
		},
	}
	return p
}

// run runs the client until the test ends.
func (w *world) run(p *plane) {
	ctx, stop := context.WithCancel(w.t.Context())
	done := make(chan error)
	go func() { done <- p.Run(ctx, p.apply) }()
	w.t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			w.t.Error(err)
		}
	})
}

func (p *plane) apply(_ context.Context, c xds.Change) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.seen = append(p.seen, show(xdstest.Response{Type: c.Type, Changed: c.Changed, Removed: c.Removed}))
	if p.refuse != nil {
		if err := p.refuse(c); err != nil {
			return err
		}
	}
	m := p.have[c.Type]
	if m == nil {
		m = map[string]xds.Resource{}
		p.have[c.Type] = m
	}
	for _, r := range c.Changed {
		m[r.Name] = r
	}
	for _, n := range c.Removed {
		delete(m, n)
	}
	return nil
}

func (p *plane) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.conns {
		_ = c.Close()
	}
	p.conns = nil
}

// took returns what was applied since it was asked last, in order.
func (p *plane) took() []string {
	synctest.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	out := p.seen
	p.seen = nil
	return out
}

func TestClient(t *testing.T) {
	t.Run("replicas that follow refuse connections, and the one that leads is found among them within seconds", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := open(t, xds.Options{})
			w.server.Put(node, set("1", "Policy p1=a"))
			const unlucky = 24
			p, began, dials := w.plane(), time.Now(), 0
			to := p.Dial
			p.Dial = func(ctx context.Context, a string) (net.Conn, error) {
				if dials++; dials <= unlucky {
					return nil, &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}
				}
				return to(ctx, a)
			}
			w.run(p)
			for !p.State().Connected {
				time.Sleep(10 * time.Millisecond)
				if waited := time.Since(began); waited > 6*time.Second {
					t.Fatalf("%d dials in %s, and no stream", dials, waited)
				}
			}
			if dials != unlucky+1 {
				t.Errorf("%d dials", dials)
			}
		})
	})
	t.Run("gateway-100 B-29 after a lost connection only what differs comes", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w, told := open(t, xds.Options{}), []bool(nil)
			w.server.Put(node, set("1", "Policy p1=a", "Policy p2=a", "Route r1=a"))
			p := w.plane()
			p.Told = func(connected bool) { told = append(told, connected) }
			w.run(p)
			if diff := cmp.Diff([]string{"Policy +p1 +p2", "Route +r1", "Port"}, p.took()); diff != "" {
				t.Error(diff)
			}
			if st := w.server.Streams(node)[0]; st.Agent != "egret-test v1" || !st.Delta || !st.Types[0].Wildcard {
				t.Errorf("stream: %+v", st)
			}
			p.cut()
			synctest.Wait()
			if s := p.State(); s.Connected || s.Err == nil {
				t.Errorf("cut: %+v", s)
			}
			w.server.Put(node, set("2", "Policy p1=a", "Route r1=b"))
			time.Sleep(time.Second)
			got := strings.Join(p.took(), "\n")
			for _, want := range []string{"Policy -p2", "Route +r1"} {
				if !strings.Contains(got, want) {
					t.Errorf("got %q, want %q in it", got, want)
				}
			}
			if strings.Contains(got, "+p1") {
				t.Errorf("sent again: %q", got)
			}
			if diff := cmp.Diff([]bool{true, false, true}, told); diff != "" || !p.State().Connected {
				t.Errorf("told: %s", diff)
			}
		})
	})
	t.Run("what is called beside a stream ends with it, and begins with the next", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := open(t, xds.Options{})
			w.server.Put(node, set("1", "Policy p1=a"))
			p, begun, ended := w.plane(), make(chan grpc.ClientConnInterface, 2), make(chan bool, 2)
			p.Beside = func(ctx context.Context, conn grpc.ClientConnInterface) {
				begun <- conn
				<-ctx.Done()
				ended <- true
			}
			w.run(p)
			first := <-begun
			p.cut()
			<-ended
			if next := <-begun; next == first {
				t.Error("it is called on the connection of before")
			}
		})
	})
	t.Run("what is refused is named, the stream goes on, and it is offered again after a break", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := open(t, xds.Options{})
			w.server.Put(node, set("1", "Policy p1=bad", "Route r1=a"))
			p := w.plane()
			bad := true
			p.refuse = func(c xds.Change) error {
				if bad && c.Type == policies {
					return errors.New(strings.Repeat("ä", 4000))
				}
				return nil
			}
			w.run(p)
			synctest.Wait()
			st := w.server.Streams(node)[0]
			if n := st.Types[0].Nack; n == nil || len(n.Message) > 4096 || !strings.HasPrefix(n.Message, "ää") || st.Types[1].Nack != nil || st.Types[2].Acked != "1" {
				t.Errorf("stream: %+v", st)
			}
			p.took()
			bad = false
			p.cut()
			time.Sleep(time.Second)
			if got := p.took(); !cmp.Equal(got[:1], []string{"Policy +p1"}) {
				t.Errorf("after the break: %q", got)
			}
		})
	})
	t.Run("an idle connection is heard from within a few seconds, a dead one is not", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := open(t, xds.Options{})
			w.server.Put(node, set("1", "Policy p1=a"))
			p := w.plane()
			if !p.State().Heard.IsZero() {
				t.Error("heard before it began")
			}
			w.run(p)
			for range 10 {
				time.Sleep(7 * time.Second)
				if silent := time.Since(p.State().Heard); silent > 4*time.Second || !p.State().Connected {
					t.Fatalf("silent for %s", silent)
				}
			}
			w.grpc.Stop()
			time.Sleep(10 * time.Second)
			if silent := time.Since(p.State().Heard); silent < 10*time.Second || p.State().Connected {
				t.Errorf("dead for 10s, heard %s ago", silent)
			}
		})
	})
	t.Run("a peer that vanishes without a word is noticed", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := open(t, xds.Options{})
			w.server.Put(node, set("1", "Policy p1=a"))
			p, freeze := w.plane(), make(chan struct{})
			dial := p.Dial
			p.Dial = func(ctx context.Context, a string) (net.Conn, error) {
				select {
				case <-freeze:
					return nil, errors.New("no route to host")
				default:
				}
				c, err := dial(ctx, a)
				return &frozen{Conn: c, freeze: freeze}, err
			}
			w.run(p)
			p.took()
			close(freeze)
			time.Sleep(20 * time.Second)
			if p.State().Connected {
				t.Error("still believed to be connected")
			}
		})
	})
	t.Run("a server that refuses is not heard", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			var barred atomic.Bool
			w := open(t, xds.Options{Authenticate: func(context.Context) (xds.Peer, error) {
				return xds.Peer{Nodes: func(string) bool { return !barred.Load() }}, nil
			}})
			w.server.Put(node, set("1"))
			p := w.plane()
			w.run(p)
			time.Sleep(time.Minute)
			if silent := time.Since(p.State().Heard); silent > 4*time.Second {
				t.Fatalf("silent for %s", silent)
			}
			barred.Store(true)
			w.grpc.Stop()
			w.start()
			time.Sleep(time.Minute)
			if silent := time.Since(p.State().Heard); silent < 50*time.Second {
				t.Errorf("silent for %s, though it was refused for a minute", silent)
			}
		})
	})
	t.Run("a server that accepts no stream is given up", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := open(t, xds.Options{Authenticate: func(ctx context.Context) (xds.Peer, error) {
				<-ctx.Done()
				return xds.Peer{}, ctx.Err()
			}})
			p := w.plane()
			w.run(p)
			time.Sleep(20 * time.Second)
			synctest.Wait()
			if s := p.State(); s.Connected || s.Err == nil || !strings.Contains(s.Err.Error(), "did not accept") {
				t.Errorf("state: %+v", s)
			}
		})
	})
}

// frozen is a connection over which, from some time on, nothing comes.
type frozen struct {
	net.Conn
	freeze chan struct{}
}

func (f *frozen) Read(p []byte) (int, error) {
	for {
		n, err := f.Conn.Read(p)
		select {
		case <-f.freeze:
			if err != nil {
				return n, err
			}
		default:
			return n, err
		}
	}
}

// TestConverge: whatever Sets follow each other, however often streams break
// and whatever is refused meanwhile, in the end every peer has what the last
// Set holds and nothing else.
func TestConverge(t *testing.T) {
	for seed := range uint64(25) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { converge(t, rand.New(rand.NewPCG(seed, 1))) })
		})
	}
}

func converge(t *testing.T, r *rand.Rand) {
	w := open(t, xds.Options{})
	ours, envoy := w.plane(), &flaky{world: w, Peer: &xdstest.Peer{Node: node}}
	var mu sync.Mutex
	fair := false
	moods := rand.New(rand.NewPCG(r.Uint64(), 2)) // of other goroutines than r
	refuse := func() bool {
		mu.Lock()
		defer mu.Unlock()
		return !fair && moods.IntN(4) == 0
	}
	ours.refuse = func(xds.Change) error {
		if refuse() {
			return errors.New("not today")
		}
		return nil
	}
	envoy.Refuse = func(xdstest.Response) string {
		if refuse() {
			return "not today"
		}
		return ""
	}
	w.run(ours)
	envoy.start()

	var last *xds.Set
	for i := range 30 {
		last = random(r, i)
		w.server.Put(node, last)
		if r.IntN(5) == 0 {
			ours.cut()
		}
		if r.IntN(5) == 0 {
			envoy.cut()
		}
		time.Sleep(time.Duration(r.IntN(900)) * time.Millisecond)
	}
	mu.Lock()
	fair = true
	mu.Unlock()
	ours.cut()
	envoy.cut()
	time.Sleep(time.Minute)
	synctest.Wait()

	for i := range last.Types {
		g, want := &last.Types[i], map[string]xds.Resource{}
		for _, res := range g.Resources {
			want[res.Name] = res
		}
		if got := ours.have[g.Type]; len(got)+len(want) > 0 && !cmp.Equal(want, got) {
			t.Errorf("delta, %s: %s", g.Type, cmp.Diff(want, got))
		}
		if got := envoy.Have(g.Type); len(got)+len(want) > 0 && !cmp.Equal(want, got) {
			t.Errorf("state of the world, %s: %s", g.Type, cmp.Diff(want, got))
		}
	}
	for _, st := range w.server.Streams(node) {
		for _, sub := range st.Types {
			if sub.Acked != last.ID || sub.Nack != nil {
				t.Errorf("%+v: last acknowledged %q, want %q", sub, sub.Acked, last.ID)
			}
		}
	}
}

// random makes a Set out of few names and values, so that much comes again.
func random(r *rand.Rand, i int) *xds.Set {
	var lines []string
	for _, typ := range []string{"Policy", "Route", "Port"} {
		for n := range 6 {
			if r.IntN(2) == 0 {
				lines = append(lines, fmt.Sprintf("%s n%d=%d", typ, n, r.IntN(3)))
			}
		}
	}
	s := set(fmt.Sprint("set-", i), lines...)
	s.Gate = r.IntN(4)
	return s
}

// flaky is a state-of-the-world peer that opens its stream again.
type flaky struct {
	*xdstest.Peer
	world  *world
	mu     sync.Mutex
	cancel context.CancelFunc
}

func (f *flaky) start() {
	conn := f.world.conn()
	stream := func() {
		ctx, cancel := context.WithCancel(f.world.t.Context())
		f.mu.Lock()
		f.cancel = cancel
		f.mu.Unlock()
		if err := f.Open(ctx, conn); err != nil {
			f.world.t.Error(err)
		}
	}
	stream()
	for _, typ := range types {
		if err := f.Subscribe(typ); err != nil {
			f.world.t.Error(err)
		}
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for f.world.t.Context().Err() == nil {
			_ = f.Run()
			if f.world.t.Context().Err() == nil {
				stream()
			}
		}
	}()
	f.world.t.Cleanup(func() { f.cut(); <-done })
}

func (f *flaky) cut() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.cancel()
}
