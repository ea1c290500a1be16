package storetest

import (
	"testing"
	"time"

	"github.com/egret-gateway/egret/store"
)

func accounts(t *testing.T, s store.Store) {
	ctx := t.Context()
	account := store.Account{
		Namespace: "maas-default-gateway-tier-free", Name: "kube-admin-81378af5", UID: "u1", Owner: "kube:admin",
		Labels:  map[string]string{"maas.opendatahub.io/tier": "free"},
		Created: Noon.Add(time.Nanosecond), LastHumanMint: Noon.Add(time.Minute),
	}

	t.Run("namespace and account come back with their labels", func(t *testing.T) {
		must(t, s.PutNamespace(ctx, account.Namespace, map[string]string{"maas.opendatahub.io/tier": "free"}))
		must(t, s.PutNamespace(ctx, "default", nil))
		spaces, err := s.Namespaces(ctx)
		must(t, err)
		equal(t, spaces, []store.Namespace{
			{Name: "default"}, {Name: account.Namespace, Labels: map[string]string{"maas.opendatahub.io/tier": "free"}},
		})
		must(t, s.PutAccount(ctx, account))
		got, err := s.Account(ctx, account.Namespace, account.Name)
		must(t, err)
		equal(t, got, account)
	})
	t.Run("putting again replaces", func(t *testing.T) {
		account.UID, account.Labels, account.LastHumanMint = "u2", nil, time.Time{}
		must(t, s.PutAccount(ctx, account))
		must(t, s.PutNamespace(ctx, account.Namespace, nil))
		all, err := s.Accounts(ctx)
		must(t, err)
		equal(t, all, []store.Account{account})
		spaces, err := s.Namespaces(ctx)
		must(t, err)
		equal(t, spaces, []store.Namespace{{Name: "default"}, {Name: account.Namespace}})
	})
	t.Run("accounts are listed by namespace and name", func(t *testing.T) {
		must(t, s.PutAccount(ctx, store.Account{Namespace: "default", Name: "b", UID: "u3"}))
		must(t, s.PutAccount(ctx, store.Account{Namespace: "default", Name: "a", UID: "u4"}))
		all, err := s.Accounts(ctx)
		must(t, err)
		equal(t, all, []store.Account{
			{Namespace: "default", Name: "a", UID: "u4"}, {Namespace: "default", Name: "b", UID: "u3"}, account,
		})
	})
	t.Run("deleting what is not there is no error", func(t *testing.T) {
		must(t, s.DeleteAccount(ctx, account.Namespace, account.Name))
		must(t, s.DeleteAccount(ctx, account.Namespace, account.Name))
		_, err := s.Account(ctx, account.Namespace, account.Name)
		is(t, err, store.ErrNotFound)
	})
	t.Run("what has no name or uid is invalid", func(t *testing.T) {
		is(t, s.PutAccount(ctx, store.Account{Namespace: "n", Name: "a"}), store.ErrInvalid)
		is(t, s.PutAccount(ctx, store.Account{Namespace: "n", UID: "u"}), store.ErrInvalid)
		is(t, s.PutNamespace(ctx, "", nil), store.ErrInvalid)
	})
}

func denials(t *testing.T, s store.Store) {
	ctx := t.Context()
	denied := func(t *testing.T, now time.Time, want ...store.Denial) {
		t.Helper()
		got, err := s.Denied(ctx, now)
		must(t, err)
		equal(t, got, want)
	}
	token := store.Denial{Subject: "jti:1", Until: Noon.Add(time.Hour)}
	account := store.Denial{Subject: "uid:1", Until: Noon.Add(time.Minute)}

	t.Run("denials are listed until they end", func(t *testing.T) {
		denied(t, Noon)
		must(t, s.Deny(ctx, account, token))
		denied(t, Noon, token, account)
		denied(t, account.Until, token)
		denied(t, Noon, token) // what has ended was forgotten
	})
	t.Run("a denial is prolonged, never shortened", func(t *testing.T) {
		must(t, s.Deny(ctx, store.Denial{Subject: token.Subject, Until: Noon.Add(time.Second)}))
		denied(t, Noon, token)
		token.Until = Noon.Add(2 * time.Hour)
		must(t, s.Deny(ctx, token))
		denied(t, Noon, token)
	})
	t.Run("a bad one stops all", func(t *testing.T) {
		is(t, s.Deny(ctx, store.Denial{Subject: "jti:2", Until: token.Until}, store.Denial{}), store.ErrInvalid)
		denied(t, Noon, token)
		must(t, s.Deny(ctx))
	})
	t.Run("an end beyond all calendars counts", func(t *testing.T) {
		must(t, s.Deny(ctx, store.Denial{Subject: "jti:3", Until: time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)}))
		got, err := s.Denied(ctx, token.Until)
		must(t, err)
		equal(t, len(got), 1)
	})
}

func counters(t *testing.T, s store.Store) {
	ctx := t.Context()
	minute := store.Counter{Key: "free/kube:admin", Used: 40, Opened: Noon, Window: time.Minute}
	day := store.Counter{Key: "day/kube:admin", Used: 1 << 40, Opened: Noon, Window: 24 * time.Hour}
	counted := func(t *testing.T, now time.Time, want ...store.Counter) {
		t.Helper()
		got, err := s.Counters(ctx, now)
		must(t, err)
		equal(t, got, want)
	}

	t.Run("counters come back, the later figure of a key wins", func(t *testing.T) {
		must(t, s.SaveCounters(ctx, nil))
		must(t, s.SaveCounters(ctx, []store.Counter{minute, day}))
		minute.Used = 60
		must(t, s.SaveCounters(ctx, []store.Counter{{Key: minute.Key, Used: 50, Opened: Noon, Window: time.Minute}, minute}))
		counted(t, Noon.Add(59*time.Second), day, minute)
	})
	t.Run("a closed window is forgotten", func(t *testing.T) {
		equal(t, minute.Live(Noon.Add(time.Minute)), false)
		counted(t, Noon.Add(time.Minute), day)
		counted(t, Noon, day)
	})
	t.Run("a new window replaces the old one", func(t *testing.T) {
		day.Opened, day.Used = Noon.Add(24*time.Hour), 1
		must(t, s.SaveCounters(ctx, []store.Counter{day}))
		counted(t, Noon.Add(24*time.Hour), day)
	})
}
