package file

import (
	"context"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/fsnotify/fsnotify"

	"github.com/egret-gateway/egret/source"
)

var _ source.Source = (*Source)(nil)

// Run loads, emits, and does both again whenever what is read has changed,
// until ctx is done.
func (s *Source) Run(ctx context.Context, emit func(source.Snapshot, source.Problems)) error {
	notify, err := fsnotify.NewWatcher()
	if err != nil {
		return fmt.Errorf("watch files: %w", err)
	}
	defer notify.Close()
	w := watch{Source: s, notify: notify, emit: emit}
	w.load(ctx)
	return w.loop(ctx)
}

// watch is one call of Run.
type watch struct {
	*Source
	notify *fsnotify.Watcher
	emit   func(source.Snapshot, source.Problems)
	last   [sha256.Size]byte
}

// loop wakes up for five reasons:
//
//   - ctx is done: the end.
//   - a file changed: start the hold-off, or prolong it up to its limit, as
//     changes come in bursts and a file may be half written.
//   - the kernel lost events: the same, for any file may have changed.
//   - the hold-off is over: load.
//   - the re-read is due: load, for some file systems tell nothing.
func (w *watch) loop(ctx context.Context) error {
	reread := time.NewTicker(w.opts.Reread)
	defer reread.Stop()
	var hold <-chan time.Time // nil while there is nothing to wait for
	var limit time.Time
	delay := func() {
		if hold == nil {
			limit = time.Now().Add(w.opts.Hold)
		}
		hold = time.After(min(w.opts.Quiet, time.Until(limit)))
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case event := <-w.notify.Events:
			if event.Op != fsnotify.Chmod {
				delay()
			}
		case err := <-w.notify.Errors:
			w.opts.Log.LogAttrs(ctx, slog.LevelWarn, "file events lost, reading all again", slog.Any("error", err))
			delay()
		case <-hold:
			hold = nil
			w.load(ctx)
		case <-reread.C:
			w.load(ctx)
		}
	}
}

// load reads everything and emits it unless it is what was emitted last.
func (w *watch) load(ctx context.Context) {
	in := w.gather(ctx)
	for w.follow(ctx, in.dirs) {
		// A directory is watched only now: what changed in it since it was
		// read went unnoticed.
		in = w.gather(ctx)
	}
	digest := in.digest()
	if ctx.Err() != nil || digest == w.last {
		return
	}
	snapshot, problems := w.build(ctx, in)
	if ctx.Err() != nil {
		return
	}
	w.last = digest
	w.emit(snapshot, problems)
}

// follow watches directories rather than files, because editors and ConfigMap
// volumes replace files. It reports whether any of them was not watched before.
func (w *watch) follow(ctx context.Context, dirs []string) bool {
	watched := w.notify.WatchList()
	added := false
	for _, dir := range dirs {
		if slices.Contains(watched, dir) {
			continue
		}
		watched = append(watched, dir)
		if err := w.notify.Add(dir); err != nil {
			w.opts.Log.LogAttrs(ctx, slog.LevelWarn, "directory not watched, changes are seen at the next re-read",
				slog.String("directory", dir), slog.Duration("every", w.opts.Reread), slog.Any("error", err))
			continue
		}
		added = true
	}
	return added
}

// Report logs the conditions that tell of something not working as written.
func (s *Source) Report(ctx context.Context, cs []source.Condition) error {
	for _, c := range cs {
		if !c.Bad() {
			continue
		}
		s.opts.Log.LogAttrs(ctx, slog.LevelWarn, "not as written",
			slog.String("object", c.Key().String()),
			slog.String("condition", c.Type+"="+string(c.Status)),
			slog.String("reason", c.Reason),
			slog.String("message", c.Message),
			slog.String("origin", s.origin(c.Key())))
	}
	return nil
}
