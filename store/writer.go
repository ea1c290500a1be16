package store

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"
)

// Writer is the bounded queue between the request path and the database. Entry and Counter only touch memory; Run
// writes what they collected and keeps trying when the disk is full or the database is away. Requests never wait for it.
//
// Make it with NewWriter, change fields before the first call, then start Run once.
type Writer struct {
	Every    time.Duration    // longest wait from the first thing queued to its transaction; 20 ms
	Batch    int              // entries of one transaction; so many in the queue end the wait early; 512
	Backlog  int              // entries, and apart from them counters, kept while nothing can be written; 100,000
	Retry    time.Duration    // first wait after a failed write, doubled up to RetryMax; 50 ms
	RetryMax time.Duration    // 2 s
	Drain    time.Duration    // how long the end of Run may take to write the rest; 5 s
	Late     time.Duration    // how long things may wait without a write before Healthy complains; 5 s
	Now      func() time.Time // time.Now
	Log      *slog.Logger     // the first failure and the recovery, not each retry; slog.Default()

	to   Saver
	kept *Journal[Entry] // nil = entries that wait are in memory only
	wake chan struct{}   // holds one signal: the queue is not empty any more, or it holds a batch

	mu       sync.Mutex
	entries  []Entry
	counters map[string]Counter
	since    time.Time // something waits and nothing has been written since then; zero: the queue is empty
	lost     int64
	failed   error           // of the latest write; nil: it went well
	ended    bool            // Run is over, nothing will be written any more
	waiting  []chan struct{} // callers of Sync
}

// NewWriter returns a Writer to a database, with the defaults named at its fields.
func NewWriter(to Saver) *Writer {
	return &Writer{
		Every:    20 * time.Millisecond,
		Batch:    512,
		Backlog:  100_000,
		Retry:    50 * time.Millisecond,
		RetryMax: 2 * time.Second,
		Drain:    5 * time.Second,
		Late:     5 * time.Second,
		Now:      time.Now,
		Log:      slog.Default(),
		to:       to,
		wake:     make(chan struct{}, 1),
		counters: map[string]Counter{},
	}
}

// Keep has entries that wait kept in a folder, up to so many bytes, so that they outlive the process: what an earlier one
// left there is queued. Call it before anything else. Entries that find no room there wait in memory alone.
func (w *Writer) Keep(dir string, room int64) error {
	kept, left, err := OpenJournal[Entry](dir, room)
	if err != nil {
		return fmt.Errorf("keep entries in %s: %w", dir, err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.kept, w.entries = kept, left
	if len(left) > 0 {
		w.queued(w.Now(), len(left) >= w.Batch)
	}
	return nil
}

// Entry queues one line of the ledger. It is lost, and counted, when the backlog is full, when Run has ended or when the
// entry has no ID.
func (w *Writer) Entry(e Entry) {
	e = e.Bounded()
	now := w.Now()
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ended || e.ID == "" || len(w.entries) >= w.Backlog {
		w.lost++
		return
	}
	if w.kept != nil {
		if err := w.kept.Add(e); err != nil {
			w.Log.Warn("entries of the usage ledger are not kept on disk until those before are written", "error", err)
		}
	}
	w.entries = append(w.entries, e)
	w.queued(now, len(w.entries) == w.Batch)
}

// Counter queues the state of a counter in place of an earlier one of its key. One that finds no room is dropped: its
// figure is absolute, so the next write of the key makes up for it.
func (w *Writer) Counter(c Counter) {
	now := w.Now()
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, known := w.counters[c.Key]; w.ended || !known && len(w.counters) >= w.Backlog {
		return
	}
	w.counters[c.Key] = c
	w.queued(now, false)
}

// queued signals Run when the queue is not empty any more, or when a batch is full. It needs the lock.
func (w *Writer) queued(now time.Time, full bool) {
	if w.since.IsZero() {
		w.since, full = now, true
	}
	if full {
		w.signal()
	}
}

func (w *Writer) signal() {
	select {
	case w.wake <- struct{}{}:
	default: // one is under way
	}
}

// Sync waits until the queue has been written, a write has failed or ctx ends, so that who reads the database then finds
// what was queued before. While entries keep coming only ctx may end it.
func (w *Writer) Sync(ctx context.Context) {
	w.mu.Lock()
	if w.since.IsZero() || w.failed != nil || w.ended {
		w.mu.Unlock()
		return
	}
	written := make(chan struct{})
	w.waiting = append(w.waiting, written)
	w.mu.Unlock()
	select {
	case <-written:
	case <-ctx.Done():
	}
}

// tell ends the waits of Sync. It needs the lock.
func (w *Writer) tell() {
	for _, written := range w.waiting {
		close(written)
	}
	w.waiting = nil
}

// Lost counts the ledger entries that will never be written.
func (w *Writer) Lost() int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.lost
}

// Healthy says what is wrong: that the latest write failed (a full disk, say), or that nothing has been written for
// longer than Late although something waits, because a write hangs or Run is not running. Requests go on meanwhile.
func (w *Writer) Healthy() error {
	now := w.Now()
	w.mu.Lock()
	defer w.mu.Unlock()
	switch age := now.Sub(w.since); {
	case w.failed != nil:
		return fmt.Errorf("usage ledger cannot be written (%d entries wait, %d are lost); free space or repair the database: %w",
			len(w.entries), w.lost, w.failed)
	case !w.since.IsZero() && age > w.Late:
		return fmt.Errorf("usage ledger has not been written for %s (%d entries wait, %d are lost); the disk hangs or is overloaded",
			age.Round(time.Millisecond), len(w.entries), w.lost)
	}
	return nil
}
