package feed_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"

	"github.com/egret-gateway/egret/feed"
	"github.com/egret-gateway/egret/plan"
	"github.com/egret-gateway/egret/xds"
)

// pod is a data plane with its controller.
type pod struct {
	t      *testing.T
	server *xds.Server
	client *feed.Client

	mu      sync.Mutex
	applied []*feed.Feed
	refuse  error
	denied  []feed.Denial
	conns   []net.Conn
}

func start(t *testing.T) *pod { return startWith(t, nil) }

// startWith starts a data plane that has a feed already.
func startWith(t *testing.T, kept *feed.Feed) *pod {
	p := &pod{t: t, server: xds.NewServer(xds.Options{
		Authenticate: func(context.Context) (xds.Peer, error) {
			return xds.Peer{Nodes: func(string) bool { return true }}, nil
		},
	})}
	l, g := bufconn.Listen(1<<20), grpc.NewServer(xds.ServerOptions()...)
	p.server.Register(g)
	go func() { _ = g.Serve(l) }()
	t.Cleanup(g.Stop)
	p.client = &feed.Client{Stream: xds.Client{
		Target: "memory:1", Node: "egret-proxy-shop-egress", Options: []grpc.DialOption{grpc.WithTransportCredentials(insecure.NewCredentials())},
		Dial: func(ctx context.Context, _ string) (net.Conn, error) {
			c, err := l.DialContext(ctx)
			p.mu.Lock()
			defer p.mu.Unlock()
			p.conns = append(p.conns, c)
			return c, err
		},
	}}
	p.client.Name, p.client.Kept = "pod egress-1 (egret 0.1)", kept
	p.client.Denied = func(d []feed.Denial) { p.denied = d }
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- p.client.Run(ctx, p.apply) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return p
}

func (p *pod) apply(_ context.Context, f *feed.Feed) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.refuse != nil {
		return p.refuse
	}
	p.applied = append(p.applied, f)
	return nil
}

// put gives the pod a feed, and returns what it applied after that.
func (p *pod) put(f *feed.Feed) []*feed.Feed {
	p.mu.Lock()
	p.applied = nil
	p.mu.Unlock()
	s := xds.NewSet(feed.Types, f.Resources())
	s.ID, s.Gate = f.Plan.Hash(), len(feed.Types)
	p.server.Put(p.client.Stream.Node, s)
	synctest.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.applied
}

func (p *pod) sent() (n xds.Count) {
	for _, c := range p.server.Counts() {
		n.Resources += c.Resources
		n.Bytes += c.Bytes
	}
	return n
}

func TestClient(t *testing.T) {
	run := func(name string, f func(t *testing.T, p *pod)) {
		t.Run(name, func(t *testing.T) { synctest.Test(t, func(t *testing.T) { f(t, start(t)) }) })
	}
	run("gateway-102 of 500 routes and 200 backends one change is sent alone", func(t *testing.T, p *pod) {
		f := large(500, 200)
		if got := p.put(f); len(got) != 1 || got[0].Plan.Hash() != f.Plan.Hash() {
			t.Fatalf("applied %d feeds", len(got))
		}
		before := p.sent()
		f = large(500, 200)
		f.Plan.Rules[123].Timeouts.Request = time.Minute
		began := time.Now()
		if got := p.put(f); len(got) != 1 || got[0].Plan.Hash() != f.Plan.Hash() {
			t.Fatalf("applied %d feeds: %s", len(got), p.client.Pending())
		}
		after := p.sent()
		if r, b := after.Resources-before.Resources, after.Bytes-before.Bytes; r != 2 || b > 1000 {
			t.Errorf("one rule and the head would do; sent %d resources, %d bytes of %d in all", r, b, before.Bytes)
		}
		if d := time.Since(began); d > 2*time.Second {
			t.Errorf("took %s", d)
		}
	})
	run("a feed is applied when it is whole: parts added, parts gone", func(t *testing.T, p *pod) {
		p.put(large(50, 5))
		f := large(30, 3)
		f.Plan.Rules[0].Label = "new"
		if got := p.put(f); len(got) != 1 || got[0].Plan.Hash() != f.Plan.Hash() || p.client.Pending() != "" {
			t.Errorf("applied %d feeds, pending %q", len(got), p.client.Pending())
		}
	})
	run("maas-42 maas-56 a denial arrives without the plan", func(t *testing.T, p *pod) {
		f := large(50, 5)
		first := p.put(f)[0]
		before := p.sent()
		f.Denied = append(f.Denied, feed.Denial{Subject: "jti:9", Until: time.Now().Add(time.Hour)})
		got := p.put(f)
		if len(got) != 1 || got[0].Plan != first.Plan || len(got[0].Denied) != 3 || got[0].Epoch() == first.Epoch() {
			t.Fatalf("applied %d feeds", len(got))
		}
		if n := p.sent().Resources - before.Resources; n != 2 {
			t.Errorf("%d resources were sent", n)
		}
		f.Denied = nil
		if got := p.put(f); len(got) != 1 || got[0].Plan != first.Plan || len(got[0].Denied) != 0 {
			t.Errorf("lifted: %d feeds", len(got))
		}
	})
	run("maas-42 maas-56 a denial is in force though the plan is not whole", func(t *testing.T, p *pod) {
		f := large(3, 1)
		p.put(f)
		f = large(4, 1)
		f.Denied = []feed.Denial{{Subject: "jti:9", Until: time.Now().Add(time.Hour)}}
		rs := f.Resources()
		rs = slices.DeleteFunc(rs, func(r xds.Resource) bool { return r.Name == "shop/route-003/0" })
		p.applied = nil
		p.server.Put(p.client.Stream.Node, xds.NewSet(feed.Types, rs))
		synctest.Wait()
		if len(p.applied) != 0 || p.client.Pending() == "" || len(p.denied) != 1 || p.denied[0].Subject != "jti:9" {
			t.Errorf("applied %d, pending %q, denied %v", len(p.applied), p.client.Pending(), p.denied)
		}
	})
	run("settings and what is kept arrive alone too", func(t *testing.T, p *pod) {
		f := large(5, 5)
		first := p.put(f)[0]
		f.Settings.Ledger, f.Keep = "postgres://ledger", []string{"a", "b"}
		if got := p.put(f); len(got) != 1 || got[0].Plan != first.Plan || got[0].Settings.Ledger == "" || len(got[0].Keep) != 2 {
			t.Errorf("applied %d feeds", len(got))
		}
		if got := p.put(f); len(got) != 0 {
			t.Errorf("an equal feed was applied again")
		}
	})
	run("what the plane refuses is told, and offered again with the next change", func(t *testing.T, p *pod) {
		f := large(5, 5)
		p.put(f)
		p.refuse = errors.New("this does not compile")
		f = large(6, 5)
		p.put(f)
		var nack string
		for _, sub := range p.server.Streams(p.client.Stream.Node)[0].Types {
			if sub.Nack != nil {
				nack = sub.Type + ": " + sub.Nack.Message
			}
		}
		if nack != feed.TypeHead+": pod egress-1 (egret 0.1): this does not compile" {
			t.Errorf("refused: %q", nack)
		}
		p.refuse = nil
		f = large(6, 5)
		f.Settings.AccessLog = false
		if got := p.put(f); len(got) != 1 || got[0].Plan.Hash() != f.Plan.Hash() {
			t.Errorf("applied %d feeds", len(got))
		}
	})
	run("gateway-100 a lost connection leaves what is applied, and brings nothing twice", func(t *testing.T, p *pod) {
		f := large(50, 5)
		p.put(f)
		before, heard := p.sent(), p.client.LastHeard()
		for _, c := range p.conns {
			_ = c.Close()
		}
		time.Sleep(time.Second)
		if n := p.sent().Resources - before.Resources; n != 0 || !p.client.State().Connected || !p.client.LastHeard().After(heard) {
			t.Errorf("%d resources were sent; %+v", n, p.client.State())
		}
		f.Plan = &plan.Plan{}
		if got := p.put(f); len(got) != 1 || len(got[0].Plan.Ports) != 0 {
			t.Errorf("applied %d feeds: %s", len(got), p.client.Pending())
		}
	})
	run("a part that is not as it should be is refused by name", func(t *testing.T, p *pod) {
		rs := large(1, 1).Resources()
		rs = append(rs, xds.NewResource(feed.TypeRule, "odd", []byte(`{"name":"odd","future":true}`)))
		p.server.Put(p.client.Stream.Node, xds.NewSet(feed.Types, rs))
		synctest.Wait()
		var nack string
		for _, sub := range p.server.Streams(p.client.Stream.Node)[0].Types {
			if sub.Nack != nil {
				nack = sub.Nack.Message
			}
		}
		if !strings.Contains(nack, `Rule "odd"`) || len(p.applied) != 0 {
			t.Errorf("refused: %q; applied %d", nack, len(p.applied))
		}
	})
	run("a plan of a later format is refused in words, and the one before serves on", func(t *testing.T, p *pod) {
		f := large(5, 5)
		p.put(f)
		f = large(6, 5)
		f.Denied = append(f.Denied, feed.Denial{Subject: "jti:9", Until: time.Now().Add(time.Hour)})
		rs, later := f.Resources(), plan.Format+1
		for i, r := range rs {
			switch r.Type {
			case feed.TypeRule: // as a later release may write it
				rs[i] = xds.NewResource(r.Type, r.Name, []byte(strings.Replace(string(r.Value), `{`, `{"guard":"strict",`, 1)))
			case feed.TypeHead:
				rs[i] = xds.NewResource(r.Type, r.Name, []byte(strings.Replace(string(r.Value), `{`, fmt.Sprintf(`{"format":%d,"more":true,`, later), 1)))
			}
		}
		p.applied = nil
		p.server.Put(p.client.Stream.Node, xds.NewSet(feed.Types, rs))
		synctest.Wait()
		nacks := p.nacks()
		if len(p.applied) != 0 || !strings.Contains(nacks[feed.TypeHead], fmt.Sprintf("pod egress-1 (egret 0.1): the plan needs format %d and this release understands %d", later, plan.Format)) ||
			!strings.Contains(nacks[feed.TypeRule], "different releases") {
			t.Errorf("applied %d, refused %q", len(p.applied), nacks)
		}
		if len(p.denied) != 3 || p.denied[1].Subject != "jti:9" {
			t.Errorf("a revocation waits for the release: %v", p.denied)
		}
		if got := p.put(large(7, 5)); len(got) != 1 || len(p.nacks()) != 0 || p.client.Pending() != "" {
			t.Errorf("back to what it knows: applied %d, refused %q, pending %q", len(got), p.nacks(), p.client.Pending())
		}
	})
	run("a value that this release does not know is refused, though all parts are there", func(t *testing.T, p *pod) {
		p.put(large(5, 5))
		f := large(6, 5)
		f.Plan.Backends[0].Protocol = "http9"
		if got := p.put(f); len(got) != 0 || !strings.Contains(p.nacks()[feed.TypeHead], `no protocol "http9"`) {
			t.Errorf("applied %d, refused %q", len(got), p.nacks())
		}
	})
}

// nacks are what the plane refuses now, by type.
func (p *pod) nacks() map[string]string {
	out := map[string]string{}
	for _, sub := range p.server.Streams(p.client.Stream.Node)[0].Types {
		if sub.Nack != nil {
			out[sub.Type] = sub.Nack.Message
		}
	}
	return out
}

// TestKept: a plane that has kept its feed goes on from there.
func TestKept(t *testing.T) {
	path := filepath.Join(t.TempDir(), "feed")
	if f, err := feed.Read(path); f != nil || err != nil {
		t.Errorf("no file: %v, error %v", f, err)
	}
	want := large(20, 3)
	if err := want.Save(path); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, error %v", info.Mode(), err)
	}
	kept, err := feed.Read(path)
	if err != nil || kept.Plan.Hash() != want.Plan.Hash() || kept.Settings.Ledger != want.Settings.Ledger || string(kept.Plan.Secrets[0].Data[0].Value) != canary {
		t.Fatalf("%+v, error %v", kept, err)
	}
	if again, err := feed.Read(path); again != nil || err != nil {
		t.Errorf("the file is read twice: %v, error %v", again, err)
	}
	t.Run("what it has is not applied again, what is new is", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			p := startWith(t, kept)
			if got := p.put(want); len(got) != 0 {
				t.Errorf("applied %d feeds", len(got))
			}
			want.Denied = nil
			if got := p.put(want); len(got) != 1 || got[0].Plan != kept.Plan || len(got[0].Denied) != 0 {
				t.Errorf("applied %d feeds", len(got))
			}
		})
	})
	t.Run("half a file is nothing, and shows no secret", func(t *testing.T) {
		if err := want.Save(path); err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, half := range [][]byte{text[:len(text)/2], []byte("[]"), []byte(strings.Replace(string(text), `"Name":"head"`, `"Name":"tail"`, 1))} {
			if err := os.WriteFile(path, half, 0o600); err != nil {
				t.Fatal(err)
			}
			if f, err := feed.Read(path); f != nil || err == nil || strings.Contains(err.Error(), canary) {
				t.Errorf("%v, error %v", f, err)
			}
		}
	})
}
