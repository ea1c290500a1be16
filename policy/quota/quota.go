package quota

import (
	"context"
	"time"
)

// Bucket is one fixed window to draw from: a rate of a limit, for one route
// and one set of counter values.
type Bucket struct {
	Key    string        // unique: limit ID, route, counter values and rate
	Max    int64         // the window's budget
	Window time.Duration // opens at the first charge after the last one ended (Kuadrant: fixed, not clock-aligned)
	// Take is drawn at once. With Take 0 the bucket is only checked: it passes
	// while used < Max, and is charged when the ticket is settled.
	Take int64
	// Settle says that the actual amount arrives with Settle and replaces Take.
	Settle bool
	// TTL returns a Take that was never settled; 0 keeps it for the window.
	TTL time.Duration
	// Closed refuses when the counters cannot be reached.
	Closed bool
}

// State is what a bucket looks like after a decision.
type State struct {
	Max, Used int64         // Used counts reservations as well
	Reset     time.Duration // until the window ends; the whole Window when it has not opened
}

// Left is what remains of the budget, never negative.
func (s State) Left() int64 { return max(0, s.Max-s.Used) }

// Ticket is a granted draw. The zero Ticket settles nothing.
type Ticket struct {
	Buckets []Bucket
	Taken   time.Time
	// Serial tells reservations apart within one limiter.
	Serial uint64

	grant *grant // marks the ticket as settled, for all its copies
}

// NewTicket is the ticket of a draw that a limiter has granted. All copies of
// it are settled as one.
func NewTicket(b []Bucket, taken time.Time, serial uint64) Ticket {
	return Ticket{Buckets: b, Taken: taken, Serial: serial, grant: &grant{}}
}

// Spend marks a ticket as settled and reports whether it was not before. A
// ticket that was put together by hand, for a call that was let through while
// the counters were out of reach, can be spent any number of times.
func (t Ticket) Spend() bool {
	return t.grant == nil || t.grant.settled.CompareAndSwap(false, true)
}

// Verdict answers a draw on several buckets.
type Verdict struct {
	Allowed bool
	Full    int     // index of the bucket that refused; -1 when allowed
	States  []State // one per bucket, in order
	Ticket  Ticket  // zero unless allowed
}

// Limiter holds windows. Implementations: Memory here; a shared one beside it.
type Limiter interface {
	// Reserve draws from all buckets or from none. The error is about the
	// counters being out of reach, never about a full bucket.
	Reserve(ctx context.Context, b []Bucket) (Verdict, error)
	// Settle replaces what the ticket's Settle buckets took by actual (0 = the
	// call was free). It is idempotent per ticket.
	Settle(ctx context.Context, t Ticket, actual int64) error
}
