package quota

import (
	"context"
	"hash/maphash"
	"math/bits"
	"sync"
	"sync/atomic"
	"time"

	"github.com/egret-gateway/egret/store"
)

// Options are the settings of a Memory limiter. The zero value works.
type Options struct {
	Now func() time.Time // nil = time.Now
	// Max is how many windows are held, by default 1,000,000 (about 300 bytes
	// each). When they are all open, the one that ends first makes room: its
	// caller gets the rest of that window afresh, which is the least that can
	// be given away.
	Max int
	// Save is told every charge, with the absolute figure and without what is
	// only reserved. It is called under the window's lock, so that figures of
	// one key come in order: it must not block nor call the limiter.
	Save func(store.Counter)
}

// Memory is a Limiter in this process. It starts no goroutine: windows that
// have ended are dropped by later calls. It is safe for concurrent use.
type Memory struct {
	now    func() time.Time
	save   func(store.Counter)
	seed   maphash.Seed
	serial atomic.Uint64
	shards []shard // a power of two, at most 64: a draw's shards are bits of one word
}

var _ Limiter = (*Memory)(nil)

// shard holds the windows of some keys.
type shard struct {
	mu    sync.Mutex
	max   int
	open  map[string]*window
	byEnd byEnd
	_     [64]byte // keeps the locks of two shards on different cache lines
}

// NewMemory returns an empty limiter.
func NewMemory(o Options) *Memory {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Max <= 0 {
		o.Max = 1_000_000
	}
	n := 1 << (bits.Len(uint(min(o.Max, 64))) - 1)
	m := &Memory{now: o.Now, save: o.Save, seed: maphash.MakeSeed(), shards: make([]shard, n)}
	for i := range m.shards {
		m.shards[i].max = o.Max / n
		m.shards[i].open = make(map[string]*window)
	}
	return m
}

// Reserve implements Limiter. Its error is always nil. The ticket keeps b,
// which must not change before it is settled.
func (m *Memory) Reserve(_ context.Context, b []Bucket) (Verdict, error) {
	g := &grant{}
	v := Verdict{Full: -1, States: g.states[:0]}
	defer m.lock(b, false).unlock()
	now := m.now() // under the lock, so that no window opens later than now
	for i := range b {
		s := m.look(&b[i], now)
		v.States = append(v.States, s)
		if v.Full < 0 && !fits(b, i, s.Used) {
			v.Full = i
		}
	}
	if v.Full >= 0 {
		return v, nil
	}
	v.Allowed = true
	v.Ticket = Ticket{Buckets: b, Taken: now, Serial: m.serial.Add(1), grant: g}
	for i := range b {
		if b[i].Take > 0 {
			m.take(&b[i], v.Ticket.Serial, now)
		}
	}
	for i := range b {
		v.States[i] = m.look(&b[i], now)
	}
	return v, nil
}

// Settle implements Limiter. Its error is always nil.
func (m *Memory) Settle(_ context.Context, t Ticket, actual int64) error {
	if !t.Spend() {
		return nil
	}
	actual = max(0, actual)
	defer m.lock(t.Buckets, true).unlock()
	now := m.now()
	for i := range t.Buckets {
		if b := &t.Buckets[i]; b.Settle {
			m.settle(b, t.Serial, actual, now)
		}
	}
	return nil
}

// Restore takes up windows that are still open, as Save was told them. It is
// meant for an empty limiter, before the first call.
func (m *Memory) Restore(counters []store.Counter) {
	now := m.now()
	for _, c := range counters {
		if c.Used <= 0 || c.Window <= 0 || !c.Live(now) {
			continue
		}
		if c.Opened.After(now) { // the clock went back: nobody waits longer than a window
			c.Opened = now
		}
		s := &m.shards[m.place(c.Key)]
		s.mu.Lock()
		w := s.reach(c.Key, c.Opened, c.Window, now)
		w.charged = max(w.charged, c.Used)
		s.mu.Unlock()
	}
}

// fits reports whether bucket i has room. A key that occurs twice in one draw
// has to bear both.
func fits(b []Bucket, i int, used int64) bool {
	for k := range i {
		if b[k].Key == b[i].Key {
			used = add(used, max(0, b[k].Take))
		}
	}
	return b[i].Max > 0 && max(1, b[i].Take) <= b[i].Max-used // cannot overflow: neither is negative
}

// place is the shard of a key.
func (m *Memory) place(key string) int {
	return int(maphash.String(m.seed, key) & uint64(len(m.shards)-1))
}

// Len is how many windows are held, some of which may have ended.
func (m *Memory) Len() (n int) {
	for i := range m.shards {
		m.shards[i].mu.Lock()
		n += len(m.shards[i].open)
		m.shards[i].mu.Unlock()
	}
	return n
}
