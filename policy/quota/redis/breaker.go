package redis

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"sync/atomic"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

// Calls that fail in a row until the counters count as out of reach: so many,
// and where they were not answered in time also for so long. A hundred calls
// that wait while the server or this process has no CPU for a moment fail at
// once, and are one slow moment.
const (
	patience = 3
	stall    = 400 * time.Millisecond
)

// breaker spares callers the wait for a server that does not answer. It opens
// by itself; only a probe closes it, so that no request has to try.
type breaker struct {
	failed atomic.Int32
	since  atomic.Int64          // when the first of these failed, in nanoseconds
	cause  atomic.Pointer[error] // why it is open; nil = it is not
}

// away is the error for those who call while the breaker is open.
func (b *breaker) away() error {
	if cause := b.cause.Load(); cause != nil {
		return *cause
	}
	return nil
}

func (b *breaker) good() {
	if b.failed.Load() != 0 {
		b.failed.Store(0)
	}
}

// bad counts a failure and reports whether it opened the breaker.
func (b *breaker) bad(err error, now time.Time) bool {
	n := b.failed.Add(1)
	if n == 1 {
		b.since.Store(now.UnixNano())
	}
	slow := errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, goredis.ErrPoolTimeout)
	if n < patience || slow && now.Sub(time.Unix(0, b.since.Load())) < stall {
		return false
	}
	return b.cause.CompareAndSwap(nil, &err)
}

// trip opens the breaker at once.
func (b *breaker) trip(err error) { b.cause.Store(&err) }

// reset closes the breaker.
func (b *breaker) reset() {
	b.failed.Store(0)
	b.cause.Store(nil)
}

// unreachable names the server in an error.
func (l *Limiter) unreachable(err error) error {
	return fmt.Errorf("shared counters at %s are out of reach: %w", l.name, err)
}

// unsent reports whether an error says that a script has certainly not run:
// there was no connection, or the server answered that it will not.
func unsent(err error) bool {
	var dial *net.OpError
	var refused goredis.Error
	return errors.As(err, &dial) && dial.Op == "dial" || errors.As(err, &refused) ||
		errors.Is(err, goredis.ErrPoolTimeout) || errors.Is(err, goredis.ErrPoolExhausted)
}
