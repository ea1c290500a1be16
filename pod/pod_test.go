package pod

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/egret-gateway/egret/feed"
	"github.com/egret-gateway/egret/plan"
	"github.com/egret-gateway/egret/policy/ident"
)

const gateway = "default/gw"

// TestReady: a pod lives at once and is ready with a plan, also when the
// controller is away after that.
func TestReady(t *testing.T) {
	c, l := newController(t), &ledger{}
	p := start(t, gateway, kept(t), c, l)
	f := func(path string, want int, says string) {
		t.Helper()
		if code, text := p.probe(path); code != want || !strings.Contains(text, says) {
			t.Errorf("%s: %d %q, want %d and %q", path, code, text, want, says)
		}
	}
	f("/healthz", 200, "ok")
	f("/ready", 503, "waiting for the controller at controller:1")
	empty := fed(gateway, plan.Endpoint{}, func(f *feed.Feed) { f.Plan = &plan.Plan{} })
	c.give(empty)
	await(t, func() bool { return p.last.Load() != nil })
	f("/ready", 503, "no listener")
	c.give(fed(gateway, model(t, nil, nil)))
	address := p.address()
	f("/metrics", 200, "egret_")
	c.grpc.Stop()
	await(t, func() bool { return !p.feed.State().Connected })
	f("/ready", 200, "ready")
	if code := chat(t, address); code != 200 {
		t.Errorf("while the controller is away: %d", code)
	}
}

// TestRefusal: what cannot be served changes nothing, and is told.
func TestRefusal(t *testing.T) {
	c := newController(t)
	p := start(t, gateway, kept(t), c, &ledger{})
	c.give(fed(gateway, model(t, nil, nil)))
	address := p.address()
	c.give(fed(gateway, plan.Endpoint{}, func(f *feed.Feed) { f.Settings.Refuse = []string{"nonsense"} }))
	var nack string
	await(t, func() bool {
		for _, s := range c.Streams(gateway) {
			for _, sub := range s.Types {
				if sub.Nack != nil {
					nack = sub.Nack.Message
				}
			}
		}
		return nack != ""
	})
	if !strings.HasPrefix(nack, "pod ") || !strings.Contains(nack, "(egret 0.1): settings: range of addresses") {
		t.Errorf("refused: %q", nack)
	}
	if code := chat(t, address); code != 200 {
		t.Errorf("after a refusal: %d", code)
	}
}

// TestDenial: a denial is in force when it has arrived.
func TestDenial(t *testing.T) {
	t.Run("maas-41 maas-42 maas-56 a denial is in force without a new plan", func(t *testing.T) {
		c := newController(t)
		p := start(t, gateway, kept(t), c, &ledger{})
		f := fed(gateway, model(t, nil, nil))
		c.give(f)
		p.address()
		f.Denied = []feed.Denial{{Subject: "jti:9", Until: time.Now().Add(time.Hour)}}
		c.give(f)
		await(t, func() bool { return p.denials.Revoked(&ident.Review{ID: "9"}) })
	})
}

// TestDrain: a pod that is to stop is not ready at once, lets what is under way
// end, and says when that is done.
func TestDrain(t *testing.T) {
	may, asked := make(chan struct{}), make(chan struct{}, 1)
	c := newController(t)
	p := start(t, gateway, kept(t), c, &ledger{})
	c.give(fed(gateway, model(t, may, asked)))
	address := p.address()
	answered := make(chan int)
	go func() { answered <- chat(t, address) }()
	<-asked
	for _, path := range []string{"/drain", "/drain?word=stop", "/drain?word=pleases"} {
		if code, _ := p.probe(path); code != 403 {
			t.Errorf("%s by somebody else: %d", path, code)
		}
	}
	drained := make(chan string)
	for range 2 { // every container of the pod has the hook
		go func() {
			_, text := p.probe("/drain?word=please")
			drained <- text
		}()
	}
	await(t, func() bool { code, text := p.probe("/ready"); return code == 503 && text == "draining" })
	select {
	case text := <-drained:
		t.Fatalf("%q before the request under way had ended", text)
	default:
	}
	close(may)
	if code := <-answered; code != 200 {
		t.Errorf("the request under way: %d", code)
	}
	for range 2 {
		if text := <-drained; text != "drained" {
			t.Errorf("%q", text)
		}
	}
	later := fed(gateway, model(t, nil, nil))
	c.give(later) // it serves nothing new, and refuses nothing
	await(t, func() bool {
		taken := false
		for _, s := range c.Streams(gateway) {
			for _, sub := range s.Types {
				if sub.Nack != nil {
					t.Fatalf("refused: %s", sub.Nack.Message)
				}
				taken = taken || sub.Type == feed.TypeHead && sub.Acked == later.Plan.Hash()
			}
		}
		return taken
	})
}

// TestEnd: the account of a request that ends last is written before the pod
// ends.
func TestEnd(t *testing.T) {
	may, asked := make(chan struct{}), make(chan struct{}, 1)
	c, l := newController(t), &ledger{}
	p := start(t, gateway, kept(t), c, l)
	c.give(fed(gateway, model(t, may, asked)))
	address := p.address()
	answered := make(chan int)
	go func() { answered <- chat(t, address) }()
	<-asked
	stopped := make(chan struct{})
	go func() { p.stop(); close(stopped) }()
	await(t, func() bool { return len(p.plane.(*native).server.Bound()) == 0 })
	close(may)
	if code := <-answered; code != 200 {
		t.Errorf("the request under way: %d", code)
	}
	<-stopped
	if got := l.saved(); len(got) != 1 || got[0].Total != 3 {
		t.Errorf("the ledger has %+v", got)
	}
	if !l.closed {
		t.Error("the state was not closed")
	}
}

// TestStateEnds: connections are closed when all that uses them has ended.
func TestStateEnds(t *testing.T) {
	var order []string
	s := &state{
		loops: []func(context.Context) error{func(ctx context.Context) error { <-ctx.Done(); order = append(order, "loop"); return nil }},
		close: []func() error{func() error { order = append(order, "close"); return nil }},
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.run(ctx); err != nil || strings.Join(order, " ") != "loop close" {
		t.Errorf("%q, error %v", order, err)
	}
}

// TestRestart: a container that starts anew while the controller is away
// serves what it served, and goes on from there when the controller is back.
func TestRestart(t *testing.T) {
	keep, to := kept(t), model(t, nil, nil)
	c := newController(t)
	p := start(t, gateway, keep, c, &ledger{})
	f := fed(gateway, to)
	f.Denied = []feed.Denial{{Subject: "jti:9", Until: time.Now().Add(time.Hour)}}
	c.give(f)
	p.address()
	p.stop()

	p = start(t, gateway, keep, nil, &ledger{})
	if code := chat(t, p.address()); code != 200 {
		t.Errorf("without a controller: %d", code)
	}
	if !p.denials.Revoked(&ident.Review{ID: "9"}) || !p.denials.Lost() {
		t.Error("what was revoked is forgotten, or the list is taken for whole")
	}
	p.stop()

	p = start(t, gateway, keep, c, &ledger{})
	address := p.address()
	await(t, func() bool { return p.feed.State().Connected })
	f = fed(gateway, to, func(f *feed.Feed) { f.Plan.Rules[0].Fault = &plan.Fault{Status: http.StatusTeapot} })
	c.give(f)
	await(t, func() bool { return p.last.Load().Plan.Hash() == f.Plan.Hash() })
	if code := chat(t, address); code != http.StatusTeapot {
		t.Errorf("of the controller's plan: %d", code)
	}
	p.stop()

	other := start(t, "default/other", keep, nil, &ledger{})
	if code, _ := other.probe("/ready"); code != 503 {
		t.Errorf("another Gateway's plan is served: %d", code)
	}
}

// TestTwoHops: of a call through two gateways one writes to the ledger that
// both have; nobody else can pass for a gateway.
func TestTwoHops(t *testing.T) {
	t.Run("maas-88 maas-92 a call through two gateways is one line of their ledger", func(t *testing.T) {
		const second = "default/poc-gateway"
		c, outer, inner := newController(t), &ledger{}, &ledger{}
		shared := func(f *feed.Feed) { f.Settings.Ledger = "postgres://egret:s3cret@ledger/egret" }
		b := start(t, second, kept(t), c, inner)
		c.give(fed(second, model(t, nil, nil), shared))
		behind := b.address()
		a := start(t, gateway, kept(t), c, outer)
		front := fed(gateway, at(behind), shared, func(f *feed.Feed) { f.Plan.Backends[0].Fronts = second })
		c.give(front)
		if code := chat(t, a.address()); code != 200 {
			t.Fatalf("status %d", code)
		}
		await(t, func() bool { return len(outer.saved()) == 1 })
		if got := outer.saved()[0]; got.Total != 3 || got.Gateway != gateway {
			t.Errorf("%+v", got)
		}
		word := newHop("postgres://egret:guess@ledger/egret", time.Now).to(second)
		for _, forged := range []string{"", "x", word} {
			if code := chat(t, behind, plan.ProofHeader, forged); code != 200 {
				t.Fatalf("status %d", code)
			}
		}
		await(t, func() bool { return len(inner.saved()) == 3 })
		for _, e := range inner.saved() {
			if e.Gateway != second {
				t.Errorf("%+v", e)
			}
		}
	})
}

func TestHop(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	clock := func() time.Time { return now }
	h := newHop("postgres://egret:s3cret@ledger/egret", clock)
	word := h.to("a/b")
	f := func(title string, h hop, gateway string, after time.Duration, want bool, said ...string) {
		t.Helper()
		h.now = func() time.Time { return now.Add(after) }
		if got := h.from(gateway, http.Header{plan.ProofHeader: said}); got != want {
			t.Errorf("%s: %v", title, got)
		}
	}
	f("its own word", h, "a/b", 0, true, word)
	f("clocks differ", h, "a/b", -hopSkew+time.Second, true, word)
	f("another Gateway's", h, "a/c", 0, false, word)
	f("an old one", h, "a/b", hopFor+hopSkew, false, word)
	f("one of the future", h, "a/b", -hopSkew-time.Second, false, word)
	f("two", h, "a/b", 0, false, word, word)
	f("none", h, "a/b", 0, false)
	f("one that was prolonged", h, "a/b", 0, false, "9"+word[1:])
	f("another ledger", newHop("postgres://egret:other@ledger/egret", clock), "a/b", 0, false, word)
	for _, open := range []string{"", "postgres://ledger/egret", "postgres://egret@ledger/egret", "://"} {
		if word := newHop(open, clock).to("a/b"); word != "" {
			t.Errorf("%q has no secret, and a word %q", open, word)
		}
	}
}

// TestForeign: what is another Gateway's is refused, whoever sends it.
func TestForeign(t *testing.T) {
	c := newController(t)
	p := start(t, gateway, kept(t), c, &ledger{}, func(o *Options) { o.Gateway = "default/mine" })
	c.give(fed(gateway, model(t, nil, nil)))
	await(t, func() bool {
		for _, s := range c.Streams(gateway) {
			for _, sub := range s.Types {
				if sub.Nack != nil && strings.Contains(sub.Nack.Message, "not of "+gateway) {
					return true
				}
			}
		}
		return false
	})
	if code, _ := p.probe("/ready"); code == 200 {
		t.Error("it serves another's plan")
	}
}
