// Package storetest holds the tests that every implementation of store.Store passes.
//
// An implementation calls Run from a test of its own and hands over a function that opens a new, empty store. What
// depends on the kind of store (does it survive a restart, what happens when the disk is full) is tested beside it.
package storetest

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/egret-gateway/egret/store"
)

// Noon is the time at which the tests take place.
var Noon = time.Date(2026, 2, 13, 12, 0, 0, 0, time.UTC)

// Run runs the suite; open is called once for each of its parts.
func Run(t *testing.T, open func(t *testing.T) store.Store) {
	parts := []struct {
		name string
		test func(*testing.T, store.Store)
	}{
		{"keys", keys},
		{"accounts", accounts},
		{"denials", denials},
		{"counters", counters},
		{"ledger", ledger},
		{"usage", usage},
		{"concurrent use", concurrent},
	}
	for _, p := range parts {
		t.Run(p.name, func(t *testing.T) {
			s := open(t)
			t.Cleanup(func() { must(t, s.Close()) })
			p.test(t, s)
		})
	}
}

// concurrent uses every part of the store from several goroutines at once and loses nothing.
func concurrent(t *testing.T, s store.Store) {
	const workers, rounds = 8, 20
	ctx := t.Context()
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for r := range rounds {
				id := fmt.Sprintf("%d-%d", w, r)
				must(t, s.PutKey(ctx, store.Key{ID: id, Owner: "kube:admin", Name: id, Created: Noon, Expires: Noon}))
				must(t, s.Deny(ctx, store.Denial{Subject: "jti:" + id, Until: Noon}))
				must(t, s.Save(ctx, []store.Entry{{ID: id, Time: Noon, User: "kube:admin", Total: 2}}, []store.Counter{
					{Key: fmt.Sprint(w), Used: int64(r), Opened: Noon, Window: time.Hour},
				}))
				_, err := s.Usage(ctx, store.Query{})
				must(t, err)
			}
		})
	}
	wg.Wait()

	kept, err := s.Keys(ctx, "kube:admin")
	must(t, err)
	equal(t, len(kept), workers*rounds)
	used, err := s.Usage(ctx, store.Query{})
	must(t, err)
	equal(t, used[0].Total, int64(2*workers*rounds))
	counted, err := s.Counters(ctx, Noon)
	must(t, err)
	equal(t, len(counted), workers)
	for _, c := range counted {
		equal(t, c.Used, int64(rounds-1))
	}
}

// must ends nothing, so that it may be used in any goroutine.
func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Error(err)
	}
}

func is(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("error %v, want %v", err, want)
	}
}

func equal[T any](t *testing.T, got, want T) {
	t.Helper()
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
