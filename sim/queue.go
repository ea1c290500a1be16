package sim

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"
)

// errFull refuses a request that finds no seat and no room to wait.
var errFull = errors.New("the waiting requests queue is full")

// queue hands out seats. A request that finds none waits in line, and the first in line that fits gets the next seat:
// one for an adapter beyond the most that run at once steps aside for others until an adapter in use becomes idle.
type queue struct {
	seats    int // requests served at once
	room     int // requests that may wait
	adapters int // distinct adapters in use at once
	now      func() time.Time

	mu      sync.Mutex
	running int
	active  map[string]int // running requests of each adapter in use
	line    []*ticket
	changed time.Time // when active or line changed last for an adapter
}

type ticket struct {
	adapter string
	seated  chan struct{}
}

func newQueue(c *Config) *queue {
	return &queue{
		seats: c.MaxNumSeqs, room: c.MaxWaitingQueueLength, adapters: c.MaxLoRAs,
		now: c.Now, active: map[string]int{}, changed: c.Now(),
	}
}

// enter waits for a seat; adapter is empty for the base model. It returns errFull at once when the line is full and
// ctx's error when the client leaves the line. After nil, leave must follow.
func (q *queue) enter(ctx context.Context, adapter string) error {
	t, err := q.take(adapter)
	if err != nil || t == nil {
		return err
	}
	select {
	case <-t.seated:
		return nil
	case <-ctx.Done():
		q.abandon(t)
		return ctx.Err()
	}
}

// take gives a seat, or a ticket to wait with.
func (q *queue) take(adapter string) (*ticket, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.fits(adapter) {
		q.seat(adapter)
		return nil, nil
	}
	if len(q.line) >= q.room {
		return nil, errFull
	}
	t := &ticket{adapter: adapter, seated: make(chan struct{})}
	q.line = append(q.line, t)
	q.touch(adapter)
	return t, nil
}

// abandon takes a ticket out of the line. It may have got a seat in the meantime, which then goes to the next.
func (q *queue) abandon(t *ticket) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if i := slices.Index(q.line, t); i >= 0 {
		q.line = slices.Delete(q.line, i, i+1)
		q.touch(t.adapter)
		return
	}
	q.release(t.adapter)
}

// leave gives a seat back.
func (q *queue) leave(adapter string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.release(adapter)
}

func (q *queue) release(adapter string) {
	q.running--
	if adapter != "" {
		if q.active[adapter]--; q.active[adapter] == 0 {
			delete(q.active, adapter)
		}
		q.touch(adapter)
	}
	for q.running < q.seats {
		i := slices.IndexFunc(q.line, func(t *ticket) bool { return q.fits(t.adapter) })
		if i < 0 {
			return
		}
		t := q.line[i]
		q.line = slices.Delete(q.line, i, i+1)
		q.seat(t.adapter)
		close(t.seated)
	}
}

func (q *queue) fits(adapter string) bool {
	return q.running < q.seats && (adapter == "" || q.active[adapter] > 0 || len(q.active) < q.adapters)
}

func (q *queue) seat(adapter string) {
	q.running++
	if adapter != "" {
		q.active[adapter]++
		q.touch(adapter)
	}
}

func (q *queue) touch(adapter string) {
	if adapter != "" {
		q.changed = q.now()
	}
}

// load is what the metrics show of a queue.
type load struct {
	running, waiting int
	active, wanted   []string // adapters of running and of waiting requests, sorted
	changed          time.Time
}

func (q *queue) load() load {
	q.mu.Lock()
	defer q.mu.Unlock()
	wanted := map[string]bool{}
	for _, t := range q.line {
		if t.adapter != "" {
			wanted[t.adapter] = true
		}
	}
	return load{
		running: q.running, waiting: len(q.line),
		active: slices.Sorted(maps.Keys(q.active)), wanted: slices.Sorted(maps.Keys(wanted)),
		changed: q.changed,
	}
}

// busy is the number of seats taken.
func (q *queue) busy() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.running
}
