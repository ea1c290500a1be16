package redis

import (
	"cmp"
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
	from string // whose numbers settlements bear that do not say
	lost atomic.Int64

	mu    sync.Mutex
	sums  map[string]charge
	whole []settlement
	kept  *diary // nil = what waits is in memory only
}

func newBacklog(most int, from string) backlog {
	return backlog{max: most, from: from, sums: make(map[string]charge)}
}

func (b *backlog) size() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.sums) + len(b.whole)
}

// put keeps a settlement and returns how many charges found no room.
func (b *backlog) put(s settlement, now time.Time) (lost int) {
	return b.back(settlement{}, s, now)
}

// back keeps a settlement in place of one that next took out.
func (b *backlog) back(taken, s settlement, now time.Time) (lost int) {
	for i := range s.Charges {
		if s.Charges[i].At.IsZero() {
			s.Charges[i].At = now
		}
	}
	s.From = cmp.Or(s.From, b.from)
	b.mu.Lock()
	defer b.mu.Unlock()
	lost = b.add(s)
	b.note(note{Done: taken.Number, From: taken.From, Kept: &s})
	return lost
}

// add sorts a settlement in. It needs the lock.
func (b *backlog) add(s settlement) (lost int) {
	if s.Ticket != 0 || !s.Sent.IsZero() {
		if len(b.sums)+len(b.whole) < b.max {
			b.whole = append(b.whole, s)
			return 0
		}
		if !s.Sent.IsZero() { // it may have arrived: merged, it could count twice
			b.lost.Add(int64(len(s.Charges)))
			return len(s.Charges)
		}
	} // without room its holds lapse by themselves, its charges may still merge
	for _, c := range s.Charges {
		if !b.merge(c) {
			lost++
		}
	}
	b.lost.Add(int64(lost))
	return lost
}

// merge adds a charge to the one of its bucket, as a window does.
func (b *backlog) merge(c charge) bool {
	old, known := b.sums[c.Key]
	switch {
	case c.Amount == 0:
		return true
	case known && c.At.Sub(old.At) < old.Window:
		c.At, c.Amount = old.At, plus(c.Amount, old.Amount)
	case !known && len(b.sums)+len(b.whole) >= b.max:
		return false
	}
	b.sums[c.Key] = c
	return true
}

// next takes out what is to be delivered next: whole settlements first, in
// order, then merged charges, a batch at a time. It has no charges when nothing
// waits. Numbers are given to merged charges. Whoever takes something out says
// back or done.
func (b *backlog) next(now time.Time, number func() uint64) (s settlement) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for len(b.whole) > 0 {
		s = b.whole[0]
		b.whole = slices.Delete(b.whole, 0, 1)
		if !s.Sent.IsZero() && now.Sub(s.Sent) > doubt {
			b.lost.Add(int64(len(s.Charges)))
			continue
		}
		if s.Charges = current(s.Charges, now); len(s.Charges) > 0 {
			return b.sent(s, now)
		}
	}
	s = settlement{From: b.from, Number: number()}
	for key, c := range b.sums {
		delete(b.sums, key)
		if now.Sub(c.At) < c.Window {
			s.Charges = append(s.Charges, c)
		}
		if len(s.Charges) == batch {
			break
		}
	}
	if len(s.Charges) == 0 {
		return s
	}
	return b.sent(s, now)
}

// sent writes down that a settlement is about to be sent. It needs the lock.
func (b *backlog) sent(s settlement, now time.Time) settlement {
	doubtful := s
	if s.Sent.IsZero() {
		doubtful.Sent = now
	}
	b.note(note{Sent: &doubtful})
	return s
}

// done is told that a settlement has arrived.
func (b *backlog) done(s settlement) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.note(note{Done: s.Number, From: s.From})
}

// current leaves out charges whose window would be over.
func current(charges []charge, now time.Time) []charge {
	return slices.DeleteFunc(charges, func(c charge) bool { return now.Sub(c.At) >= c.Window })
}

// plus adds two amounts that are not negative and stops at the largest number.
func plus(a, b int64) int64 {
	if sum := a + b; sum >= 0 {
		return sum
	}
	return 1<<63 - 1
}
