package kube

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/egret-gateway/egret/source"
)

// guardLimit is how long a snapshot with a new route waits for the watches of
// policies, guardLast how long at most after attempts that failed, and
// guardAgain the pause before the next. guardPause is how often it looks.
const (
	guardLimit = 2 * time.Second
	guardLast  = 16 * time.Second
	guardAgain = time.Second
	guardPause = 5 * time.Millisecond
)

// opens reports whether objects of the kind let requests in.
func (k *kind) opens() bool { return k.shape == shapeRoute || k.shape == shapeGateway }

// held says how it stands with routes and Gateways that wait for policies.
type held struct {
	fails int       // attempts in a row that failed; 0 means that nothing waits
	due   time.Time // when the next one is
}

// take makes a snapshot. Each kind has a watch of its own, and they keep no
// order among them: a route that was created after its policy may be seen
// before it. So what opens is collected first. Where that is not what it was,
// take waits until every policy that exists is in its store, and only then
// collects the policies: a route that came after their list is in the next
// snapshot. It reports false when there is nothing new to tell.
func (s *Source) take(ctx context.Context) (snapshot source.Snapshot, problems source.Problems, news bool) {
	opened := s.held.fails > 0
	for _, w := range s.watched {
		if w.kind.opens() && w.store.add(&snapshot, &problems) {
			opened = true
		}
	}
	if opened && !s.guard(ctx) {
		return s.kept(problems)
	}
	s.unread = s.forbidden() // before the policies, of which there can only be more
	for _, w := range s.watched {
		if !w.kind.opens() {
			w.store.add(&snapshot, &problems)
		}
	}
	s.last = &snapshot
	return snapshot, problems, true
}

// kept is the last snapshot, of which routes, Gateways and policies stay as they
// are, all of them, as one without another may open something. What is gone
// goes, and everything else is brought up to date: endpoints, certificates and
// the deny-list do not wait. Before the first snapshot there is none to keep.
func (s *Source) kept(problems source.Problems) (snapshot source.Snapshot, _ source.Problems, news bool) {
	if s.last == nil {
		return snapshot, nil, false
	}
	snapshot = *s.last
	for _, w := range s.watched {
		switch {
		case w.kind.opens():
			news = w.kind.sift(&snapshot, w.store.is) || news
		case w.kind.guard != "":
			problems = append(problems, w.store.faults()...)
		default:
			news = w.store.add(&snapshot, &problems) || news
		}
	}
	s.last = &snapshot
	return snapshot, problems, news
}

// guard waits until every policy that exists is in its store. It reports false
// when that is not known: the watch of a kind is behind, or the API server does
// not say what there is. Then it is tried again, after a pause.
func (s *Source) guard(ctx context.Context) bool {
	if time.Now().Before(s.held.due) {
		return false
	}
	limited, cancel := context.WithTimeout(ctx, min(guardLimit<<min(s.held.fails, 8), guardLast))
	defer cancel()
	failed := make([]error, len(s.watched))
	var all sync.WaitGroup
	for i, w := range s.watched {
		if w.kind.guard != "" && !w.none() {
			all.Go(func() { failed[i] = w.catchUp(limited) })
		}
	}
	all.Wait()
	var kinds, why []string
	for i, err := range failed {
		if err != nil {
			kinds, why = append(kinds, s.watched[i].kind.name), append(why, err.Error())
		}
	}
	if kinds == nil {
		if s.held.fails > 0 {
			s.log.Info("policies are known again; what waited for them is served")
		}
		s.held = held{}
		return true
	}
	if s.held.fails == 0 && ctx.Err() == nil {
		s.log.Warn("it is not known which policies there are; routes and Gateways that were added or changed, and policies, wait",
			"kinds", strings.Join(kinds, ", "), "err", strings.Join(why, "; "))
	}
	s.held = held{s.held.fails + 1, time.Now().Add(guardAgain)}
	return false
}

// again returns a channel that says when to look for policies again, nil when
// nothing waits for them.
func (s *Source) again() <-chan time.Time {
	if s.held.fails == 0 {
		return nil
	}
	return time.After(time.Until(s.held.due))
}

// catchUp waits until the watch has brought all that a list shows now.
func (w *watched) catchUp(ctx context.Context) error {
	version := w.served()
	if version == "" {
		return errors.New("the API server does not say whether it has this kind")
	}
	wire := &wire{client: w.client, kind: &w.kind, version: version, manager: w.manager, headsOnly: true}
	list, err := wire.ListWithContext(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	tick := time.NewTicker(guardPause)
	defer tick.Stop()
	for _, o := range list.(*page).Items {
		for !w.store.has(o.(*item)) {
			select {
			case <-ctx.Done():
				return errors.New("the watch is behind")
			case <-tick.C:
			}
		}
	}
	return nil
}

// has reports whether the store has an object as it is or newer, or has seen
// later changes and so that it is gone.
func (s *store) has(i *item) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	have := s.items[i.key]
	return have != nil && !older(have.resourceVersion, i.resourceVersion) || older(i.resourceVersion, s.seen)
}

// is reports whether the store has an object, in whatever version.
func (s *store) is(o metav1.Object) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	have := s.items[source.Key{Kind: s.kind.name, Namespace: o.GetNamespace(), Name: o.GetName()}]
	return have != nil && have.uid == o.GetUID()
}

// older compares resourceVersions, which grow within a kind. What is no number
// is not older than anything.
func older(a, b string) bool {
	x, err := strconv.ParseUint(a, 10, 64)
	y, err2 := strconv.ParseUint(b, 10, 64)
	return err == nil && err2 == nil && x < y
}
