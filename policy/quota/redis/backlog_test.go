package redis

import (
	"fmt"
	"math"
	"testing"
	"time"
)

var start = time.Date(2026, 11, 23, 6, 0, 0, 0, time.UTC)

// kept is a charge of one bucket for a minute's window.
func kept(key string, amount int64) settlement {
	return settlement{Charges: []charge{{Key: key, Amount: amount, Window: time.Minute}}}
}

// rest takes everything out and adds up what would be delivered.
func rest(b *backlog, now time.Time) map[string]int64 {
	out, n := map[string]int64{}, uint64(0)
	for {
		s := b.next(now, func() uint64 { n++; return n })
		if len(s.Charges) == 0 {
			return out
		}
		for _, c := range s.Charges {
			out[c.Key] += c.Amount
		}
	}
}

func TestBacklog(t *testing.T) {
	is := func(t *testing.T, got map[string]int64, want string) {
		t.Helper()
		if fmt.Sprint(got) != want {
			t.Errorf("%v is delivered, want %s", got, want)
		}
	}
	t.Run("charges of one bucket are one", func(t *testing.T) {
		b := newBacklog(2, "me")
		for range 1000 {
			b.put(kept("a", 1), start)
			b.put(kept("b", 2), start)
		}
		if b.size() != 2 {
			t.Errorf("%d are kept", b.size())
		}
		is(t, rest(&b, start), "map[a:1000 b:2000]")
		is(t, rest(&b, start), "map[]")
	})
	t.Run("without room a new bucket's charge is lost and counted, an old one's is not", func(t *testing.T) {
		b := newBacklog(1, "me")
		if n := b.put(kept("a", 1), start); n != 0 {
			t.Errorf("%d lost", n)
		}
		if n := b.put(kept("b", 1), start); n != 1 {
			t.Errorf("%d lost, want 1", n)
		}
		b.put(kept("a", 1), start)
		held := kept("a", 5)
		held.Ticket = 7
		b.put(held, start) // its hold lapses by itself
		if b.lost.Load() != 1 {
			t.Errorf("%d lost, want 1", b.lost.Load())
		}
		doubtful := kept("a", 5)
		doubtful.Sent = start
		b.put(doubtful, start) // may have arrived: merged it could count twice
		if b.lost.Load() != 2 {
			t.Errorf("%d lost, want 2", b.lost.Load())
		}
		is(t, rest(&b, start), "map[a:7]")
	})
	t.Run("a charge goes when its window would be over", func(t *testing.T) {
		b := newBacklog(10, "me")
		b.put(kept("a", 1), start)
		b.put(kept("a", 2), start.Add(59*time.Second))
		b.put(kept("b", 4), start.Add(30*time.Second))
		is(t, rest(&b, start.Add(time.Minute)), "map[b:4]")
		b.put(kept("a", 1), start)
		b.put(kept("a", 2), start.Add(time.Minute)) // the next window
		is(t, rest(&b, start.Add(time.Minute)), "map[a:2]")
		if b.lost.Load() != 0 {
			t.Errorf("%d lost: nothing is, of windows that are over", b.lost.Load())
		}
	})
	t.Run("a settlement keeps its number, and is given up when its mark may be gone", func(t *testing.T) {
		b := newBacklog(10, "me")
		long := settlement{Number: 42, Sent: start, Charges: []charge{{Key: "a", Amount: 1, Window: 24 * time.Hour}}}
		b.put(long, start)
		s := b.next(start.Add(doubt), func() uint64 { t.Error("it has a number"); return 0 })
		if s.Number != 42 || len(s.Charges) != 1 {
			t.Errorf("%+v", s)
		}
		b.put(s, start.Add(doubt))
		is(t, rest(&b, start.Add(doubt+time.Second)), "map[]")
		if b.lost.Load() != 1 {
			t.Errorf("%d lost, want 1", b.lost.Load())
		}
	})
	t.Run("amounts stop at the largest number", func(t *testing.T) {
		b := newBacklog(10, "me")
		b.put(kept("a", math.MaxInt64), start)
		b.put(kept("a", 5), start)
		is(t, rest(&b, start), fmt.Sprintf("map[a:%d]", int64(math.MaxInt64)))
	})
	t.Run("many buckets go in batches", func(t *testing.T) {
		b := newBacklog(1000, "me")
		for i := range 3*batch + 1 {
			b.put(kept(fmt.Sprint(i), 1), start)
		}
		if s := b.next(start, func() uint64 { return 1 }); len(s.Charges) != batch {
			t.Errorf("%d at once, want %d", len(s.Charges), batch)
		}
		if n := len(rest(&b, start)); n != 2*batch+1 {
			t.Errorf("%d remain", n)
		}
	})
}
