package redis

import (
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
// of this limiter, also when it is sent again.
type settlement struct {
	number  uint64
	ticket  uint64    // whose holds it gives back; 0 = it gives back none
	sent    time.Time // first sent, with no answer; zero: not sent
	charges []charge
}

// charge is an amount for one bucket.
type charge struct {
	key    string
	amount int64
	window time.Duration
	at     time.Time // when it was kept; zero: it is made now
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
			s.ticket = t.Serial
		}
		if b.Settle && (actual > 0 || b.Take > 0) {
			s.charges = append(s.charges, charge{key: b.Key, amount: actual, window: b.Window})
		}
	}
	if len(s.charges) == 0 {
		return nil // free, and nothing is held
	}
	if l.breaker.away() != nil {
		return l.keep(s)
	}
	s.number = l.serial.Add(1)
	err := l.charge(ctx, &s)
	if err == nil {
		return nil
	}
	if !unsent(err) {
		s.sent = l.now()
	}
	return l.keep(s)
}

// charge sends a settlement. Marks of earlier ones whose answer has come go
// with it.
func (l *Limiter) charge(ctx context.Context, s *settlement) error {
	stale := l.takeStale()
	keys := append(make([]string, 0, 1+2*len(s.charges)), l.tag+"done:"+l.instance)
	args := make([]any, 0, 5+len(stale)+3*len(s.charges))
	id := strconv.FormatUint(s.number, 10)
	args = append(args, l.clock(), l.ticket(s.ticket), id, number(markLife.Milliseconds()), len(stale))
	for _, n := range stale {
		args = append(args, n)
	}
	now := l.now()
	for i := range s.charges {
		c := &s.charges[i]
		keys = l.windowKeys(keys, c.key)
		age := time.Duration(0)
		if !c.at.IsZero() {
			age = max(0, min(now.Sub(c.at), c.window-time.Microsecond))
		}
		args = append(args, number(c.amount), micros(c.window), micros(age))
	}
	if _, err := l.call(ctx, l.settle, keys, args); err != nil {
		l.giveStale(stale...)
		return err
	}
	l.giveStale(id)
	return nil
}

func (l *Limiter) takeStale() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := min(len(l.stale), staleMax)
	if n == 0 {
		return nil
	}
	taken := slices.Clone(l.stale[:n])
	l.stale = slices.Delete(l.stale, 0, n)
	return taken
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
			s.charges = append(s.charges, charge{key: k.Key, amount: k.Take, window: k.Window})
		}
	}
	if len(s.charges) > 0 {
		_ = l.keep(s) // counted by Lost
	}
}

// abandon has the holds of a draw given back whose answer was lost: nobody has
// its ticket.
func (l *Limiter) abandon(b []quota.Bucket, serial uint64) {
	s := settlement{number: l.serial.Add(1), ticket: serial, sent: l.now()}
	for i := range b {
		if k := &b[i]; k.Settle && k.Take > 0 {
			s.charges = append(s.charges, charge{key: k.Key, window: k.Window})
		}
	}
	if len(s.charges) > 0 {
		_ = l.keep(s) // counted by Lost
	}
}
