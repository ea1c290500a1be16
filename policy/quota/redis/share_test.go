//go:build services

package redis

import (
	"context"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/egret-gateway/egret/lab/service"
	"github.com/egret-gateway/egret/policy/quota"
)

// tokens is a bucket that is checked and charged by usage.
func tokens(key string, limit int64) quota.Bucket {
	return quota.Bucket{Key: key, Max: limit, Window: time.Hour, Settle: true}
}

// held is the same with a reservation.
func held(key string, limit, take int64) quota.Bucket {
	b := tokens(key, limit)
	b.Take, b.TTL = take, time.Minute
	return b
}

func calls(key string, limit int64) quota.Bucket {
	return quota.Bucket{Key: key, Max: limit, Window: time.Hour, Take: 1}
}

// used looks at a key.
func used(t testing.TB, l *Limiter, key string) int64 {
	t.Helper()
	return allowed(t, l, quota.Bucket{Key: key, Max: 1 << 62, Window: time.Hour}).States[0].Used
}

func allowed(t testing.TB, l *Limiter, b ...quota.Bucket) quota.Verdict {
	t.Helper()
	v, err := l.Reserve(t.Context(), b)
	if err != nil || !v.Allowed {
		t.Fatalf("%+v %v", v, err)
	}
	return v
}

// settled settles from any goroutine.
func settled(t testing.TB, l *Limiter, ticket quota.Ticket, actual int64) {
	t.Helper()
	if err := l.Settle(context.Background(), ticket, actual); err != nil {
		t.Error(err)
	}
}

func TestReplicas(t *testing.T) {
	url := service.Redis(t).URL
	var replicas [3]*Limiter
	for i := range replicas {
		replicas[i] = replica(t, url, Options{})
	}
	const workers, rounds = 4, 100 // of each replica
	crowd := func(work func(*Limiter)) {
		var wg sync.WaitGroup
		for _, l := range replicas {
			for range workers {
				wg.Go(func() {
					for range rounds {
						work(l)
					}
				})
			}
		}
		wg.Wait()
	}
	try := func(l *Limiter, b quota.Bucket) quota.Verdict {
		v, err := l.Reserve(t.Context(), []quota.Bucket{b})
		if err != nil {
			t.Error(err)
		}
		return v
	}

	t.Run("replicas share one budget of calls, to the call", func(t *testing.T) {
		var passed atomic.Int64
		crowd(func(l *Limiter) {
			if try(l, calls("calls", 500)).Allowed {
				passed.Add(1)
			}
		})
		if passed.Load() != 500 || used(t, replicas[0], "calls") != 500 {
			t.Errorf("%d calls passed, want 500", passed.Load())
		}
	})
	t.Run("replicas share one budget of tokens; only calls in flight exceed it", func(t *testing.T) {
		const limit, cost = 1000, 7
		crowd(func(l *Limiter) {
			if v := try(l, tokens("tokens", limit)); v.Allowed {
				settled(t, l, v.Ticket, cost)
			}
		})
		spent := used(t, replicas[1], "tokens")
		if most := int64(limit + len(replicas)*workers*cost); spent < limit || spent > most {
			t.Errorf("%d tokens spent, want %d and at most %d", spent, limit, most)
		}
	})
	t.Run("replicas never reserve more than the budget", func(t *testing.T) {
		var promised atomic.Int64
		crowd(func(l *Limiter) {
			v := try(l, held("held", 50, 7))
			if !v.Allowed {
				return
			}
			if p := promised.Add(7); p > 50 {
				t.Errorf("%d of 50 are promised", p)
			}
			promised.Add(-7)
			settled(t, l, v.Ticket, 0)
		})
		if n := used(t, replicas[2], "held"); n != 0 {
			t.Errorf("%d are still held", n)
		}
	})
	t.Run("reservations of one number at two replicas are two", func(t *testing.T) {
		a, b := replica(t, url, Options{Prefix: "two"}), replica(t, url, Options{Prefix: "two"})
		first := allowed(t, a, held("k", 100, 10)).Ticket
		second := allowed(t, b, held("k", 100, 20)).Ticket
		settled(t, a, first, 1)
		if n := used(t, b, "k"); n != 21 {
			t.Errorf("used %d, want 21", n)
		}
		settled(t, b, second, 2)
		if n := used(t, a, "k"); n != 3 {
			t.Errorf("used %d, want 3", n)
		}
	})
}

func TestKeys(t *testing.T) {
	ctx := t.Context()
	l := replica(t, service.Redis(t).URL, Options{})
	long := strings.Repeat("x", 5000)
	before := time.Now()
	v := allowed(t, l, held("short", 100, 10), calls(long, 10))
	settled(t, l, v.Ticket, 5)
	settled(t, l, allowed(t, l, tokens("short", 100)).Ticket, 5)

	keys, err := l.client.Keys(ctx, "*").Result()
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range keys {
		if !strings.HasPrefix(key, "{egret}:") || len(key) > 300 {
			t.Errorf("key %q is in another slot of a cluster, or long", key)
		}
		if left := l.client.PTTL(ctx, key).Val(); left <= 0 || left > 3*time.Hour {
			t.Errorf("key %q stays for %s", key, left)
		}
	}
	if n := used(t, l, long); n != 1 {
		t.Errorf("the long key has %d, want 1", n)
	}
	ends, err := l.client.HGet(ctx, "{egret}:w:short", "end").Int64()
	if end := time.UnixMicro(ends); err != nil || end.Before(before.Add(time.Hour)) || end.After(time.Now().Add(time.Hour)) {
		t.Errorf("the window ends at %s by the server's clock, %v", end, err)
	}
	t.Run("marks of settlements whose answer came do not pile up", func(t *testing.T) {
		for range 3 * staleMax {
			settled(t, l, allowed(t, l, tokens("many", 1<<40)).Ticket, 1)
		}
		if n := l.client.HLen(ctx, "{egret}:done:"+l.instance).Val(); n > 3 {
			t.Errorf("%d marks", n)
		}
	})
	t.Run("a server that has forgotten the scripts is told them again", func(t *testing.T) {
		for range 2 {
			if err := l.client.ScriptFlush(ctx).Err(); err != nil {
				t.Fatal(err)
			}
			settled(t, l, allowed(t, l, tokens("flushed", 100)).Ticket, 7)
		}
		if n := used(t, l, "flushed"); n != 14 || l.breaker.failed.Load() != 0 {
			t.Errorf("used %d, want 14; %d failures", n, l.breaker.failed.Load())
		}
	})
	t.Run("a clock that went back prolongs no window", func(t *testing.T) {
		settled(t, l, allowed(t, l, tokens("future", 100)).Ticket, 7)
		l.client.HIncrBy(ctx, "{egret}:w:future", "end", (10 * time.Hour).Microseconds())
		s := allowed(t, l, tokens("future", 100)).States[0]
		if s.Used != 7 || s.Reset > time.Hour {
			t.Errorf("state %+v, want 7 used for an hour at most", s)
		}
	})
}

func BenchmarkReserveSettle(b *testing.B) {
	l := replica(b, service.Redis(b).URL, Options{})
	draw := []quota.Bucket{tokens(quota.Key("tokenlimit.free__0a1b2c3d", "default/bridge", "60", "alice"), 1<<60)}
	for b.Loop() {
		v, err := l.Reserve(b.Context(), draw)
		if err != nil {
			b.Fatal(err)
		}
		_ = l.Settle(b.Context(), v.Ticket, 42)
	}
}

// BenchmarkCrowd is 64 callers at once; see the metric calls/s, where a call is
// a draw and its settlement.
func BenchmarkCrowd(b *testing.B) {
	l := replica(b, service.Redis(b).URL, Options{})
	draw := []quota.Bucket{tokens("crowd", 1<<60)}
	b.SetParallelism(32) // times GOMAXPROCS
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			v, err := l.Reserve(b.Context(), draw)
			if err != nil {
				b.Error(err)
			}
			_ = l.Settle(b.Context(), v.Ticket, 42)
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "calls/s")
}

// BenchmarkAway is what a dead server costs a call.
func BenchmarkAway(b *testing.B) {
	s := service.Redis(b)
	l := replica(b, s.URL, Options{})
	s.Kill()
	l.breaker.trip(l.unreachable(context.DeadlineExceeded))
	draw := []quota.Bucket{tokens("k", 100)}
	b.ReportAllocs()
	for b.Loop() {
		_, _ = l.Reserve(b.Context(), draw)
		_ = l.Settle(b.Context(), quota.Ticket{Buckets: draw}, 1)
	}
}
