package cache

import (
	"container/list"
	"sync"
)

// Store is a bounded memory of values by Key. When it is full it forgets the
// entries that were used least recently. It is safe for concurrent use. Values
// are shared between all who get them: treat them as immutable.
type Store[V any] struct {
	entries int
	bytes   int

	mu    sync.Mutex
	index map[Key]*list.Element
	order *list.List // front = used last
	held  int        // bytes
}

type entry[V any] struct {
	key   Key
	value V
	size  int
}

// overhead is about what the bookkeeping of one entry takes, in bytes.
const overhead = 256

// NewStore makes a Store for at most so many entries and bytes.
func NewStore[V any](entries, bytes int) *Store[V] {
	return &Store[V]{entries: entries, bytes: bytes, index: map[Key]*list.Element{}, order: list.New()}
}

// Get returns the value under k and marks it as used.
func (s *Store[V]) Get(k Key) (V, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e, ok := s.index[k]
	if !ok {
		var zero V
		return zero, false
	}
	s.order.MoveToFront(e)
	return e.Value.(*entry[V]).value, true
}

// Put keeps v under k; size is about how many bytes v takes. A value that is
// larger than a sixteenth of the whole Store is not kept, so that no single one
// can empty it.
func (s *Store[V]) Put(k Key, v V, size int) {
	size += overhead
	s.mu.Lock()
	defer s.mu.Unlock()
	s.remove(k)
	if size > s.bytes/16 {
		return
	}
	s.index[k] = s.order.PushFront(&entry[V]{key: k, value: v, size: size})
	s.held += size
	for len(s.index) > s.entries || s.held > s.bytes {
		s.remove(s.order.Back().Value.(*entry[V]).key)
	}
}

// Delete forgets k.
func (s *Store[V]) Delete(k Key) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.remove(k)
}

func (s *Store[V]) remove(k Key) {
	e, ok := s.index[k]
	if !ok {
		return
	}
	s.held -= e.Value.(*entry[V]).size
	s.order.Remove(e)
	delete(s.index, k)
}

// Len is the number of entries and the bytes they take.
func (s *Store[V]) Len() (entries, bytes int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.index), s.held
}
