//go:build services

package postgres

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/egret-gateway/egret/lab/service"
	"github.com/egret-gateway/egret/store"
	"github.com/egret-gateway/egret/store/storetest"
)

var (
	noon    = storetest.Noon
	key     = store.Key{ID: "k", Owner: "kube:admin", Name: "ci", Created: noon, Expires: noon.Add(time.Hour)}
	counter = store.Counter{Key: "free/\x00\xff" + strings.Repeat("long", 1000), Used: 60, Opened: noon, Window: time.Minute}
	entry   = store.Entry{ID: "r", Time: noon, User: "kube:admin", Total: 60}
	denial  = store.Denial{Subject: "jti:k", Until: noon.Add(time.Hour)}
	account = store.Account{Namespace: "n", Name: "a", UID: "u", Created: noon, LastHumanMint: noon}
)

func TestMigrations(t *testing.T) {
	server := service.Postgres(t)
	ctx := t.Context()

	t.Run("replicas that start at once make the tables once", func(t *testing.T) {
		url := server.Database("crowd")
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				s, err := Open(ctx, url)
				if err != nil {
					t.Error(err)
					return
				}
				defer s.Close()
				if err := s.Append(ctx, []store.Entry{entry}); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		s := open(t, url)
		equal(t, got(s.Recent(ctx, "", 10))(t), []store.Entry{entry})
		var versions int
		check(t, s.pool.QueryRow(ctx, `SELECT count(*) FROM egret_migrations`).Scan(&versions))
		equal(t, versions, 2)
	})
	t.Run("maas-57 a database of maas-api, which has no version, is taken over with its keys", func(t *testing.T) {
		url := server.Database("takeover")
		s := open(t, url)
		_, err := s.pool.Exec(ctx, `
			DROP TABLE tokens, namespaces, accounts, denials, counters, ledger, egret_migrations;
			CREATE TABLE tokens (id TEXT PRIMARY KEY, username TEXT NOT NULL, name TEXT NOT NULL, description TEXT,
				creation_date TEXT NOT NULL, expiration_date TEXT NOT NULL);
			CREATE INDEX idx_tokens_username ON tokens (username);
			INSERT INTO tokens VALUES ('k', 'kube:admin', 'ci', NULL, '2026-02-13T12:00:00Z', '2026-02-13T13:00:00Z'),
				('odd', 'kube:admin', 'ci', NULL, '', 'soon')`)
		check(t, err)
		s.Close()
		for range 2 { // the second start finds everything in place
			s = open(t, url)
			equal(t, got(s.Keys(ctx, "kube:admin"))(t), []store.Key{key, {ID: "odd", Owner: "kube:admin", Name: "ci"}})
		}
	})
	t.Run("a schema of an older version is brought up to date with its rows", func(t *testing.T) {
		url := server.Database("older")
		s := open(t, url)
		_, err := s.pool.Exec(ctx, `
			DROP TABLE namespaces, accounts, denials, counters, ledger;
			ALTER TABLE tokens DROP COLUMN account, DROP COLUMN seq;
			DELETE FROM egret_migrations WHERE version > 1;
			INSERT INTO tokens VALUES ('k', 'kube:admin', 'ci', '', '2026-02-13T12:00:00Z', '2026-02-13T13:00:00Z')`)
		check(t, err)
		s.Close()
		s = open(t, url)
		equal(t, got(s.Keys(ctx, "kube:admin"))(t), []store.Key{key})
		check(t, s.Deny(ctx, denial))
	})
	t.Run("a database of a newer version is refused and left alone", func(t *testing.T) {
		url := server.Database("newer")
		s := open(t, url)
		_, err := s.pool.Exec(ctx, `INSERT INTO egret_migrations (version, file) VALUES (99, 'later.sql')`)
		check(t, err)
		says(t, url, "newer on 127.0.0.1", "version 99", "newer program")
		var last int
		check(t, s.pool.QueryRow(ctx, `SELECT max(version) FROM egret_migrations`).Scan(&last))
		equal(t, last, 99)
	})
	t.Run("a database that is not there, and a user who may not, are told at once", func(t *testing.T) {
		began := time.Now()
		says(t, strings.Replace(server.URL, "/egret?", "/gone?", 1), "gone on 127.0.0.1", "does not exist")
		says(t, strings.Replace(server.URL, "egret@", "nobody:s3cret@", 1), "egret on 127.0.0.1", "nobody")
		if d := time.Since(began); d > 3*time.Second {
			t.Errorf("it took %s", d)
		}
	})
	t.Run("what the database cannot hold is the caller's mistake", func(t *testing.T) {
		s := open(t, server.Database("odd"))
		odd := key
		odd.Name = "a\x00b"
		is(t, s.PutKey(ctx, odd), store.ErrInvalid)
		is(t, s.Deny(ctx, store.Denial{Subject: "\xff"}), store.ErrInvalid)
		is(t, s.PutAccount(ctx, store.Account{Namespace: "n", Name: strings.Repeat("0123456789abcdef\x01", 1<<16), UID: "u"}), store.ErrInvalid)
		check(t, s.SaveCounters(ctx, []store.Counter{counter}))
		equal(t, got(s.Counters(ctx, noon))(t), []store.Counter{counter})
	})
	t.Run("a caller that goes away takes nothing with it", func(t *testing.T) {
		s := open(t, server.Database("cancel"))
		gone, cancel := context.WithCancel(ctx)
		cancel()
		if s.PutKey(gone, key) == nil {
			t.Error("an ended context should end the call")
		}
		check(t, s.PutKey(ctx, key))
	})
	t.Run("no statement, lock or pool is without bounds", func(t *testing.T) {
		s := open(t, server.URL)
		for name, want := range map[string]string{"statement_timeout": "10s", "lock_timeout": "5s", "idle_in_transaction_session_timeout": "30s", "application_name": "egret"} {
			var value string
			check(t, s.pool.QueryRow(ctx, "SELECT current_setting($1)", name).Scan(&value))
			equal(t, value, want)
		}
		equal(t, s.pool.Config().MaxConns, int32(conns))
		wide := open(t, server.URL+"&pool_max_conns=3&statement_timeout=7000")
		equal(t, wide.pool.Config().MaxConns, int32(3))
		equal(t, wide.pool.Config().ConnConfig.RuntimeParams["statement_timeout"], "7000")
	})
}

func is(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("error %v, want %v", err, want)
	}
}
