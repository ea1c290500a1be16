package sqlite_test

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/egret-gateway/egret/store"
)

// The database reaches its largest size, as it would on a full disk, and is given room again later.
func TestFull(t *testing.T) {
	path := filepath.Join(t.TempDir(), "egret.db")
	synctest.Test(t, func(t *testing.T) {
		s := open(t, path)
		defer s.Close()
		w := store.NewWriter(s)
		w.Backlog, w.Batch, w.Log = 200, 20, slog.New(slog.DiscardHandler)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		done := make(chan error, 1)
		go func() { done <- w.Run(ctx) }()

		put := func(from, to int) {
			before := time.Now()
			for i := from; i < to; i++ {
				w.Entry(store.Entry{ID: fmt.Sprint(i), Time: noon, Route: strings.Repeat("r", 400), Total: 1})
			}
			w.Counter(store.Counter{Key: "free/kube:admin", Used: int64(to), Opened: noon, Window: time.Minute})
			equal(t, time.Since(before), 0) // a request never waits, whatever the disk does
		}
		settle := func(d time.Duration) {
			<-time.After(d)
			synctest.Wait()
		}
		written := func() int64 {
			t.Helper()
			return got(s.Usage(t.Context(), store.Query{}))(t)[0].Requests
		}

		put(0, 20)
		settle(w.Every)
		equal(t, w.Healthy(), nil)
		equal(t, written(), 20)

		check(t, s.LimitPages(ctx, 1)) // no less than it has by now
		put(20, 620)
		settle(time.Minute)
		before := written()
		equal(t, w.Healthy() != nil && strings.Contains(w.Healthy().Error(), "full"), true)
		equal(t, w.Lost() > 0, true)
		equal(t, before+w.Lost()+int64(w.Backlog), 620)
		equal(t, got(s.Counters(ctx, noon))(t)[0].Used < 620, true)

		check(t, s.LimitPages(ctx, 1<<30))
		settle(w.RetryMax)
		equal(t, w.Healthy(), nil)
		equal(t, written()+w.Lost(), 620)
		equal(t, got(s.Counters(ctx, noon))(t)[0].Used, 620)

		put(620, 621)
		cancel()
		equal(t, <-done, nil)
		equal(t, written()+w.Lost(), 621)
	})
}

// What has no room is refused, what is there can be read, and the deny-list loads.
func TestFullReads(t *testing.T) {
	ctx := t.Context()
	s := open(t, filepath.Join(t.TempDir(), "egret.db"))
	defer s.Close()
	check(t, s.Deny(ctx, denial))
	check(t, s.LimitPages(ctx, 1))

	big := key
	big.Description = strings.Repeat("d", 100_000)
	err := s.PutKey(ctx, big)
	equal(t, err != nil && strings.Contains(err.Error(), `api key "k"`) && strings.Contains(err.Error(), "full"), true)
	equal(t, got(s.Keys(ctx, key.Owner))(t), nil)
	equal(t, got(s.Denied(ctx, noon))(t), []store.Denial{denial})
	equal(t, got(s.Denied(ctx, denial.Until))(t), nil)
}
