package provider

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"
	"time"
)

// headStart is what the first family of addresses has before the other is tried
// beside it (RFC 8305 section 5).
const headStart = 250 * time.Millisecond

// race connects to the first of the addresses that answers: those of one family
// one after the other, and those of the other beside them when that takes long
// or has failed. It returns when nothing of it is under way any more.
func race(ctx context.Context, at []netip.Addr, connect func(context.Context, netip.Addr) (net.Conn, error)) (net.Conn, error) {
	one, other := families(at)
	if len(other) == 0 {
		return each(ctx, one, connect)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var mu sync.Mutex
	var won net.Conn
	var errs [2]error
	run := func(i int, group []netip.Addr) {
		c, err := each(ctx, group, connect)
		mu.Lock()
		defer mu.Unlock()
		switch {
		case err != nil:
			errs[i] = err
		case won == nil:
			won = c
			cancel()
		default:
			c.Close()
		}
	}
	var all sync.WaitGroup
	failed := make(chan struct{})
	all.Go(func() { run(0, one); close(failed) })
	all.Go(func() {
		begin := time.NewTimer(headStart)
		defer begin.Stop()
		select {
		case <-failed:
		case <-begin.C:
		case <-ctx.Done():
		}
		if ctx.Err() == nil {
			run(1, other)
		}
	})
	all.Wait()
	if won != nil {
		return won, nil
	}
	return nil, errors.Join(errs[:]...)
}

// families parts addresses into those of the first one's family and the others.
func families(at []netip.Addr) (one, other []netip.Addr) {
	for _, a := range at {
		if a.Is4() == at[0].Is4() {
			one = append(one, a)
		} else {
			other = append(other, a)
		}
	}
	return one, other
}

// each tries one address after the other; each has its share of the time.
func each(ctx context.Context, at []netip.Addr, connect func(context.Context, netip.Addr) (net.Conn, error)) (net.Conn, error) {
	var errs []error
	for i, a := range at {
		share, cancel := ctx, context.CancelFunc(func() {})
		if deadline, ok := ctx.Deadline(); ok {
			left := time.Until(deadline)
			share, cancel = context.WithTimeout(ctx, max(left/time.Duration(len(at)-i), min(left, 2*time.Second)))
		}
		c, err := connect(share, a)
		cancel()
		if err == nil {
			return c, nil
		}
		errs = append(errs, err)
		if ctx.Err() != nil {
			break
		}
	}
	return nil, errors.Join(errs...)
}
