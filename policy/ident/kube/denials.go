package kube

import (
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"github.com/egret-gateway/egret/policy/ident"
	"github.com/egret-gateway/egret/store"
)

// Silence is how long the source of denials may say nothing before what it
// said last is no longer believed to be all.
const Silence = 10 * time.Second

// Subjects of a store.Denial.
const (
	subjectToken   = "jti:"
	subjectAccount = "uid:"
)

// Denials is the deny-list as a data plane knows it: an ident.Revoked.
//
// When its source has not been heard of for Silence, revocations may have been
// missed. From then on Epoch changes every second, so that a remembered
// identity serves for a second at most and is reviewed again, one review at a
// time per token and LostRate a second over all (Client.Review).
//
// A new list starts as if the source had never been heard of.
type Denials struct {
	now   func() time.Time
	state atomic.Pointer[denied]
	write sync.Mutex
}

// denied is one state of the list. Only heard ever changes.
type denied struct {
	until map[string]time.Time // by subject
	turn  uint64               // counts the states in which something was added
	heard atomic.Int64         // unix nanoseconds
}

// NewDenials returns an empty list; now is the clock.
func NewDenials(now func() time.Time) *Denials {
	d := &Denials{now: now}
	d.state.Store(&denied{})
	return d
}

// Now is the list's clock.
func (d *Denials) Now() time.Time { return d.now() }

// Set replaces the whole list by what the source said at the time.
func (d *Denials) Set(list []store.Denial, heardAt time.Time) {
	d.write.Lock()
	defer d.write.Unlock()
	old, now := d.state.Load(), d.now()
	next := &denied{until: make(map[string]time.Time, len(list)), turn: old.turn}
	for _, e := range list {
		if now.Before(e.Until) && e.Until.After(next.until[e.Subject]) {
			next.until[e.Subject] = e.Until
		}
	}
	if old.lost(now) > 0 || !covers(old.until, next.until) {
		next.turn++
	}
	next.heard.Store(heardAt.UnixNano())
	d.state.Store(next)
}

// covers reports whether every subject of next is in old.
func covers(old, next map[string]time.Time) bool {
	for subject := range maps.Keys(next) {
		if _, ok := old[subject]; !ok {
			return false
		}
	}
	return true
}

// Heard says that the source was there at the time and had nothing new.
func (d *Denials) Heard(at time.Time) {
	d.write.Lock()
	defer d.write.Unlock()
	old := d.state.Load()
	if old.lost(d.now()) == 0 {
		old.heard.Store(max(old.heard.Load(), at.UnixNano()))
		return
	}
	next := &denied{until: old.until, turn: old.turn + 1}
	next.heard.Store(at.UnixNano())
	d.state.Store(next)
}

// Lost reports whether the source has been silent for too long.
func (d *Denials) Lost() bool { return d.state.Load().lost(d.now()) > 0 }

// lost counts the seconds since the source was silent for too long, from 1 on.
func (s *denied) lost(now time.Time) uint64 {
	silent := now.Sub(time.Unix(0, s.heard.Load())) - Silence
	if silent < 0 {
		return 0
	}
	return uint64(silent/time.Second) + 1
}

// Revoked implements ident.Revoked: it reads memory only.
func (d *Denials) Revoked(r *ident.Review) bool {
	s := d.state.Load()
	if len(s.until) == 0 {
		return false
	}
	return r.ID != "" && s.has(subjectToken, r.ID) || r.User.UID != "" && s.has(subjectAccount, r.User.UID)
}

// has looks a subject up without making a string of it that outlives the call.
func (s *denied) has(kind, id string) bool {
	var room [64]byte
	_, ok := s.until[string(append(append(room[:0], kind...), id...))]
	return ok
}

// Epoch implements ident.Revoked. Its upper half counts additions to the list,
// its lower half the seconds of the source's silence beyond what is borne; no
// value comes twice.
func (d *Denials) Epoch() uint64 {
	s := d.state.Load()
	return s.turn<<32 | s.lost(d.now())&(1<<32-1)
}
