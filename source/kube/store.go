package kube

import (
	"bytes"
	"reflect"
	"slices"
	"strings"
	"sync"

	apiequality "k8s.io/apimachinery/pkg/api/equality"

	"github.com/egret-gateway/egret/source"
)

// store holds the objects of one kind. A reflector writes to it.
type store struct {
	kind *kind
	// changed is called when something that a snapshot shows is different,
	// drifted when a status is that we may have to write.
	changed, drifted func()

	mu    sync.Mutex
	items map[source.Key]*item
	seen  string                 // the resourceVersion that the watch brought last
	fill  func(*source.Snapshot) // nil when it has to be made anew
	bad   source.Problems        // as old as the last fill
}

// Add puts an object that was created.
func (s *store) Add(o any) error { return s.Update(o) }

// Update puts an object that was changed.
func (s *store) Update(o any) error {
	s.put(o.(*item))
	return nil
}

func (s *store) put(i *item) {
	s.mu.Lock()
	changed, drifted := s.keep(i)
	s.mu.Unlock()
	s.tell(changed, drifted)
}

// keep puts an item in its place and says what is different now.
func (s *store) keep(i *item) (changed, drifted bool) {
	s.seen = i.resourceVersion
	old := s.items[i.key]
	if old != nil && sameObject(old, i) {
		i.object = old.object // which is in snapshots already
	} else {
		changed, s.fill = true, nil
	}
	s.items[i.key] = i
	return changed, s.kind.shape != shapeNone && (old == nil || !bytes.Equal(old.status, i.status))
}

// sameObject reports whether a snapshot shows no difference between two items.
func sameObject(a, b *item) bool {
	return reflect.DeepEqual(a.problem, b.problem) && apiequality.Semantic.DeepEqual(a.object, b.object)
}

// Delete drops an object.
func (s *store) Delete(o any) error {
	s.mu.Lock()
	key := o.(*item).key
	s.seen = o.(*item).resourceVersion
	_, was := s.items[key]
	delete(s.items, key)
	if was {
		s.fill = nil
	}
	s.mu.Unlock()
	s.tell(was, false)
	return nil
}

// Replace puts a list in place of all there is.
func (s *store) Replace(list []any, version string) error {
	s.mu.Lock()
	listed := make(map[source.Key]bool, len(list))
	changed, drifted := false, false
	for _, o := range list {
		i := o.(*item)
		listed[i.key] = true
		c, d := s.keep(i)
		changed, drifted = changed || c, drifted || d
	}
	s.seen = version
	for key := range s.items {
		if !listed[key] {
			delete(s.items, key)
			changed, s.fill = true, nil
		}
	}
	s.mu.Unlock()
	s.tell(changed, drifted)
	return nil
}

// Resync is asked for by no reflector of ours.
func (s *store) Resync() error { return nil }

func (s *store) tell(changed, drifted bool) {
	if changed {
		s.changed()
	}
	if drifted {
		s.drifted()
	}
}

// add adds the kind's objects to a snapshot, and what keeps others from being
// read to the problems. Objects are sorted again only after a change. It reports
// whether there was one since the last call.
func (s *store) add(to *source.Snapshot, ps *source.Problems) (anew bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if anew = s.fill == nil; anew {
		items := s.all()
		s.fill, s.bad = s.kind.collect(items), nil
		for _, i := range items {
			if i.problem != nil {
				s.bad = append(s.bad, *i.problem)
			}
		}
		slices.SortFunc(s.bad, func(a, b source.Problem) int { return strings.Compare(a.Object, b.Object) })
	}
	s.fill(to)
	*ps = append(*ps, s.bad...)
	return anew
}

// faults returns the problems that add found last.
func (s *store) faults() source.Problems {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.bad
}

func (s *store) all() []*item {
	out := make([]*item, 0, len(s.items))
	for _, i := range s.items {
		out = append(out, i)
	}
	return out
}

// list returns the items in no order.
func (s *store) list() []*item {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.all()
}

func (s *store) len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.items)
}
