package quotatest

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/egret-gateway/egret/policy/quota"
)

// history plays random draws, settlements and pauses, and compares every
// verdict with a model that is too simple to be wrong.
func history(b *bench) {
	for seed := range uint64(40) {
		r := rand.New(rand.NewPCG(seed, 1))
		m := &model{bench: b, windows: make(map[string]*account)}
		prefix := fmt.Sprint(seed, "/")
		for step := range 300 {
			switch r.IntN(5) {
			case 0:
				b.pass(time.Duration(r.IntN(20)) * time.Second)
			case 1, 2:
				if len(m.open) > 0 {
					m.settle(r.IntN(len(m.open)), int64(r.IntN(40)))
				}
			default:
				m.draw(step, buckets(r, prefix))
			}
		}
	}
}

// buckets makes up to three different buckets of the three usual sorts.
func buckets(r *rand.Rand, prefix string) (out []quota.Bucket) {
	for i := range 1 + r.IntN(3) {
		key := fmt.Sprint(prefix, i, r.IntN(2))
		k := quota.Bucket{Key: key, Max: 60, Window: time.Duration(1+i) * 20 * time.Second, Settle: r.IntN(3) > 0}
		if !k.Settle || r.IntN(2) == 0 {
			k.Take = int64(1 + r.IntN(25))
			k.TTL = time.Duration(r.IntN(3)) * 9 * time.Second
		}
		out = append(out, k)
	}
	return out
}

// model keeps every charge and reservation as an entry of its own.
type model struct {
	*bench
	windows map[string]*account
	open    []quota.Ticket
	serial  []int
	next    int
}

type account struct {
	opened  time.Time
	entries []entry
}

type entry struct {
	ticket int // of a reservation
	amount int64
	until  time.Time // zero = it stays
}

// at returns a bucket's window, opening it when asked to.
func (m *model) at(k quota.Bucket, create bool) *account {
	a := m.windows[k.Key]
	if a != nil && m.now().Before(a.opened.Add(k.Window)) {
		return a
	}
	a = &account{opened: m.now()}
	if create {
		m.windows[k.Key] = a
	}
	return a
}

func (m *model) used(k quota.Bucket) (sum int64) {
	for _, e := range m.at(k, false).entries {
		if e.until.IsZero() || m.now().Before(e.until) {
			sum += e.amount
		}
	}
	return sum
}

func (m *model) draw(step int, ks []quota.Bucket) {
	m.Helper()
	full := -1
	for i, k := range ks {
		if full < 0 && m.used(k)+max(1, k.Take) > k.Max {
			full = i
		}
	}
	v := m.bench.draw(ks...)
	if v.Full != full {
		m.Fatalf("step %d: refused by %d, want %d: %+v", step, v.Full, full, v.States)
	}
	if full < 0 {
		m.next++
		m.open, m.serial = append(m.open, v.Ticket), append(m.serial, m.next)
		for _, k := range ks {
			if k.Take > 0 {
				e := entry{amount: k.Take}
				if k.Settle {
					e.ticket = m.next
					if k.TTL > 0 {
						e.until = m.now().Add(k.TTL)
					}
				}
				a := m.at(k, true)
				a.entries = append(a.entries, e)
			}
		}
	}
	for i, k := range ks {
		want := quota.State{Max: k.Max, Used: m.used(k), Reset: m.at(k, false).opened.Add(k.Window).Sub(m.now())}
		if v.States[i] != want {
			m.Fatalf("step %d: bucket %d: state %+v, want %+v", step, i, v.States[i], want)
		}
	}
}

func (m *model) settle(i int, actual int64) {
	m.Helper()
	t, serial := m.open[i], m.serial[i]
	m.bench.settle(t, actual)
	for _, k := range t.Buckets {
		if !k.Settle {
			continue
		}
		a := m.at(k, actual > 0)
		for j := range a.entries {
			if a.entries[j].ticket == serial {
				a.entries[j].amount = 0
			}
		}
		a.entries = append(a.entries, entry{amount: actual})
	}
	if len(m.open) > 1 && i%2 == 0 { // the others stay and are settled again, to no effect
		m.open, m.serial = append(m.open[:i:i], m.open[i+1:]...), append(m.serial[:i:i], m.serial[i+1:]...)
	} else {
		m.open, m.serial = nil, nil
	}
}
