package kube

import (
	"context"
	"strconv"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// guardLimit is how long a snapshot with a new route waits for the watches of
// policies, and guardPause how often it looks.
const (
	guardLimit = 2 * time.Second
	guardPause = 5 * time.Millisecond
)

// opens reports whether objects of the kind let requests in.
func (k *kind) opens() bool { return k.shape == shapeRoute || k.shape == shapeGateway }

// guard waits until every policy that exists is in its store, when a route or
// Gateway has changed since the last snapshot. Each kind has a watch of its
// own, and they keep no order among them: without this, a route that was
// created after its policy could be served before it.
func (s *Source) guard(ctx context.Context) {
	if !s.opened.Swap(false) {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, guardLimit)
	defer cancel()
	for _, w := range s.watched {
		if missing, _ := w.state(); w.kind.guard == "" || missing != nil {
			continue
		}
		if err := w.catchUp(ctx); err != nil {
			s.log.Warn("the watch of policies is behind or cannot be compared with what there is", "kind", w.kind.name, "err", err)
		}
	}
}

// catchUp waits until the watch has brought all that a list shows now.
func (w *watched) catchUp(ctx context.Context) error {
	wire := &wire{client: w.client, kind: &w.kind, version: w.served(), manager: w.manager, headsOnly: true}
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
				return ctx.Err()
			case <-tick.C:
			}
		}
	}
	return nil
}

// has reports whether the store has an object as it is or newer.
func (s *store) has(i *item) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	have := s.items[i.key]
	return have != nil && !older(have.resourceVersion, i.resourceVersion)
}

// older compares resourceVersions, which grow within a kind. What is no number
// is not older than anything.
func older(a, b string) bool {
	x, err := strconv.ParseUint(a, 10, 64)
	y, err2 := strconv.ParseUint(b, 10, 64)
	return err == nil && err2 == nil && x < y
}
