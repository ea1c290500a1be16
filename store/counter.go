package store

import (
	"context"
	"time"
)

// Counter is the state of one fixed window of one limit for one caller.
type Counter struct {
	Key    string        // limit and caller, as the quota names them; opaque here
	Used   int64         // charged so far: an absolute figure, so the next write repairs one that was lost
	Opened time.Time     // start of the window
	Window time.Duration // length of the window
}

// Live reports whether the window is still open at the given time.
func (c Counter) Live(now time.Time) bool { return now.Before(c.Opened.Add(c.Window)) }

// Counters holds counters, so that a restart gives nobody a fresh budget (acceptance maas 116).
type Counters interface {
	// SaveCounters sets the counters, all or none; of two with one key the later in the slice wins.
	SaveCounters(ctx context.Context, c []Counter) error
	// Counters lists the counters whose window is open at the given time, by key, and forgets the others.
	Counters(ctx context.Context, now time.Time) ([]Counter, error)
}
