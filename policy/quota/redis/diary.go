package redis

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"

	"github.com/egret-gateway/egret/store"
)

// diary keeps the backlog in files, so that it outlives the process: each line
// says what became of it. When there is no room for one more, they give way to
// one that says all.
type diary struct {
	*store.Journal[note]
	most int         // how many charges that one may say
	out  *settlement // sent, and neither given back nor done
	full bool        // more than that waited; no line says anything
	log  *slog.Logger
}

// note is a line of a diary. What it says happened in the order of its fields.
type note struct {
	All  []settlement `json:",omitempty"` // this waits, whatever was said before
	Done uint64       `json:",omitempty"` // number of a settlement that arrived, or was given back
	From string       `json:",omitempty"` // who numbered that
	Sent *settlement  `json:",omitempty"` // taken out by next; it may have arrived
	Kept *settlement  `json:",omitempty"` // come by put, or given back
}

// Keep has charges that wait kept in a folder, up to so many bytes, so that they
// outlive the process: what an earlier one left there is delivered, each charge
// once, since it bears the number under which it may have been sent already.
// Call it before anything else. Charges that find no room there wait in memory
// alone, until nothing waits any more.
func (l *Limiter) Keep(dir string, room int64) error {
	kept, left, err := store.OpenJournal[note](dir, room)
	if err != nil {
		return fmt.Errorf("keep charges in %s: %w", dir, err)
	}
	b := &l.backlog
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, n := range left {
		b.replay(n)
	}
	b.kept = &diary{Journal: kept, most: int(room / 500), log: l.log}
	return nil
}

// replay does again what a line says.
func (b *backlog) replay(n note) {
	if n.All != nil {
		clear(b.sums)
		b.whole = nil
	}
	for _, s := range n.All {
		b.add(s)
	}
	if n.Done != 0 {
		b.drop(n.Done, n.From)
	}
	if n.Sent != nil {
		if !b.drop(n.Sent.Number, n.Sent.From) {
			for _, c := range n.Sent.Charges {
				delete(b.sums, c.Key)
			}
		}
		b.add(*n.Sent)
	}
	if n.Kept != nil {
		b.add(*n.Kept)
	}
}

// drop forgets a whole settlement and reports whether there was one.
func (b *backlog) drop(number uint64, from string) bool {
	was := len(b.whole)
	b.whole = slices.DeleteFunc(b.whole, func(s settlement) bool { return s.Number == number && s.From == from })
	return len(b.whole) < was
}

// note writes down what has just happened. It needs the lock.
func (b *backlog) note(n note) {
	d := b.kept
	if d == nil {
		return
	}
	switch {
	case n.Sent != nil:
		d.out = n.Sent
	case n.Done != 0:
		d.out = nil
	}
	waits := len(b.sums) + len(b.whole)
	switch {
	case waits == 0 && d.out == nil:
		d.Saved(0, true)
		d.full = false
	case !d.full && d.Add(n) != nil:
		b.rewrite(waits)
	}
}

// rewrite says all in one line.
func (b *backlog) rewrite(waits int) {
	d, all := b.kept, slices.Clone(b.whole)
	if d.out != nil {
		all = append(all, *d.out)
	}
	if len(b.sums) > 0 {
		all = append(all, settlement{Charges: slices.Collect(maps.Values(b.sums))})
	}
	d.Saved(0, true)
	err := errors.New("too many wait")
	if waits <= d.most {
		err = d.Add(note{All: all})
	}
	if err != nil {
		d.full = true
		d.Saved(0, true)
		d.log.Warn("charges for the shared counters wait in memory only until they are delivered", "error", err)
	}
}
