package store

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"
)

// Run writes until ctx ends, then writes the rest for at most Drain. It returns an error when something could not be
// written by then; those entries are counted as lost.
//
// It wakes for one of three reasons: the queue is not empty any more (wait up to Every for company), the queue holds a
// batch (write now), or ctx has ended.
func (w *Writer) Run(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return w.drain(ctx)
		case <-w.wake:
		}
		w.gather(ctx)
		w.flush(ctx)
	}
}

// gather waits for company, but not when a batch is there already.
func (w *Writer) gather(ctx context.Context) {
	timer := time.NewTimer(w.Every)
	defer timer.Stop()
	for !w.full() {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
			return
		case <-w.wake: // a batch has come together, or the signal is an old one: look again
		}
	}
}

func (w *Writer) full() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.entries) >= w.Batch
}

// flush writes one batch, and more while the queue holds a whole one; after a failure it tries again with growing pauses.
// What is less than a batch afterwards came in the meantime and may wait for company.
func (w *Writer) flush(ctx context.Context) {
	for pause := w.Retry; ctx.Err() == nil; {
		if err := w.write(ctx); err != nil {
			rest(ctx, pause)
			pause = min(2*pause, w.RetryMax)
			continue
		}
		if !w.full() {
			return
		}
		pause = w.Retry
	}
}

// rest waits for d or the end of ctx.
func rest(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// drain flushes on borrowed time until nothing is left, then shuts the door.
func (w *Writer) drain(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), w.Drain)
	defer cancel()
	for !w.end(ctx.Err()) {
		w.flush(ctx)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.since.IsZero() {
		return nil
	}
	return fmt.Errorf("usage ledger: %d entries and %d counters could not be written within %s: %w",
		len(w.entries), len(w.counters), w.Drain, cmp.Or(w.failed, ctx.Err()))
}

// end shuts the door when the queue is empty or time is up, and reports whether it did.
func (w *Writer) end(up error) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ended = w.since.IsZero() || up != nil; w.ended {
		w.lost += int64(len(w.entries))
	}
	return w.ended
}

// write hands one batch to the database and speaks up when that begins or ceases to fail.
func (w *Writer) write(ctx context.Context) error {
	taken := w.Now()
	entries, counters := w.take()
	if len(entries)+len(counters) == 0 {
		return nil // woken by an old signal
	}
	err := w.to.Save(ctx, entries, slices.Collect(maps.Values(counters)))
	if err != nil && ctx.Err() != nil {
		w.giveBack(counters) // interrupted, which says nothing about the database
		return err
	}
	before := w.settle(taken, len(entries), counters, err)
	switch {
	case err != nil && before == nil:
		w.Log.Error("usage ledger cannot be written; requests go on, entries wait", "error", err)
	case err == nil && before != nil:
		w.Log.Info("usage ledger is written again", "lost", w.Lost())
	}
	return err
}

// take reads one batch of entries, which stay in the queue until they are written, and takes all counters.
func (w *Writer) take() ([]Entry, map[string]Counter) {
	w.mu.Lock()
	defer w.mu.Unlock()
	counters := w.counters
	w.counters = map[string]Counter{}
	n := min(len(w.entries), w.Batch)
	return w.entries[:n:n], counters
}

// settle books the outcome of a write that began at the given time, and returns the outcome of the one before it.
func (w *Writer) settle(began time.Time, entries int, counters map[string]Counter, err error) (before error) {
	if err != nil {
		w.giveBack(counters)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	before, w.failed = w.failed, err
	if err != nil {
		w.tell()
		return before
	}
	w.entries = drop(w.entries, entries, 4*w.Batch)
	if w.kept != nil {
		w.kept.Saved(entries, len(w.entries) == 0)
	}
	w.since = time.Time{}
	if len(w.entries)+len(w.counters) > 0 {
		w.queued(began, false)
	} else {
		w.tell()
	}
	return before
}

// giveBack puts counters back into the queue, unless newer figures have come meanwhile.
func (w *Writer) giveBack(counters map[string]Counter) {
	w.mu.Lock()
	defer w.mu.Unlock()
	maps.Copy(counters, w.counters) // the newer ones are few and win
	w.counters = counters
}

// drop removes the first n entries. An emptied queue keeps its memory up to a limit, but none of its texts.
func drop(entries []Entry, n, limit int) []Entry {
	clear(entries[:n])
	if n < len(entries) {
		return entries[n:]
	}
	if cap(entries) > limit {
		return nil
	}
	return entries[:0]
}
