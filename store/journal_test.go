package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// book is a Saver that may be away.
type book struct {
	away  error
	lines []string
}

func (b *book) Save(_ context.Context, entries []Entry, _ []Counter) error {
	if b.away != nil {
		return b.away
	}
	for _, e := range entries {
		b.lines = append(b.lines, e.ID)
	}
	return nil
}

// TestKeep leaves writers behind, as a SIGKILL does, and begins new ones.
func TestKeep(t *testing.T) {
	begin := func(t *testing.T, b *book, dir string, room int64) *Writer {
		t.Helper()
		w := NewWriter(b)
		w.Log = slog.New(slog.DiscardHandler)
		if err := w.Keep(dir, room); err != nil {
			t.Fatal(err)
		}
		return w
	}
	say := func(w *Writer, ids ...string) {
		for _, id := range ids {
			w.Entry(Entry{ID: id})
		}
	}
	equal := func(t *testing.T, b *book, want ...string) {
		t.Helper()
		if d := cmp.Diff(want, b.lines); d != "" {
			t.Errorf("written (-want +got):\n%s", d)
		}
	}

	t.Run("what waited when a process ended is written by the next", func(t *testing.T) {
		dir, b := filepath.Join(t.TempDir(), "made"), &book{away: errors.New("away")}
		w := begin(t, b, dir, 1<<20)
		say(w, "a", "b")
		if err := w.write(t.Context()); err == nil {
			t.Fatal("the database is away")
		}
		say(w, "c")
		b.away = nil
		w = begin(t, b, dir, 1<<20)
		say(w, "d")
		if err := w.write(t.Context()); err != nil {
			t.Fatal(err)
		}
		equal(t, b, "a", "b", "c", "d")
		w = begin(t, b, dir, 1<<20)
		if err := w.write(t.Context()); err != nil {
			t.Fatal(err)
		}
		equal(t, b, "a", "b", "c", "d")
	})
	t.Run("an entry keeps all that is in it; a torn one is none", func(t *testing.T) {
		dir := t.TempDir()
		want := Entry{ID: "a", User: "é", Time: NewWriter(nil).Now().UTC(), Total: 1 << 40, Exact: true, Duration: 7}
		begin(t, &book{}, dir, 1<<20).Entry(want)
		torn(t, dir, `{"ID":"b","User`)
		w := begin(t, &book{}, dir, 1<<20)
		if d := cmp.Diff([]Entry{want}, w.entries); d != "" {
			t.Errorf("-want +got:\n%s", d)
		}
	})
	t.Run("without room entries wait in memory, and are kept again when nothing waits", func(t *testing.T) {
		dir, b := t.TempDir(), &book{}
		w := begin(t, b, dir, 2000)
		var log bytes.Buffer
		w.Log = slog.New(slog.NewTextHandler(&log, nil))
		for i := range 20 {
			say(w, strconv.Itoa(i))
		}
		if n := strings.Count(log.String(), "journal is full"); n != 1 {
			t.Errorf("said %d times:\n%s", n, &log)
		}
		if got := size(t, dir); got == 0 || got > 2000 {
			t.Errorf("%d bytes", got)
		}
		if err := w.write(t.Context()); err != nil || len(b.lines) != 20 {
			t.Errorf("%d entries are written, error %v", len(b.lines), err)
		}
		say(w, "again")
		next := begin(t, b, dir, 2000)
		if len(next.entries) != 1 || next.entries[0].ID != "again" {
			t.Errorf("kept: %v", next.entries)
		}
	})
	t.Run("a queue that never empties takes no more room than what waits", func(t *testing.T) {
		dir, b := t.TempDir(), &book{}
		w := begin(t, b, dir, 8<<20)
		most := int64(0)
		for round := range 20 {
			for i := range 600 {
				say(w, fmt.Sprintf("%d-%d", round, i))
			}
			if err := w.write(t.Context()); err != nil { // a batch of 512
				t.Fatal(err)
			}
			most = max(most, size(t, dir))
		}
		waits := w.entries
		if perEntry := most / int64(len(waits)+2*segmentEntries); perEntry > 1000 {
			t.Errorf("%d bytes for %d entries that wait", most, len(waits))
		}
		again := begin(t, b, dir, 8<<20).entries
		if extra := len(again) - len(waits); extra < 0 || extra > segmentEntries {
			t.Fatalf("%d are kept, %d wait", len(again), len(waits))
		}
		if d := cmp.Diff(waits, again[len(again)-len(waits):]); d != "" {
			t.Errorf("-want +got:\n%s", d)
		}
	})
	t.Run("a folder that cannot be", func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "file")
		if err := os.WriteFile(file, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := NewWriter(&book{}).Keep(file, 1); err == nil || !strings.Contains(err.Error(), file) {
			t.Errorf("error %v", err)
		}
	})
}

// torn adds half a line to the newest segment.
func torn(t *testing.T, dir, text string) {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(paths) != 1 {
		t.Fatalf("files %v, error %v", paths, err)
	}
	f, err := os.OpenFile(paths[0], os.O_APPEND|os.O_WRONLY, 0)
	if err == nil {
		_, err = f.WriteString(text)
	}
	if err == nil {
		err = f.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
}

// size is how many bytes the files of a folder have.
func size(t *testing.T, dir string) (n int64) {
	t.Helper()
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		info, err := f.Info()
		if err != nil {
			t.Fatal(err)
		}
		n += info.Size()
	}
	return n
}
