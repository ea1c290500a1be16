package quotatest

import (
	"math"
	"sync"
	"testing"
	"time"

	"github.com/egret-gateway/egret/policy/quota"
)

// Open makes an empty limiter that reads the time from now.
type Open func(t testing.TB, now func() time.Time) quota.Limiter

// Run tests a limiter.
func Run(t *testing.T, open Open) {
	t.Helper()
	RunTick(t, time.Nanosecond, open)
}

// RunTick tests a limiter that tells times apart from tick on: shared counters
// live by the clock of their server, which may know microseconds only.
func RunTick(t *testing.T, tick time.Duration, open Open) {
	for _, c := range []struct {
		name string
		test func(*bench)
	}{
		{"maas-97 a call is allowed while used is below the limit", belowLimit},
		{"maas-98 a refused draw leaves the counter as it was", refusalIsFree},
		{"maas-99 maas-100 what is settled at nothing charges nothing and opens no window", freeCall},
		{"maas-103 two users do not share a budget, two tokens of one user do", perUser},
		{"maas-104 one user on two routes has two budgets", perRoute},
		{"maas-111 the window is fixed from the first charge", fixedWindow},
		{"maas-115 five calls in ten seconds, the sixth is refused", calls},
		{"a draw takes from all buckets or from none", allOrNothing},
		{"one key twice in a draw bears both", sameKeyTwice},
		{"a limit of nothing refuses", nothing},
		{"a check that is settled after its window ended is charged to the next", lateCharge},
		{"a reservation counts until it is settled", reservation},
		{"a reservation lapses after its TTL", lapse},
		{"a reservation that lapsed is charged when it is settled after all", lateSettle},
		{"a reservation of a window that ended is charged to the next", rolledSettle},
		{"settling twice charges once", idempotent},
		{"the zero ticket settles nothing", zeroTicket},
		{"what passed while the counters were away is charged when it is settled", byHand},
		{"amounts stop at the largest number", overflow},
		{"a long history agrees with a simple model", history},
		{"concurrent calls add up to the token", sums},
		{"concurrent calls never take more than the limit", ceiling},
		{"draws in opposite orders do not wait for each other", orders},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := &bench{T: t, tick: tick, clock: time.Date(2026, 11, 23, 6, 0, 0, 0, time.UTC)}
			b.limiter = open(t, b.now)
			c.test(b)
		})
	}
}

// bench is one limiter under test and its clock.
type bench struct {
	*testing.T
	limiter quota.Limiter
	tick    time.Duration // the shortest pause that counts
	mu      sync.Mutex
	clock   time.Time
}

func (b *bench) now() time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.clock
}

// pass lets time pass.
func (b *bench) pass(d time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.clock = b.clock.Add(d)
}

// draw reserves and insists that the counters can be reached.
func (b *bench) draw(buckets ...quota.Bucket) quota.Verdict {
	b.Helper()
	v, err := b.limiter.Reserve(b.Context(), buckets)
	if err != nil {
		b.Fatalf("reserve: %v", err)
	}
	if len(v.States) != len(buckets) {
		b.Fatalf("%d states for %d buckets", len(v.States), len(buckets))
	}
	if v.Allowed != (v.Full == -1) {
		b.Fatalf("allowed = %v, but full = %d", v.Allowed, v.Full)
	}
	return v
}

// allow draws and insists on being allowed.
func (b *bench) allow(buckets ...quota.Bucket) quota.Ticket {
	b.Helper()
	v := b.draw(buckets...)
	if !v.Allowed {
		b.Fatalf("refused by bucket %d: %+v", v.Full, v.States[v.Full])
	}
	return v.Ticket
}

// refuse draws and insists on being refused by the bucket of that index.
func (b *bench) refuse(full int, buckets ...quota.Bucket) {
	b.Helper()
	if v := b.draw(buckets...); v.Full != full {
		b.Fatalf("refused by bucket %d, want %d (%+v)", v.Full, full, v.States)
	}
}

// settle settles and insists that it works.
func (b *bench) settle(t quota.Ticket, actual int64) {
	b.Helper()
	if err := b.limiter.Settle(b.Context(), t, actual); err != nil {
		b.Fatalf("settle: %v", err)
	}
}

// spend is one whole call.
func (b *bench) spend(k quota.Bucket, actual int64) {
	b.Helper()
	b.settle(b.allow(k), actual)
}

// used insists on what a bucket's window counts and when it ends. Looking is a
// draw of nothing from a bucket without limit.
func (b *bench) used(k quota.Bucket, used int64, reset time.Duration) {
	b.Helper()
	look := quota.Bucket{Key: k.Key, Max: math.MaxInt64, Window: k.Window}
	v := b.draw(look)
	want := quota.State{Max: math.MaxInt64, Used: used, Reset: reset}
	if v.States[0] != want {
		b.Fatalf("state %+v, want %+v", v.States[0], want)
	}
}

// checked is a bucket of 100 tokens a minute that is checked first and charged
// by usage.
func checked(key string) quota.Bucket {
	return quota.Bucket{Key: key, Max: 100, Window: time.Minute, Settle: true}
}

// reserved is the same bucket with tokens held back for ten seconds.
func reserved(key string, take int64) quota.Bucket {
	b := checked(key)
	b.Take, b.TTL = take, 10*time.Second
	return b
}

// called is a bucket of calls, taken at once.
func called(key string, limit int64, window time.Duration) quota.Bucket {
	return quota.Bucket{Key: key, Max: limit, Window: window, Take: 1}
}
