package kube

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// LostRate is how many reviews a second are made while the source of denials
// is silent.
const LostRate = 100

// patience is how long a review waits for its turn then, before it is refused.
const patience = 2 * time.Second

// pace spreads events LostRate a second, without bursts. The zero value is ready.
type pace struct {
	mu   sync.Mutex
	next time.Time
}

// wait returns when it is the caller's turn, or with an error when that would
// come too late.
func (p *pace) wait(ctx context.Context, now time.Time) error {
	p.mu.Lock()
	turn := p.next
	if turn.Before(now) {
		turn = now
	}
	delay := turn.Sub(now)
	if delay > patience {
		p.mu.Unlock()
		return fmt.Errorf("the list of revoked tokens is out of reach, and more than %d tokens a second would have to be reviewed", LostRate)
	}
	p.next = turn.Add(time.Second / LostRate)
	p.mu.Unlock()
	if delay == 0 {
		return nil
	}
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
