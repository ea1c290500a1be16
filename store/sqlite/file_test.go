package sqlite_test

import (
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/egret-gateway/egret/store"
	"github.com/egret-gateway/egret/store/sqlite"
	"github.com/egret-gateway/egret/store/storetest"
)

var (
	noon    = storetest.Noon
	key     = store.Key{ID: "k", Owner: "kube:admin", Name: "ci", Created: noon, Expires: noon.Add(time.Hour)}
	counter = store.Counter{Key: "free/kube:admin", Used: 60, Opened: noon, Window: time.Minute}
	entry   = store.Entry{ID: "r", Time: noon, User: "kube:admin", Total: 60}
	denial  = store.Denial{Subject: "jti:k", Until: noon.Add(time.Hour)}
	account = store.Account{Namespace: "n", Name: "a", UID: "u", Created: noon, LastHumanMint: noon}
)

// reopened fills a store at path, closes it and says what another one at that path still knows.
func reopened(t *testing.T, path string) (keys []store.Key, counters []store.Counter, entries []store.Entry, denials []store.Denial, accounts []store.Account) {
	t.Helper()
	ctx := t.Context()
	s := open(t, path)
	check(t, s.PutKey(ctx, key))
	check(t, s.Deny(ctx, denial))
	check(t, s.PutAccount(ctx, account))
	check(t, s.Save(ctx, []store.Entry{entry}, []store.Counter{counter}))
	check(t, s.Close())

	s = open(t, path)
	defer s.Close()
	keys = got(s.Keys(ctx, key.Owner))(t)
	counters = got(s.Counters(ctx, noon))(t)
	entries = got(s.Recent(ctx, "", 10))(t)
	denials = got(s.Denied(ctx, noon))(t)
	accounts = got(s.Accounts(ctx))(t)
	return keys, counters, entries, denials, accounts
}

func TestRestart(t *testing.T) {
	t.Run("maas-57 maas-116 a file keeps keys and counters, and all else", func(t *testing.T) {
		keys, counters, entries, denials, accounts := reopened(t, filepath.Join(t.TempDir(), "egret.db"))
		equal(t, keys, []store.Key{key})
		equal(t, counters, []store.Counter{counter})
		equal(t, entries, []store.Entry{entry})
		equal(t, denials, []store.Denial{denial})
		equal(t, accounts, []store.Account{account})
	})
	t.Run("maas-57 memory keeps nothing", func(t *testing.T) {
		keys, counters, entries, denials, accounts := reopened(t, ":memory:")
		equal(t, len(keys)+len(counters)+len(entries)+len(denials)+len(accounts), 0)
	})
}

func TestOpen(t *testing.T) {
	ctx := t.Context()
	refused := func(t *testing.T, path string, words ...string) {
		t.Helper()
		_, err := sqlite.Open(ctx, path)
		for _, w := range words {
			if err == nil || !strings.Contains(err.Error(), w) {
				t.Errorf("error %v, want one that says %q", err, w)
			}
		}
	}

	t.Run("only the owner may read the file and its log, whatever the file was before", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "a b%20?c#d.db")
		check(t, os.WriteFile(path, nil, 0o666))
		s := open(t, path)
		defer s.Close()
		check(t, s.PutKey(ctx, key))
		files := got(filepath.Glob(filepath.Join(filepath.Dir(path), "*")))(t)
		equal(t, len(files), 3)
		for _, f := range files {
			equal(t, got(os.Stat(f))(t).Mode(), fs.FileMode(0o600))
		}
	})
	t.Run("after Close only the file remains", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "egret.db")
		check(t, open(t, path).Close())
		equal(t, got(filepath.Glob(filepath.Join(filepath.Dir(path), "*")))(t), []string{path})
	})
	t.Run("a folder that is missing is named", func(t *testing.T) {
		refused(t, filepath.Join(t.TempDir(), "gone", "egret.db"), "gone does not exist", "create it")
	})
	t.Run("a folder that is a file is named", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "file")
		check(t, os.WriteFile(path, nil, 0o600))
		refused(t, filepath.Join(path, "egret.db"), "file")
	})
	t.Run("a folder is no database", func(t *testing.T) {
		refused(t, t.TempDir(), "directory")
	})
	t.Run("what is no database is refused and left alone", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "notes.txt")
		text := strings.Repeat("not a database\n", 100)
		check(t, os.WriteFile(path, []byte(text), 0o600))
		refused(t, path, "notes.txt", "not a database")
		equal(t, string(got(os.ReadFile(path))(t)), text)
	})
	t.Run("a database of a newer version is refused and left alone", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "egret.db")
		s := open(t, path)
		check(t, s.Exec(ctx, "PRAGMA user_version = 99"))
		check(t, s.Close())
		refused(t, path, "egret.db", "version 99", "newer program")
	})
	t.Run("an ended context opens nothing", func(t *testing.T) {
		ctx, cancel := context.WithCancel(ctx)
		cancel()
		_, err := sqlite.Open(ctx, "")
		equal(t, err != nil, true)
	})
}

// A database of maas-api has the table "tokens" as its documentation gives it and no version number.
func TestTakeover(t *testing.T) {
	ctx := t.Context()
	path := filepath.Join(t.TempDir(), "maas-api.db")
	s := open(t, path)
	for _, statement := range []string{
		"DROP TABLE tokens", "DROP TABLE ledger", "DROP TABLE counters", "DROP TABLE denials", "DROP TABLE accounts", "DROP TABLE namespaces",
		"CREATE TABLE tokens (id TEXT PRIMARY KEY, username TEXT NOT NULL, name TEXT NOT NULL, description TEXT, creation_date TEXT NOT NULL, expiration_date TEXT NOT NULL)",
		"CREATE INDEX idx_tokens_username ON tokens (username)",
		"INSERT INTO tokens VALUES ('k', 'kube:admin', 'ci', NULL, '2026-02-13T12:00:00Z', '2026-02-13T13:00:00Z'), ('odd', 'kube:admin', 'ci', NULL, '', 'soon')",
		"PRAGMA user_version = 0",
	} {
		check(t, s.Exec(ctx, statement))
	}
	check(t, s.Close())

	s = open(t, path)
	defer s.Close()
	equal(t, got(s.Keys(ctx, "kube:admin"))(t), []store.Key{key, {ID: "odd", Owner: "kube:admin", Name: "ci"}})
	odd := got(s.Key(ctx, "kube:admin", "odd"))(t)
	equal(t, odd.Expired(noon), true)
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// got lets a call with an error be used as a value: got(f())(t).
func got[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		check(t, err)
		return v
	}
}

func equal[T any](t *testing.T, got, want T) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
