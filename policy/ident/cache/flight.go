package cache

import (
	"context"
	"errors"
	"fmt"
	"sync"
)

// Flight lets concurrent askers of one Key share one answer: the first asks,
// the others wait for it. The zero value is ready. It is safe for concurrent
// use.
type Flight[V any] struct {
	mu    sync.Mutex
	calls map[Key]*call[V]
}

type call[V any] struct {
	done  chan struct{}
	value V
	err   error
}

// errAbandoned is what those who waited see when the one who asked panicked.
var errAbandoned = errors.New("the shared question was abandoned")

// ErrLeft is the error of one who waited and whose context ended before there
// was an answer. It wraps the context's.
var ErrLeft = errors.New("no answer in time")

// Do returns ask's answer, or that of a call for k which is under way already.
// ask runs in the caller's goroutine under a context that outlives ctx, because
// the answer is for others too: ask must bound itself. A caller that waits
// leaves when its ctx ends.
func (f *Flight[V]) Do(ctx context.Context, k Key, ask func(context.Context) (V, error)) (V, error) {
	f.mu.Lock()
	if c, ok := f.calls[k]; ok {
		f.mu.Unlock()
		select {
		case <-c.done:
			return c.value, c.err
		case <-ctx.Done():
			var zero V
			return zero, fmt.Errorf("%w: %w", ErrLeft, context.Cause(ctx))
		}
	}
	if f.calls == nil {
		f.calls = map[Key]*call[V]{}
	}
	c := &call[V]{done: make(chan struct{}), err: errAbandoned}
	f.calls[k] = c
	f.mu.Unlock()

	defer func() {
		f.mu.Lock()
		delete(f.calls, k)
		f.mu.Unlock()
		close(c.done)
	}()
	c.value, c.err = ask(context.WithoutCancel(ctx))
	return c.value, c.err
}
