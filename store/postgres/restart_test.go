//go:build services

package postgres

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/egret-gateway/egret/lab/service"
	"github.com/egret-gateway/egret/store"
)

func TestRestart(t *testing.T) {
	server := service.Postgres(t)
	ctx := t.Context()
	s := open(t, server.URL)

	t.Run("maas-57 maas-116 keys and counters, and all else, outlive a crash of the server", func(t *testing.T) {
		check(t, s.PutKey(ctx, key))
		check(t, s.Deny(ctx, denial))
		check(t, s.PutAccount(ctx, account))
		check(t, s.Save(ctx, []store.Entry{entry}, []store.Counter{counter}))
		server.Kill()
		server.Start()
		equal(t, got(s.Keys(ctx, key.Owner))(t), []store.Key{key})
		equal(t, got(s.Counters(ctx, noon))(t), []store.Counter{counter})
		equal(t, got(s.Recent(ctx, "", 10))(t), []store.Entry{entry})
		equal(t, got(s.Denied(ctx, noon))(t), []store.Denial{denial})
		equal(t, got(s.Accounts(ctx))(t), []store.Account{account})
	})
	t.Run("a server that is away is said to be", func(t *testing.T) {
		server.Kill()
		defer server.Start()
		var err error
		for err == nil { // its connections may outlive the server for a moment
			short, stop := context.WithTimeout(ctx, 500*time.Millisecond)
			_, err = s.Keys(short, key.Owner)
			stop()
		}
		if !errors.Is(err, store.ErrAway) {
			t.Errorf("error %v, want %v", err, store.ErrAway)
		}
	})
	t.Run("a restart in the middle of writing is a pause and loses nothing", func(t *testing.T) {
		w := store.NewWriter(s)
		run, stop := context.WithCancel(ctx)
		ran := make(chan error, 1)
		go func() { ran <- w.Run(run) }()
		var written, keys atomic.Int64
		done := make(chan struct{})
		var wg sync.WaitGroup
		for worker := range 4 {
			wg.Go(func() {
				for i := 0; ; i++ {
					select {
					case <-done:
						return
					default:
					}
					id := fmt.Sprintf("w%d-%d", worker, i)
					w.Entry(store.Entry{ID: id, Time: noon, User: "carol"})
					written.Add(1)
					if err := s.PutKey(ctx, store.Key{ID: id, Owner: "carol", Name: id, Created: noon, Expires: noon}); err != nil {
						t.Error(err)
						return
					}
					keys.Add(1)
				}
			})
		}
		reach(t, func() bool { return keys.Load() > 200 })
		server.Kill()
		server.Start()
		n := keys.Load()
		reach(t, func() bool { return keys.Load() > n+200 })
		close(done)
		wg.Wait()
		stop()
		check(t, <-ran)
		equal(t, got(s.Usage(ctx, store.Query{User: "carol"}))(t)[0].Requests, written.Load())
		equal(t, int64(len(got(s.Keys(ctx, "carol"))(t))), keys.Load())
		equal(t, w.Lost(), 0)
		t.Logf("%d entries, %d keys", written.Load(), keys.Load())
	})
	t.Run("a key whose commit was not answered is not another's", func(t *testing.T) {
		twice := func(k store.Key) error {
			return s.update(ctx, func(ctx context.Context, tx pgx.Tx, _ int) error { return putKey(ctx, tx, k, true) })
		}
		check(t, twice(key))
		other := key
		other.Owner = "mallory"
		is(t, twice(other), store.ErrExists)
		is(t, s.PutKey(ctx, key), store.ErrExists)
	})
	t.Run("a server that hangs holds nobody for longer than a caller waits", func(t *testing.T) {
		tx := got(s.pool.Begin(ctx))(t)
		defer tx.Rollback(ctx)
		_, err := tx.Exec(ctx, `LOCK TABLE ledger`)
		check(t, err)
		short, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
		defer cancel()
		began := time.Now()
		_, err = s.Recent(short, "", 1)
		if d := time.Since(began); err == nil || d > time.Second {
			t.Errorf("%v after %s", err, d)
		}
	})
	t.Run("a server that is away is named, after a few seconds", func(t *testing.T) {
		server.Kill()
		reach(t, func() bool { return s.pool.Ping(ctx) != nil }) // its children go a moment later
		began := time.Now()
		err := s.Deny(ctx, denial)
		if d := time.Since(began); err == nil || d < repeatFor || d > callWithin {
			t.Errorf("%v after %s", err, d)
		}
		server.Start()
		check(t, s.Deny(ctx, denial))
	})
}

// reach waits until something holds.
func reach(t *testing.T, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	late := time.After(20 * time.Second)
	for !holds() {
		select {
		case <-tick.C:
		case <-late:
			t.Fatal("it does not come about")
		}
	}
}
