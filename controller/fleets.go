package controller

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/egret-gateway/egret/fleet"
)

// fleetsAtOnce bounds the fleets that are applied at the same time.
const fleetsAtOnce = 4

// applyLimit bounds one attempt, so that those that hang leave the others room.
const applyLimit = 30 * time.Second

// Waits before a fleet that could not be applied is tried again, and before one
// that could be is looked at again: not all of its objects are watched, and
// what is in the way of some may go.
const (
	firstRetry = time.Second
	lastRetry  = 30 * time.Second
	nextLook   = 5 * time.Minute
)

// fleetApplier is what makes fleets so.
type fleetApplier interface {
	Apply(ctx context.Context, f fleet.Fleet) (fleet.State, error)
	Prune(ctx context.Context, keep func() []fleet.Fleet) error
}

// fleets applies what the loop wants: a few at once, of each Gateway the
// latest wish, so that one that is stuck holds up no other (B-34).
type fleets struct {
	applier fleetApplier
	log     *slog.Logger
	results chan applied // one per attempt

	mu     sync.Mutex
	known  map[string]fleet.Fleet // of every Gateway, what it may have
	wanted map[string]wish
	busy   map[string]bool // false: what is done now is not wanted any more
	wake   chan struct{}   // capacity fleetsAtOnce
}

// wish is a fleet to apply, or to remove what is in none.
type wish struct {
	fleet *fleet.Fleet  // nil with key pruning
	wait  time.Duration // of the next retry
	not   time.Time     // before then
}

// pruning is the key of the wish to remove what nobody wants.
const pruning = ""

// applied is what came of a wish.
type applied struct {
	key   string
	fleet *fleet.Fleet // nil when pruning
	state fleet.State
	err   error
}

func newFleets(a fleetApplier, log *slog.Logger) *fleets {
	return &fleets{
		applier: a, log: log, results: make(chan applied), known: map[string]fleet.Fleet{}, wanted: map[string]wish{}, busy: map[string]bool{},
		wake: make(chan struct{}, fleetsAtOnce),
	}
}

// know says what a Gateway may have, whether it is applied or not: prune leaves
// that alone.
func (s *fleets) know(key string, f fleet.Fleet) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.known[key] = f
}

// want has a fleet applied, soon.
func (s *fleets) want(key string, f *fleet.Fleet) {
	s.know(key, *f)
	s.put(key, wish{fleet: f, wait: firstRetry})
}

// prune has everything removed that no known Gateway may have, soon.
func (s *fleets) prune() { s.put(pruning, wish{wait: firstRetry}) }

// keep returns the fleets that are known now.
func (s *fleets) keep() []fleet.Fleet {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Collect(maps.Values(s.known))
}

func (s *fleets) put(key string, w wish) {
	s.mu.Lock()
	s.wanted[key] = w
	s.mu.Unlock()
	s.kick()
}

// drop forgets what was wanted, as by a replica that no longer leads.
func (s *fleets) drop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.wanted)
	for key := range s.busy {
		s.busy[key] = false
	}
}

// only forgets all Gateways but these, and reports whether there were others.
func (s *fleets) only(keys map[string]bool) (others bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for key := range s.known {
		if keys[key] {
			continue
		}
		others = true
		delete(s.known, key)
		delete(s.wanted, key)
		if _, now := s.busy[key]; now {
			s.busy[key] = false
		}
	}
	return others
}

func (s *fleets) kick() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// Run works until ctx ends.
func (s *fleets) Run(ctx context.Context) {
	var group sync.WaitGroup
	for range fleetsAtOnce {
		group.Go(func() { s.work(ctx) })
	}
	group.Wait()
}

func (s *fleets) work(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.wake:
		case <-timer.C:
		}
		for {
			key, w, rest := s.take(time.Now())
			if rest > 0 {
				timer.Reset(rest)
				break
			}
			s.try(ctx, key, w)
		}
	}
}

// take returns a wish that is due, or after which time to look again.
func (s *fleets) take(now time.Time) (key string, w wish, rest time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	rest = lastRetry
	for key, w := range s.wanted {
		_, busy := s.busy[key]
		switch due := w.not.Sub(now); {
		case busy, key == pruning && s.unwanted():
		case due > 0:
			rest = min(rest, due)
		default:
			delete(s.wanted, key)
			s.busy[key] = true
			return key, w, 0
		}
	}
	return "", wish{}, rest
}

// unwanted reports whether something is done now that is not wanted any more:
// it may still make what pruning is to remove.
func (s *fleets) unwanted() bool {
	for _, wanted := range s.busy {
		if !wanted {
			return true
		}
	}
	return false
}

// try applies one wish. A fleet stays wanted unless there is a newer wish.
func (s *fleets) try(ctx context.Context, key string, w wish) {
	r := applied{key: key, fleet: w.fleet}
	limited, cancel := context.WithTimeout(ctx, applyLimit)
	defer cancel()
	if key == pruning {
		r.err = s.applier.Prune(limited, s.keep)
	} else {
		r.state, r.err = s.applier.Apply(limited, *w.fleet)
	}
	s.mu.Lock()
	still := s.busy[key]
	delete(s.busy, key)
	if _, newer := s.wanted[key]; still && !newer {
		switch {
		case r.err != nil:
			w.not = time.Now().Add(w.wait)
			w.wait = min(2*w.wait, lastRetry)
		case r.state.Unsettled:
			w.not, w.wait = time.Now().Add(firstRetry), firstRetry
		case len(r.state.Conflicts) > 0 || r.state.ReviewersRefused != "":
			w.not, w.wait = time.Now().Add(lastRetry), firstRetry
		default:
			w.not, w.wait = time.Now().Add(nextLook), firstRetry
		}
		if key != pruning || r.err != nil {
			s.wanted[key] = w
		}
	}
	s.mu.Unlock()
	s.kick()
	if r.err != nil && ctx.Err() == nil {
		s.log.Error("a fleet could not be applied; it is tried again", "gateway", key, "error", r.err)
	}
	select {
	case s.results <- r:
	case <-ctx.Done():
	}
}
