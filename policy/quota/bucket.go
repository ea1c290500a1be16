package quota

import (
	"container/heap"
	"math"
	"time"

	"github.com/egret-gateway/egret/store"
)

// window is one bucket's open window.
type window struct {
	key     string
	opened  time.Time
	length  time.Duration
	charged int64 // for good
	held    int64 // reserved: the sum of holds
	holds   map[uint64]hold
	lapse   time.Time // when the first hold may lapse; zero = none does
	at      int       // place in the shard's heap
}

// hold is what one ticket has reserved.
type hold struct {
	amount int64
	until  time.Time // zero = as long as the window
}

// end is when the window closes.
func (w *window) end() time.Time { return w.opened.Add(w.length) }

// live reports whether the window is open.
func (w *window) live(now time.Time) bool { return now.Before(w.end()) }

// used counts charges and reservations.
func (w *window) used() int64 { return add(w.charged, w.held) }

// reserve holds an amount back for a ticket.
func (w *window) reserve(serial uint64, amount int64, until time.Time) {
	if w.holds == nil {
		w.holds = make(map[uint64]hold)
	}
	h := w.holds[serial] // a ticket may draw twice on one key
	w.holds[serial] = hold{amount: add(h.amount, amount), until: until}
	w.held = add(w.held, amount)
	if !until.IsZero() && (w.lapse.IsZero() || until.Before(w.lapse)) {
		w.lapse = until
	}
}

// release gives back what a ticket holds, if anything.
func (w *window) release(serial uint64) {
	if h, ok := w.holds[serial]; ok {
		w.held -= h.amount
		delete(w.holds, serial)
	}
}

// expire gives back the holds whose time has passed.
func (w *window) expire(now time.Time) {
	if w.lapse.IsZero() || now.Before(w.lapse) {
		return
	}
	w.lapse = time.Time{}
	for serial, h := range w.holds {
		switch {
		case h.until.IsZero():
		case !now.Before(h.until):
			w.release(serial)
		case w.lapse.IsZero() || h.until.Before(w.lapse):
			w.lapse = h.until
		}
	}
}

// find returns a key's open window, or nil.
func (s *shard) find(key string, now time.Time) *window {
	w := s.open[key]
	if w == nil || !w.live(now) {
		return nil
	}
	w.expire(now)
	return w
}

// reach returns a key's open window and opens one if there is none. It sweeps
// first, so that windows that ended make room before open ones have to.
func (s *shard) reach(key string, opened time.Time, length time.Duration, now time.Time) *window {
	if w := s.find(key, now); w != nil {
		return w
	}
	s.sweep(now)
	if w := s.open[key]; w != nil { // ended, but not swept yet
		s.drop(w)
	}
	if len(s.open) >= s.max {
		s.drop(s.byEnd[0])
	}
	w := &window{key: key, opened: opened, length: length}
	s.open[key] = w
	heap.Push(&s.byEnd, w)
	return w
}

// sweep drops a few windows that have ended: more than one opens at a time, so
// that the rest shrinks.
func (s *shard) sweep(now time.Time) {
	for range 4 {
		if len(s.byEnd) == 0 || s.byEnd[0].live(now) {
			return
		}
		s.drop(s.byEnd[0])
	}
}

// drop forgets a window.
func (s *shard) drop(w *window) {
	heap.Remove(&s.byEnd, w.at)
	delete(s.open, w.key)
}

// byEnd is a heap: the window that ends first is at the top.
type byEnd []*window

func (h byEnd) Len() int           { return len(h) }
func (h byEnd) Less(i, j int) bool { return h[i].end().Before(h[j].end()) }
func (h byEnd) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].at, h[j].at = i, j
}

// Push implements heap.Interface.
func (h *byEnd) Push(x any) {
	w := x.(*window)
	w.at = len(*h)
	*h = append(*h, w)
}

// Pop implements heap.Interface.
func (h *byEnd) Pop() any {
	last := len(*h) - 1
	w := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	return w
}

// look tells a bucket's state. The shard is locked.
func (m *Memory) look(b *Bucket, now time.Time) State {
	w := m.shards[m.place(b.Key)].find(b.Key, now)
	if w == nil {
		return State{Max: b.Max, Reset: b.Window}
	}
	return State{Max: b.Max, Used: w.used(), Reset: w.end().Sub(now)}
}

// take draws a bucket's Take, for good or, when it is settled later, as a
// reservation. The shard is locked.
func (m *Memory) take(b *Bucket, serial uint64, now time.Time) {
	w := m.shards[m.place(b.Key)].reach(b.Key, now, b.Window, now)
	if !b.Settle {
		m.charge(w, b.Take)
		return
	}
	var until time.Time
	if b.TTL > 0 {
		until = now.Add(b.TTL)
	}
	w.reserve(serial, b.Take, until)
}

// settle puts the actual amount in place of what the ticket took. The shard is
// locked.
func (m *Memory) settle(b *Bucket, serial uint64, actual int64, now time.Time) {
	s := &m.shards[m.place(b.Key)]
	w := s.find(b.Key, now)
	if w != nil {
		w.release(serial)
	}
	if actual == 0 {
		return // free, and nothing to open a window for
	}
	if w == nil {
		w = s.reach(b.Key, now, b.Window, now)
	}
	m.charge(w, actual)
}

// charge adds to a window for good.
func (m *Memory) charge(w *window, n int64) {
	w.charged = add(w.charged, n)
	if m.save != nil {
		m.save(store.Counter{Key: w.key, Used: w.charged, Opened: w.opened, Window: w.length})
	}
}

// add adds two amounts that are not negative; the sum stops at the largest
// number instead of turning negative.
func add(a, b int64) int64 {
	if a > math.MaxInt64-b {
		return math.MaxInt64
	}
	return a + b
}
