package controller

import (
	"maps"
	"slices"
	"sync"
)

// nodes collects whose acknowledgements have changed, for the loop to look at
// once, however often they did.
type nodes struct {
	wake chan struct{} // capacity 1
	mu   sync.Mutex
	ids  map[string]bool
}

func newNodes() *nodes { return &nodes{wake: make(chan struct{}, 1), ids: map[string]bool{}} }

func (n *nodes) add(id string) {
	n.mu.Lock()
	n.ids[id] = true
	n.mu.Unlock()
	select {
	case n.wake <- struct{}{}:
	default:
	}
}

func (n *nodes) take() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	ids := slices.Sorted(maps.Keys(n.ids))
	clear(n.ids)
	return ids
}
