package xds

import (
	"sync"
	"time"
)

// node is one configured thing with all its streams.
type node struct {
	id       string
	patience time.Duration

	mu      sync.Mutex // guards what follows and the state of the streams
	set     *Set       // nil = none yet, or none any more
	streams map[*stream]struct{}

	telling, news bool // see begin
}

func (n *node) put(set *Set) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.set = set
	for st := range n.streams {
		if set == nil {
			st.end()
		}
		st.poke()
	}
}

// settled reports whether every stream has acknowledged what it subscribes to
// of the groups below the gate. A stream that owes an answer for longer than
// the patience is not waited for, and neither is one that refused the very
// same content in an earlier Set already.
func (n *node) settled(now time.Time) bool {
	for st := range n.streams {
		if st.late(now) {
			continue
		}
		for i := range n.set.below() {
			g := &n.set.Types[i]
			if sub := st.subs[g.Type]; sub != nil && (!sub.settled(g) || sub.refused == n.set) {
				return false
			}
		}
	}
	return true
}

// closed returns for how long the gate may hold a stream back as things are:
// not at all when everybody who is connected knows what is before the gate, and
// the stream's host has somebody who does.
func (n *node) closed(st *stream, now time.Time) time.Duration {
	switch {
	case n.set.gate() == 0:
		return 0
	case !n.accompanied(st):
		return companion
	case !n.settled(now):
		return n.patience
	}
	return 0
}

// accompanied reports whether somebody of the stream's host hears what is
// before the gate and it does not hear itself. After a restart of the server a
// router may be back before its engine, and would ask it for what it has not
// heard of.
func (n *node) accompanied(st *stream) bool {
	if st.host == "" {
		return true
	}
	for other := range n.streams {
		if other.host != st.host {
			continue
		}
		for i := range n.set.below() {
			if t := n.set.Types[i].Type; other.subs[t] != nil && st.subs[t] == nil {
				return true
			}
		}
	}
	return false
}

// release wakes the streams that wait at the gate and for which it is open.
func (n *node) release(now time.Time) {
	if n.set == nil {
		return
	}
	for st := range n.streams {
		if !st.gated.IsZero() && n.closed(st, now) == 0 {
			st.poke()
		}
	}
}

// below returns the groups before the gate.
func (s *Set) below() []Group { return s.Types[:s.gate()] }

func (s *Set) gate() int { return max(0, min(s.Gate, len(s.Types))) }

// note says that there is something to tell. The caller holds n.mu.
func (n *node) note() { n.news = true }

// begin reports whether the caller must tell the news. Whoever finds somebody
// else telling leaves it to them, so that nothing is told twice at a time.
func (n *node) begin() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.telling || !n.news {
		return false
	}
	n.telling, n.news = true, false
	return true
}

func (n *node) done() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.telling = false
}
