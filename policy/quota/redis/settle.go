package redis

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/egret-gateway/egret/policy/quota"
)

const (
	markLife = 2 * time.Hour // how long a settlement is known again after the last one
	doubt    = time.Hour     // how long a settlement whose answer was lost is sent again; shorter than markLife
	staleMax = 64            // marks that one settlement removes
)

// settlement charges some buckets at once. Its number tells it from the others
// of its limiter, also when it is sent again, be it by a later process.
type settlement struct {
	From    string    `json:",omitempty"` // the limiter that numbered it; "" = this one
	Number  uint64    `json:",omitempty"`
	Ticket  uint64    `json:",omitempty"` // whose holds it gives back; 0 = it gives back none
	Sent    time.Time `json:",omitzero"`  // first sent, with no answer; zero: not sent
	Charges []charge
}

// charge is an amount for one bucket.
type charge struct {
	Key    string
	Amount int64         `json:",omitempty"`
	Window time.Duration // how long one lasts
	At     time.Time     // when it was kept; zero: it is made now
}

// Settle implements quota.Limiter. Charges that cannot be delivered are kept;
// the error says that there is no room for them either.
func (l *Limiter) Settle(ctx context.Context, t quota.Ticket, actual int64) error {
	if !t.Spend() {
		return nil
	}
	actual = max(0, actual)
	s := settlement{}
	for i := range t.Buckets {
		b := &t.Buckets[i]
		if b.Settle && b.Take > 0 {
			s.Ticket = t.Serial
		}
		if b.Settle && (actual > 0 || b.Take > 0) {
			s.Charges = append(s.Charges, charge{Key: b.Key, Amount: actual, Window: b.Window})
		}
	}
	if len(s.Charges) == 0 {
		return nil // free, and nothing is held
	}
	s.Number = l.serial.Add(1)
	if l.breaker.away() != nil {
		return l.keep(s)
	}
	err := l.charge(ctx, &s)
	if err == nil {
		l.arrived(s)
		return nil
	}
	if !unsent(err) {
		s.Sent = l.now()
	}
	return l.keep(s)
}

// charge sends a settlement. Marks of earlier ones whose answer has come go
// with it.
func (l *Limiter) charge(ctx context.Context, s *settlement) error {
	from, stale := cmp.Or(s.From, l.instance), l.takeStale(s.From)
	keys := append(make([]string, 0, 1+2*len(s.Charges)), l.tag+"done:"+from)
	args := make([]any, 0, 5+len(stale)+3*len(s.Charges))
	id := strconv.FormatUint(s.Number, 10)
	args = append(args, l.clock(), ticket(from, s.Ticket), id, number(markLife.Milliseconds()), len(stale))
	for _, n := range stale {
		args = append(args, n)
	}
	now := l.now()
	for i := range s.Charges {
		c := &s.Charges[i]
		keys = l.windowKeys(keys, c.Key)
		age := time.Duration(0)
		if !c.At.IsZero() {
			age = max(0, min(now.Sub(c.At), c.Window-time.Microsecond))
		}
		args = append(args, number(c.Amount), micros(c.Window), micros(age))
	}
	if _, err := l.call(ctx, l.settle, keys, args); err != nil {
		l.giveStale(stale...)
		return err
	}
	return nil
}

// takeStale takes out marks that may go with a settlement of a limiter. Those
// of limiters before this one go by themselves.
func (l *Limiter) takeStale(from string) []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := min(len(l.stale), staleMax)
	if n == 0 || from != "" && from != l.instance {
		return nil
	}
	taken := slices.Clone(l.stale[:n])
	l.stale = slices.Delete(l.stale, 0, n)
	return taken
}

// arrived is told that a settlement's answer has come: nobody will send it again.
func (l *Limiter) arrived(s settlement) {
	if s.From == "" || s.From == l.instance {
		l.giveStale(strconv.FormatUint(s.Number, 10))
	}
}

// giveStale remembers marks that may go. Those that find no room stay until
// this limiter has been silent for markLife.
func (l *Limiter) giveStale(ids ...string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.stale)+len(ids) <= 16*staleMax {
		l.stale = append(l.stale, ids...)
	}
}

// keep puts a settlement by until the counters are back.
func (l *Limiter) keep(s settlement) error {
	if lost := l.backlog.put(s, l.now()); lost > 0 {
		return fmt.Errorf("%d charges found no room among those kept for the shared counters at %s", lost, l.name)
	}
	return nil
}

// pass keeps what a call takes for good that passes although the counters are
// out of reach. It does not when a bucket asks to be closed.
func (l *Limiter) pass(b []quota.Bucket) {
	s := settlement{}
	for i := range b {
		switch k := &b[i]; {
		case k.Closed:
			return
		case !k.Settle && k.Take > 0:
			s.Charges = append(s.Charges, charge{Key: k.Key, Amount: k.Take, Window: k.Window})
		}
	}
	if len(s.Charges) > 0 {
		_ = l.keep(s) // counted by Lost
	}
}

// abandon has the holds of a draw given back whose answer was lost: nobody has
// its ticket.
func (l *Limiter) abandon(b []quota.Bucket, serial uint64) {
	s := settlement{Number: l.serial.Add(1), Ticket: serial, Sent: l.now()}
	for i := range b {
		if k := &b[i]; k.Settle && k.Take > 0 {
			s.Charges = append(s.Charges, charge{Key: k.Key, Window: k.Window})
		}
	}
	if len(s.Charges) > 0 {
		_ = l.keep(s) // counted by Lost
	}
}
