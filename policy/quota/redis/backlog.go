package redis

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// batch is how many merged charges one settlement delivers.
const batch = 32

// backlog is what waits for the counters: charges that were never sent, merged
// by bucket, and settlements that must stay as they are, because they give back
// holds or may have arrived already. A charge whose window would be over is of
// no use any more and goes.
type backlog struct {
	max  int
	lost atomic.Int64

	mu    sync.Mutex
	sums  map[string]charge
	whole []settlement
}

func newBacklog(most int) backlog {
	return backlog{max: most, sums: make(map[string]charge)}
}

func (b *backlog) size() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.sums) + len(b.whole)
}

// put keeps a settlement and returns how many charges found no room.
func (b *backlog) put(s settlement, now time.Time) (lost int) {
	for i := range s.charges {
		if s.charges[i].at.IsZero() {
			s.charges[i].at = now
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if s.ticket != 0 || !s.sent.IsZero() {
		if len(b.sums)+len(b.whole) < b.max {
			b.whole = append(b.whole, s)
			return 0
		}
		if !s.sent.IsZero() { // it may have arrived: merged, it could count twice
			b.lost.Add(int64(len(s.charges)))
			return len(s.charges)
		}
	} // without room its holds lapse by themselves, its charges may still merge
	for _, c := range s.charges {
		if !b.merge(c, now) {
			lost++
		}
	}
	b.lost.Add(int64(lost))
	return lost
}

// merge adds a charge to the one of its bucket, as a window does.
func (b *backlog) merge(c charge, now time.Time) bool {
	old, known := b.sums[c.key]
	switch {
	case c.amount == 0:
		return true
	case known && now.Sub(old.at) < old.window:
		c.at, c.amount = old.at, add(c.amount, old.amount)
	case !known && len(b.sums)+len(b.whole) >= b.max:
		return false
	}
	b.sums[c.key] = c
	return true
}

// next takes out what is to be delivered next: whole settlements first, in
// order, then merged charges, a batch at a time. It has no charges when nothing
// waits. Numbers are given to those that have none.
func (b *backlog) next(now time.Time, number func() uint64) (s settlement) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for len(b.whole) > 0 {
		s = b.whole[0]
		b.whole = slices.Delete(b.whole, 0, 1)
		if !s.sent.IsZero() && now.Sub(s.sent) > doubt {
			b.lost.Add(int64(len(s.charges)))
			continue
		}
		if s.charges = current(s.charges, now); len(s.charges) > 0 {
			if s.number == 0 {
				s.number = number()
			}
			return s
		}
	}
	s = settlement{number: number()}
	for key, c := range b.sums {
		delete(b.sums, key)
		if now.Sub(c.at) < c.window {
			s.charges = append(s.charges, c)
		}
		if len(s.charges) == batch {
			break
		}
	}
	return s
}

// current leaves out charges whose window would be over.
func current(charges []charge, now time.Time) []charge {
	return slices.DeleteFunc(charges, func(c charge) bool { return now.Sub(c.at) >= c.window })
}

// add adds two amounts that are not negative and stops at the largest number.
func add(a, b int64) int64 {
	if sum := a + b; sum >= 0 {
		return sum
	}
	return 1<<63 - 1
}
