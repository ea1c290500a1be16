package redis

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// later is a limiter of a process after those before, which were killed.
func later(t *testing.T, dir string, room int64, log io.Writer) *Limiter {
	t.Helper()
	client, name, err := dial("redis://127.0.0.1:1/0", Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	l := newLimiter(client, name, Options{Log: slog.New(slog.NewTextHandler(log, nil)), Now: func() time.Time { return start }})
	if err := l.Keep(dir, room); err != nil {
		t.Fatal(err)
	}
	return l
}

func TestKeep(t *testing.T) {
	waits := func(t *testing.T, l *Limiter, want string) {
		t.Helper()
		if got := fmt.Sprint(rest(&l.backlog, start)); got != want {
			t.Errorf("%s waits, want %s", got, want)
		}
	}
	number := func() uint64 { return 9 }

	t.Run("what waited when a process was killed waits in the next", func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "made")
		l := later(t, dir, 1<<20, io.Discard)
		l.backlog.put(kept("a", 1), start)
		l.backlog.put(kept("a", 2), start)
		l.backlog.put(kept("b", 4), start)
		l = later(t, dir, 1<<20, io.Discard)
		l.backlog.put(kept("b", 8), start)
		waits(t, later(t, dir, 1<<20, io.Discard), "map[a:3 b:12]")
	})
	t.Run("what was sent bears its number, and what came meanwhile another", func(t *testing.T) {
		dir := t.TempDir()
		l := later(t, dir, 1<<20, io.Discard)
		l.backlog.put(kept("a", 1), start)
		sent := l.backlog.next(start, number)
		l.backlog.put(kept("a", 2), start)
		again := later(t, dir, 1<<20, io.Discard)
		s := again.backlog.next(start, number)
		if s.From != sent.From || s.From == again.instance || s.Number != sent.Number || s.Sent.IsZero() || len(s.Charges) != 1 || s.Charges[0].Amount != 1 {
			t.Errorf("%+v, want %+v", s, sent)
		}
		again.backlog.done(s)
		waits(t, later(t, dir, 1<<20, io.Discard), "map[a:2]")
	})
	t.Run("what was given back waits once", func(t *testing.T) {
		dir := t.TempDir()
		l := later(t, dir, 1<<20, io.Discard)
		l.backlog.put(kept("a", 1), start)
		s := l.backlog.next(start, number)
		l.backlog.back(s, s, start)
		held := kept("b", 2)
		held.Ticket, held.Number = 7, 8
		l.backlog.put(held, start)
		for range 2 {
			s = l.backlog.next(start, number)
			l.backlog.back(s, s, start)
		}
		waits(t, later(t, dir, 1<<20, io.Discard), "map[a:1 b:2]")
	})
	t.Run("nothing is left of what arrived", func(t *testing.T) {
		dir := t.TempDir()
		l := later(t, dir, 1<<20, io.Discard)
		l.backlog.put(kept("a", 1), start)
		l.backlog.done(l.backlog.next(start, number))
		waits(t, later(t, dir, 1<<20, io.Discard), "map[]")
		if n := volume(t, dir); n != 0 {
			t.Errorf("%d bytes are left", n)
		}
	})
	t.Run("lines give way to one that says all", func(t *testing.T) {
		const room = 20_000
		dir, log := t.TempDir(), new(bytes.Buffer)
		l := later(t, dir, room, log)
		held := kept("held", 5)
		held.Ticket, held.Number = 7, 8
		l.backlog.put(held, start)
		for range 1000 {
			l.backlog.put(kept("a", 1), start)
			l.backlog.put(kept("b", 2), start)
			if n := volume(t, dir); n > room {
				t.Fatalf("%d bytes", n)
			}
		}
		waits(t, later(t, dir, room, log), "map[a:1000 b:2000 held:5]")
		if log.Len() > 0 {
			t.Errorf("log: %s", log)
		}
	})
	t.Run("more than there is room for waits in memory, until nothing waits", func(t *testing.T) {
		dir, log := t.TempDir(), new(bytes.Buffer)
		l := later(t, dir, 10_000, log)
		for i := range 100 {
			l.backlog.put(kept(strconv.Itoa(i), 1), start)
		}
		if n := strings.Count(log.String(), "in memory only"); n != 1 {
			t.Errorf("said %d times: %s", n, log)
		}
		for {
			s := l.backlog.next(start, number)
			if len(s.Charges) == 0 {
				break
			}
			l.backlog.done(s)
		}
		waits(t, later(t, dir, 10_000, log), "map[]") // and nothing twice
		l.backlog.put(kept("again", 1), start)
		waits(t, later(t, dir, 10_000, log), "map[again:1]")
	})
	t.Run("a folder that cannot be", func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "file")
		if err := os.WriteFile(file, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := (&Limiter{}).Keep(file, 1); err == nil || !strings.Contains(err.Error(), file) {
			t.Errorf("error %v", err)
		}
	})
}

// TestBreaker: a moment without answers is no reason to give up.
func TestBreaker(t *testing.T) {
	f := func(err error, after time.Duration, want bool) {
		t.Helper()
		var b breaker
		for range 100 {
			b.bad(err, start)
		}
		if got := b.away() != nil || b.bad(err, start.Add(after)); got != want {
			t.Errorf("%v for %s: open is %v", err, after, got)
		}
	}
	f(os.ErrDeadlineExceeded, stall-1, false)
	f(os.ErrDeadlineExceeded, stall, true)
	f(io.EOF, 0, true)
}

// volume is how many bytes the files of a folder have.
func volume(t *testing.T, dir string) (n int64) {
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
