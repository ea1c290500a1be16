package auth

import (
	"context"
	"sync"
	"time"
)

// CallTimeout bounds each call that goes out: a token review, an access
// review, a metadata request, a fetch of keys. CheckTimeout bounds all of one
// Check together, so that a request is answered within five seconds whoever is
// away.
const (
	CallTimeout  = 3 * time.Second
	CheckTimeout = 4500 * time.Millisecond
)

// patience is a context that ends when CheckTimeout has passed. Most checks are
// answered from memory and wait for nobody: the timer is made when one does.
type patience struct {
	context.Context // the request's
	began           time.Time

	once   sync.Once
	inner  context.Context
	cancel context.CancelFunc
}

func (p *patience) open() context.Context {
	p.once.Do(func() {
		p.inner, p.cancel = context.WithDeadline(p.Context, p.began.Add(CheckTimeout))
	})
	return p.inner
}

// waits is the key by which a patience is found in what is made of it, which
// may have lost its end: what is asked for others too outlives a request.
type waits struct{}

func (p *patience) Value(key any) any {
	if key == (waits{}) {
		return p
	}
	return p.Context.Value(key)
}

// left is how long a call may take now.
func left(ctx context.Context) time.Duration {
	if p, ok := ctx.Value(waits{}).(*patience); ok {
		return min(CallTimeout, CheckTimeout-time.Since(p.began))
	}
	return CallTimeout
}

func (p *patience) Done() <-chan struct{}       { return p.open().Done() }
func (p *patience) Err() error                  { return p.open().Err() }
func (p *patience) Deadline() (time.Time, bool) { return p.open().Deadline() }

// end lets go of the timer. Nobody waits any more.
func (p *patience) end() {
	p.once.Do(func() { p.inner, p.cancel = p.Context, func() {} })
	p.cancel()
}
