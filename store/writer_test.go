package store_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/egret-gateway/egret/store"
)

// disk is a Saver in memory that can be full or hang, and remembers when it was asked.
type disk struct {
	began time.Time

	mu    sync.Mutex
	full  error
	hangs bool
	seen
}

// seen is what a disk was asked for and what it holds.
type seen struct {
	asked    []time.Duration // since the beginning
	saves    []int           // entries of each transaction that succeeded
	entries  []string
	counters map[string]int64
}

func newDisk() *disk { return &disk{began: time.Now(), seen: seen{counters: map[string]int64{}}} }

// look returns a copy of what the disk has seen so far.
func (d *disk) look() seen {
	d.mu.Lock()
	defer d.mu.Unlock()
	return seen{slices.Clone(d.asked), slices.Clone(d.saves), slices.Clone(d.entries), maps.Clone(d.counters)}
}

func (d *disk) Save(ctx context.Context, entries []store.Entry, counters []store.Counter) error {
	if d.ask() {
		<-ctx.Done()
		return ctx.Err()
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.full != nil {
		return d.full
	}
	d.saves = append(d.saves, len(entries))
	for _, e := range entries {
		d.entries = append(d.entries, e.ID)
	}
	for _, c := range counters {
		d.counters[c.Key] = c.Used
	}
	return nil
}

// ask books a question and reports whether it will hang.
func (d *disk) ask() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.asked = append(d.asked, time.Since(d.began))
	return d.hangs
}

func (d *disk) fill(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.full = err
}

func (d *disk) hang(hangs bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.hangs = hangs
}

var errFull = errors.New("disk is full")

// bench is a Writer to a disk inside a bubble of fake time.
type bench struct {
	*store.Writer
	disk *disk
	log  *bytes.Buffer
	stop context.CancelFunc
	done chan struct{} // closed when Run has returned err
	err  error
}

// run runs test with a Writer that tune may change and that is running. The test may end it.
func run(t *testing.T, tune func(*bench), test func(*testing.T, *bench)) {
	synctest.Test(t, func(t *testing.T) {
		b := &bench{disk: newDisk(), log: new(bytes.Buffer), done: make(chan struct{})}
		b.Writer = store.NewWriter(b.disk)
		b.Log = slog.New(slog.NewTextHandler(b.log, nil))
		tune(b)
		ctx, cancel := context.WithCancel(t.Context())
		b.stop = cancel
		go func() {
			defer close(b.done)
			b.err = b.Run(ctx)
		}()
		test(t, b)
		_ = b.end() // a test that cares has looked
	})
}

func (b *bench) put(from, to int) {
	for i := from; i < to; i++ {
		b.Entry(store.Entry{ID: fmt.Sprint(i)})
	}
}

func (b *bench) end() error {
	b.stop()
	<-b.done
	return b.err
}

// after lets time pass and everything come to rest.
func after(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

func asIs(*bench) {}

func TestWriter(t *testing.T) {
	f := func(name string, tune func(*bench), test func(*testing.T, *bench)) {
		t.Helper()
		t.Run(name, func(t *testing.T) { run(t, tune, test) })
	}

	f("what is queued is written together after 20 ms, in order", asIs, func(t *testing.T, b *bench) {
		b.put(0, 2)
		after(19 * time.Millisecond)
		b.put(2, 3)
		equal(t, b.disk.look().entries, nil)
		after(time.Millisecond)
		equal(t, b.disk.look().entries, []string{"0", "1", "2"})
		equal(t, b.disk.look().saves, []int{3})
	})
	f("nobody to write for, nothing is written", asIs, func(t *testing.T, b *bench) {
		after(time.Hour)
		equal(t, b.disk.look().asked, nil)
		b.put(0, 1)
		after(time.Hour)
		equal(t, b.disk.look().asked, []time.Duration{time.Hour + 20*time.Millisecond})
	})
	f("a full batch does not wait", asIs, func(t *testing.T, b *bench) {
		b.put(0, 512)
		synctest.Wait()
		equal(t, b.disk.look().saves, []int{512})
		after(time.Hour)
		equal(t, b.disk.look().saves, []int{512})
	})
	f("what is more than a batch makes several transactions, the last waits for company", asIs, func(t *testing.T, b *bench) {
		b.put(0, 1300)
		synctest.Wait()
		equal(t, b.disk.look().saves, []int{512, 512})
		after(20 * time.Millisecond)
		equal(t, b.disk.look().saves, []int{512, 512, 276})
	})
	f("of a counter only the latest figure is written", asIs, func(t *testing.T, b *bench) {
		b.Counter(store.Counter{Key: "a", Used: 1})
		b.Counter(store.Counter{Key: "b", Used: 5})
		b.Counter(store.Counter{Key: "a", Used: 2})
		after(20 * time.Millisecond)
		equal(t, b.disk.look().counters, map[string]int64{"a": 2, "b": 5})
		equal(t, b.disk.look().saves, []int{0})
	})
	f("entries without an id are lost at once, not retried for ever", asIs, func(t *testing.T, b *bench) {
		b.Entry(store.Entry{User: "alice"})
		after(time.Second)
		equal(t, b.Lost(), 1)
		equal(t, b.disk.look().asked, nil)
	})
	f("the end writes the rest at once and closes the door", asIs, func(t *testing.T, b *bench) {
		b.put(0, 700)
		b.Counter(store.Counter{Key: "a", Used: 1})
		equal(t, b.end(), nil)
		equal(t, len(b.disk.look().entries), 700)
		equal(t, b.disk.look().counters, map[string]int64{"a": 1})
		b.put(700, 702)
		b.Counter(store.Counter{Key: "a", Used: 2})
		equal(t, b.Lost(), 2)
		equal(t, b.Healthy(), nil)
	})
}

func TestWriterFailure(t *testing.T) {
	f := func(name string, tune func(*bench), test func(*testing.T, *bench)) {
		t.Helper()
		t.Run(name, func(t *testing.T) { run(t, tune, test) })
	}
	full := func(b *bench) { b.disk.full, b.Backlog, b.Batch = errFull, 100, 10 }

	f("a full disk: requests go on, health says so, the backlog is bounded and the loss counted", full, func(t *testing.T, b *bench) {
		before := time.Now()
		b.put(0, 130)
		b.Counter(store.Counter{Key: "a", Used: 1})
		equal(t, time.Since(before), 0)
		after(time.Minute)
		equal(t, errors.Is(b.Healthy(), errFull), true)
		equal(t, b.Lost(), 30)
		asked := time.Now()
		b.Sync(t.Context())
		equal(t, time.Since(asked), 0) // who reads the database does not wait for a disk to be freed

		b.Counter(store.Counter{Key: "a", Used: 2})
		b.disk.fill(nil)
		after(2 * time.Second)
		equal(t, b.Healthy(), nil)
		equal(t, b.Lost(), 30)
		equal(t, len(b.disk.look().entries), 100)
		equal(t, b.disk.look().counters, map[string]int64{"a": 2})

		b.put(200, 201)
		after(20 * time.Millisecond)
		equal(t, b.disk.look().entries[100:], []string{"200"})
		equal(t, b.end(), nil)
		equal(t, strings.Count(b.log.String(), "level=ERROR"), 1)
		equal(t, strings.Count(b.log.String(), "level=INFO"), 1)
	})
	f("retries come at growing distances", full, func(t *testing.T, b *bench) {
		b.put(0, 1)
		after(6 * time.Second)
		const ms = time.Millisecond
		equal(t, b.disk.look().asked, []time.Duration{20 * ms, 70 * ms, 170 * ms, 370 * ms, 770 * ms, 1570 * ms, 3170 * ms, 5170 * ms})
	})
	f("counters have a bound of their own", full, func(t *testing.T, b *bench) {
		for i := range 150 {
			b.Counter(store.Counter{Key: fmt.Sprint(i), Used: 1})
		}
		b.disk.fill(nil)
		after(time.Second)
		equal(t, len(b.disk.look().counters), 100)
		b.Counter(store.Counter{Key: "149", Used: 2})
		after(time.Second)
		equal(t, b.disk.look().counters["149"], 2)
		equal(t, b.Lost(), 0)
	})
	f("the end tries for 5 s and counts what it leaves", full, func(t *testing.T, b *bench) {
		b.put(0, 7)
		after(time.Second)
		before := time.Now()
		err := b.end()
		equal(t, time.Since(before), 5*time.Second)
		equal(t, errors.Is(err, errFull), true)
		equal(t, strings.Contains(err.Error(), "7 entries"), true)
		equal(t, b.Lost(), 7)
	})
	f("space that comes back during the end is used", full, func(t *testing.T, b *bench) {
		b.put(0, 7)
		time.AfterFunc(3*time.Second, func() { b.disk.fill(nil) })
		equal(t, b.end(), nil)
		equal(t, len(b.disk.look().entries), 7)
		equal(t, b.Lost(), 0)
	})

	hang := func(b *bench) { b.disk.hang(true) }
	f("a write that hangs is seen after 5 s and ends with Run", hang, func(t *testing.T, b *bench) {
		b.put(0, 1)
		b.Counter(store.Counter{Key: "a", Used: 1})
		after(5 * time.Second)
		equal(t, b.Healthy(), nil)
		after(time.Millisecond)
		equal(t, strings.Contains(fmt.Sprint(b.Healthy()), "has not been written for 5.001s"), true)
		equal(t, errors.Is(b.end(), context.DeadlineExceeded), true)
		equal(t, b.Lost(), 1)
	})
	f("an interrupted write is no failure of the disk", hang, func(t *testing.T, b *bench) {
		b.Counter(store.Counter{Key: "a", Used: 1})
		after(time.Second)
		b.Counter(store.Counter{Key: "b", Used: 1})
		b.disk.hang(false)
		equal(t, b.end(), nil)
		equal(t, b.disk.look().counters, map[string]int64{"a": 1, "b": 1})
		equal(t, b.log.String(), "")
	})
}

func TestWriterNotRunning(t *testing.T) {
	now := time.Date(2026, 2, 13, 12, 0, 0, 0, time.UTC)
	w := store.NewWriter(newDisk())
	w.Now = func() time.Time { return now }
	w.Entry(store.Entry{ID: "a"})
	equal(t, w.Healthy(), nil)
	now = now.Add(6 * time.Second)
	equal(t, fmt.Sprint(w.Healthy()), "usage ledger has not been written for 6s (1 entries wait, 0 are lost); the disk hangs or is overloaded")
}

func equal[T any](t *testing.T, got, want T) {
	t.Helper()
	if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b error) bool { return errors.Is(a, b) })); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func BenchmarkWriter(b *testing.B) {
	w := store.NewWriter(newDisk())
	ctx, cancel := context.WithCancel(b.Context())
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	e := store.Entry{ID: "0123456789abcdef", User: "kube:admin", ModelAsked: "gpt-4o", ModelServed: "gpt-4o-2024-08-06"}
	c := store.Counter{Key: "free/kube:admin", Used: 1}
	b.ReportAllocs()
	for b.Loop() {
		w.Entry(e)
		w.Counter(c)
	}
	cancel()
	if err := <-done; err != nil {
		b.Fatal(err)
	}
}

func TestSyncWaitsForTheQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		to := &slowSaver{took: time.Second}
		w := store.NewWriter(to)
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- w.Run(ctx) }()
		w.Sync(ctx) // nothing is queued: nothing to wait for
		w.Entry(store.Entry{ID: "a"})
		w.Sync(ctx)
		if n := to.saved.Load(); n != 1 {
			t.Errorf("%d entries were written when Sync returned, want 1", n)
		}
		w.Entry(store.Entry{ID: "b"})
		short, cancel := context.WithTimeout(ctx, time.Millisecond)
		w.Sync(short) // returns although the write has not ended
		cancel()
		if n := to.saved.Load(); n != 1 {
			t.Errorf("%d entries were written, want 1", n)
		}
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// slowSaver takes its time.
type slowSaver struct {
	took  time.Duration
	saved atomic.Int64
}

func (s *slowSaver) Save(_ context.Context, entries []store.Entry, _ []store.Counter) error {
	time.Sleep(s.took) // of the synctest bubble's clock
	s.saved.Add(int64(len(entries)))
	return nil
}
