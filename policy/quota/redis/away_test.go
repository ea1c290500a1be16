//go:build services

package redis

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/egret-gateway/egret/lab/service"
	"github.com/egret-gateway/egret/policy/quota"
)

// bound is how long a call may take: commandTimeout and what a busy machine adds.
const bound = commandTimeout + 250*time.Millisecond

// timed insists that a call does not hang.
func timed(t *testing.T, what string, f func()) {
	t.Helper()
	start := time.Now()
	f()
	if d := time.Since(start); d > bound {
		t.Errorf("%s took %s, want at most %s", what, d, bound)
	}
}

// lose calls until the limiter knows that the server is away.
func lose(t *testing.T, l *Limiter) {
	t.Helper()
	for range patience {
		timed(t, "reserve", func() {
			if _, err := l.Reserve(t.Context(), []quota.Bucket{tokens("nobody's", 1)}); err == nil {
				t.Fatal("the server should be away")
			}
		})
	}
	if !l.Partitioned() || l.Healthy() == nil {
		t.Fatal("the limiter should know that the server is away")
	}
}

func TestAway(t *testing.T) {
	s := service.Redis(t)
	l := replica(t, s.URL, Options{})
	settled(t, l, allowed(t, l, tokens("k", 100)).Ticket, 30)
	pending := allowed(t, l, held("h", 100, 40)).Ticket
	before := allowed(t, l, tokens("k", 100)).Ticket
	s.Kill()
	lose(t, l)

	t.Run("maas-95 counters out of reach are an error at once, which a limit may turn into a refusal", func(t *testing.T) {
		closed := tokens("k", 100)
		closed.Closed = true
		for _, b := range []quota.Bucket{tokens("k", 100), closed} {
			start := time.Now()
			v, err := l.Reserve(t.Context(), []quota.Bucket{b})
			if err == nil || v.Allowed || v.Full != -1 || v.Ticket.Buckets != nil {
				t.Errorf("%+v %v, want an error and no ticket", v, err)
			}
			if d := time.Since(start); d > 10*time.Millisecond {
				t.Errorf("it took %s", d)
			}
		}
	})
	t.Run("maas-95 charges made meanwhile are kept and delivered, once", func(t *testing.T) {
		byHand := quota.Ticket{Buckets: []quota.Bucket{tokens("k", 100)}, Taken: time.Now()}
		for range 5 {
			settled(t, l, byHand, 10)
		}
		settled(t, l, before, 5)
		settled(t, l, pending, 7)
		shut := calls("closed", 10)
		shut.Closed = true
		for _, b := range [][]quota.Bucket{{calls("calls", 10)}, {calls("calls", 10)}, {calls("calls", 10), shut}} {
			_, _ = l.Reserve(t.Context(), b) // the first two pass, the third is refused
		}
		if n := l.Kept(); n != 3 { // "k" and "calls" merged, and one that gives back a hold
			t.Errorf("%d charges are kept, want 3", n)
		}
		l.turn(t.Context())
		if !l.Partitioned() || l.Kept() != 3 {
			t.Fatal("a probe of a dead server should change nothing")
		}
		s.Start()
		l.turn(t.Context())
		l.turn(t.Context())
		if l.Partitioned() || l.Kept() != 0 || l.Lost() != 0 {
			t.Fatalf("%v, %d kept, %d lost", l.Healthy(), l.Kept(), l.Lost())
		}
		for key, want := range map[string]int64{"k": 55, "h": 7, "calls": 2, "closed": 0} { // the server had no persistence
			if n := used(t, l, key); n != want {
				t.Errorf("%s has %d, want %d", key, n, want)
			}
		}
	})
}

// TestKilledAway kills the process, as it were, while the server is away.
func TestKilledAway(t *testing.T) {
	s := service.Redis(t)
	t.Run("maas-95 charges that wait outlive the process", func(t *testing.T) {
		dir := t.TempDir()
		l := keeper(t, s.URL, dir)
		pending := allowed(t, l, held("h", 100, 40)).Ticket
		s.Kill()
		lose(t, l)
		for range 5 {
			settled(t, l, quota.Ticket{Buckets: []quota.Bucket{tokens("k", 100)}, Taken: time.Now()}, 10)
		}
		settled(t, l, pending, 7)
		next := keeper(t, s.URL, dir)
		if n := next.Kept(); n != 2 {
			t.Errorf("%d charges are kept, want 2", n)
		}
		settled(t, next, quota.Ticket{Buckets: []quota.Bucket{tokens("k", 100)}, Taken: time.Now()}, 10)
		s.Start()
		next.turn(t.Context())
		counted(t, next, map[string]int64{"k": 60, "h": 7})
		counted(t, keeper(t, s.URL, dir), map[string]int64{"k": 60, "h": 7})
	})
	t.Run("a charge counts once that had arrived when the process was killed", func(t *testing.T) {
		dir := t.TempDir()
		l := keeper(t, s.URL, dir)
		pinned := allowed(t, l, held("pinned", 1000, 100)).Ticket
		s.Freeze()
		settled(t, l, pinned, 40)
		for l.breaker.away() == nil {
			settled(t, l, allowedByHand("free"), 30)
		}
		settled(t, l, allowedByHand("free"), 30)
		free := int64(30 * l.Kept()) // one of them pinned, the last merged
		s.Thaw()
		l.breaker.reset()
		for range l.Kept() { // delivered, and killed before the answers came
			c := l.backlog.next(l.now(), func() uint64 { return l.serial.Add(1) })
			if err := l.charge(t.Context(), &c); err != nil {
				t.Fatal(err)
			}
		}
		counted(t, l, map[string]int64{"free": free - 30, "pinned": 40})
		next := keeper(t, s.URL, dir)
		next.turn(t.Context())
		counted(t, next, map[string]int64{"free": free - 30, "pinned": 40})
	})
}

// keeper is a replica that keeps its charges in a folder.
func keeper(t *testing.T, url, dir string) *Limiter {
	t.Helper()
	l := replica(t, url, Options{})
	if err := l.Keep(dir, 1<<20); err != nil {
		t.Fatal(err)
	}
	return l
}

// allowedByHand is the ticket of a call that was let through.
func allowedByHand(key string) quota.Ticket {
	return quota.Ticket{Buckets: []quota.Bucket{tokens(key, 1<<40)}, Taken: time.Now()}
}

// counted sees that all that waited has been counted.
func counted(t *testing.T, l *Limiter, want map[string]int64) {
	t.Helper()
	if l.Partitioned() || l.Kept() != 0 || l.Lost() != 0 {
		t.Fatalf("%v, %d kept, %d lost", l.Healthy(), l.Kept(), l.Lost())
	}
	for key, want := range want {
		if n := used(t, l, key); n != want {
			t.Errorf("%s has %d, want %d", key, n, want)
		}
	}
}

func TestStart(t *testing.T) {
	t.Run("a limiter starts without its server and finds it later", func(t *testing.T) {
		s := service.Redis(t)
		s.Kill()
		var l *Limiter
		timed(t, "open", func() { l = replica(t, s.URL, Options{}) })
		if !l.Partitioned() {
			t.Error("the limiter should start away")
		}
		settled(t, l, quota.Ticket{Buckets: []quota.Bucket{tokens("k", 100)}}, 3)
		s.Start()
		l.turn(t.Context())
		if n := used(t, l, "k"); n != 3 {
			t.Errorf("used %d, want 3", n)
		}
	})
	t.Run("maas-116 counters and holds survive a restart of a server that persists", func(t *testing.T) {
		s := service.Redis(t, "--appendonly", "yes", "--appendfsync", "always")
		l := replica(t, s.URL, Options{})
		settled(t, l, allowed(t, l, tokens("k", 100)).Ticket, 30)
		h := allowed(t, l, held("h", 100, 40)).Ticket
		s.Kill()
		s.Start()
		l.turn(t.Context())
		if used(t, l, "k") != 30 {
			t.Fatal("the counter is gone")
		}
		settled(t, l, h, 7)
		if n := used(t, l, "h"); n != 7 {
			t.Errorf("used %d, want 7", n)
		}
	})
}

func TestLostAnswer(t *testing.T) {
	s := service.Redis(t)
	l := replica(t, s.URL, Options{})
	free := allowed(t, l, tokens("k", 1000)).Ticket
	pinned := allowed(t, l, held("h", 1000, 100)).Ticket
	s.Freeze()
	timed(t, "settle", func() { settled(t, l, free, 30) })
	timed(t, "settle", func() { settled(t, l, pinned, 40) })
	timed(t, "reserve", func() {
		if _, err := l.Reserve(t.Context(), []quota.Bucket{held("g", 1000, 100)}); err == nil {
			t.Error("a frozen server should be an error")
		}
	})
	if !l.Partitioned() || l.Kept() != 3 {
		t.Fatalf("%v, %d kept, want 3", l.Healthy(), l.Kept())
	}
	l.turn(t.Context()) // a probe that is not answered either
	s.Thaw()            // now it runs what it was sent
	l.turn(t.Context())
	if l.Partitioned() || l.Kept() != 0 || l.Lost() != 0 {
		t.Fatalf("%v, %d kept, %d lost", l.Healthy(), l.Kept(), l.Lost())
	}
	for key, want := range map[string]int64{"k": 30, "h": 40, "g": 0} {
		if n := used(t, l, key); n != want {
			t.Errorf("%s has %d, want %d: a charge whose answer was lost counts once", key, n, want)
		}
	}
}

// TestKillUnderLoad kills the server while callers spend and starts it again.
func TestKillUnderLoad(t *testing.T) {
	s := service.Redis(t, "--appendonly", "yes", "--appendfsync", "always")
	l := replica(t, s.URL, Options{})
	ctx, stop := context.WithCancel(t.Context())
	ran := make(chan error, 1)
	go func() { ran <- l.Run(ctx) }()

	var spent, failed, slowest atomic.Int64
	done := make(chan struct{})
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			b := []quota.Bucket{tokens("k", 1<<40)}
			pace := time.NewTicker(time.Millisecond)
			defer pace.Stop()
			for {
				select {
				case <-done:
					return
				case <-pace.C:
				}
				start := time.Now()
				v, err := l.Reserve(t.Context(), b)
				reserved := time.Since(start)
				if err != nil {
					failed.Add(1)
					v.Ticket = quota.Ticket{Buckets: b} // as the engine lets a call pass
				}
				start = time.Now()
				settled(t, l, v.Ticket, 1)
				spent.Add(1)
				for d := int64(max(reserved, time.Since(start))); ; {
					if old := slowest.Load(); old >= d || slowest.CompareAndSwap(old, d) {
						break
					}
				}
			}
		})
	}
	reach(t, func() bool { return spent.Load() > 1000 })
	s.Kill()
	reach(t, l.Partitioned)
	n := failed.Load()
	reach(t, func() bool { return failed.Load() > n+1000 })
	s.Start()
	reach(t, func() bool { return !l.Partitioned() })
	n = spent.Load()
	reach(t, func() bool { return spent.Load() > n+1000 })
	close(done)
	wg.Wait()
	reach(t, func() bool { return !l.Partitioned() && l.Kept() == 0 })
	stop()
	if err := <-ran; err != nil {
		t.Error(err)
	}
	if got := used(t, l, "k"); got != spent.Load() || l.Lost() != 0 {
		t.Errorf("%d tokens are counted of %d, %d charges lost", got, spent.Load(), l.Lost())
	}
	if d := time.Duration(slowest.Load()); d > bound {
		t.Errorf("a call took %s, want at most %s", d, bound)
	}
	t.Logf("%d calls, %d without counters, the slowest draw or settlement took %s", spent.Load(), failed.Load(), time.Duration(slowest.Load()))
}

// reach waits until something holds.
func reach(t *testing.T, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	late := time.After(20 * time.Second)
	for !holds() {
		select {
		case <-tick.C:
		case <-late:
			t.Fatal("it does not come about")
		}
	}
}
