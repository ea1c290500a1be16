package provider

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"
)

// How long what DNS said is believed.
const (
	// fresh is how long an answer serves. It is below the TTLs that are given
	// in practice, which the standard library does not tell, and as long as
	// that of the Envoy plane.
	fresh = 5 * time.Second
	// stale is how long after that an answer serves when no other is to be had.
	stale = 5 * time.Minute
	// patience is for one lookup.
	patience = 3 * time.Second
	// mostNames are remembered, and mostAddresses of one name used.
	mostNames     = 1024
	mostAddresses = 32
)

// names remembers for a moment where names lead. What comes of it is checked
// at each dial, so that to remember, or not to, opens nothing.
type names struct {
	lookup func(ctx context.Context, host string) ([]netip.Addr, error)

	mu    sync.Mutex
	known map[string]*answer
}

// answer is what is known of a name. done is closed when the first lookup has
// ended.
type answer struct {
	done    chan struct{}
	asking  bool
	at      time.Time // of the last success
	failed  time.Time // of the last failure
	addrs   []netip.Addr
	err     error // of the last lookup; nil when it succeeded
	turn    int
	touched time.Time
}

// find returns the addresses of a name in their order, another one first each
// time so that connections spread. An address is its own.
func (n *names) find(ctx context.Context, host string) ([]netip.Addr, error) {
	if a, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{a.Unmap()}, nil
	}
	host = strings.ToLower(host)
	for {
		now := time.Now()
		n.mu.Lock()
		a := n.entry(host, now)
		if len(a.addrs) > 0 && (now.Sub(a.at) < fresh || (a.asking || now.Sub(a.failed) < fresh) && now.Sub(a.at) < stale) {
			defer n.mu.Unlock()
			return a.next(), nil
		}
		if !a.asking {
			a.asking, a.done = true, make(chan struct{})
			n.mu.Unlock()
			return n.ask(ctx, host, a)
		}
		done := a.done
		n.mu.Unlock()
		select {
		case <-done:
		case <-ctx.Done():
			return nil, fmt.Errorf("look up %s: %w", host, ctx.Err())
		}
		n.mu.Lock()
		if a.err == nil || len(a.addrs) > 0 {
			n.mu.Unlock()
			continue
		}
		defer n.mu.Unlock()
		return nil, a.err
	}
}

// ask looks a name up for all who wait. Its patience is its own: whoever asked
// first may leave, and the others still want to know.
func (n *names) ask(ctx context.Context, host string, a *answer) ([]netip.Addr, error) {
	limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	found, err := n.lookup(limited, Rooted(host))
	if err == nil && len(found) == 0 {
		err = errors.New("no addresses")
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	defer close(a.done)
	a.asking = false
	now := time.Now()
	if err != nil {
		if now.Sub(a.at) >= stale || Gone(err) && Gone(a.err) {
			a.addrs = nil
		}
		a.err, a.failed = fmt.Errorf("look up %s: %w", host, err), now
		if len(a.addrs) == 0 {
			return nil, a.err
		}
		return a.next(), nil
	}
	a.err, a.at, a.addrs = nil, now, found[:min(len(found), mostAddresses)]
	for i := range a.addrs {
		a.addrs[i] = a.addrs[i].Unmap()
	}
	return a.next(), nil
}

// last is what the last lookup of a name came to.
func (n *names) last(host string) (found []netip.Addr, at time.Time, err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	a := n.known[strings.ToLower(host)]
	switch {
	case a == nil:
		return nil, time.Time{}, nil
	case a.failed.After(a.at):
		return nil, a.failed, a.err
	}
	return slices.Clone(a.addrs), a.at, nil
}

// entry is what is known of a name, the newest of mostNames. The caller holds
// n.mu.
func (n *names) entry(host string, now time.Time) *answer {
	a := n.known[host]
	if a == nil {
		if n.known == nil {
			n.known = map[string]*answer{}
		}
		if len(n.known) >= mostNames {
			n.forget()
		}
		a = &answer{}
		n.known[host] = a
	}
	a.touched = now
	return a
}

// forget drops the name that was asked for least lately; when all are being asked
// for just now, any.
func (n *names) forget() {
	oldest, waits := "", true
	for host, a := range n.known {
		if oldest == "" || waits && !a.asking || waits == a.asking && a.touched.Before(n.known[oldest].touched) {
			oldest, waits = host, a.asking
		}
	}
	delete(n.known, oldest)
}

// next are the addresses, beginning with another of the first family each time.
func (a *answer) next() []netip.Addr {
	first := len(a.addrs)
	for i, b := range a.addrs {
		if b.Is4() != a.addrs[0].Is4() {
			first = i
			break
		}
	}
	at := a.turn % first
	a.turn++
	out := make([]netip.Addr, 0, len(a.addrs))
	out = append(out, a.addrs[at:first]...)
	out = append(out, a.addrs[:at]...)
	return append(out, a.addrs[first:]...)
}
