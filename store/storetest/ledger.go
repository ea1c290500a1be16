package storetest

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/egret-gateway/egret/store"
)

func entry(id string, at time.Duration, user, model string, tokens int64) store.Entry {
	return store.Entry{
		ID: id, Time: Noon.Add(at), User: user, Tier: "free", Gateway: "openshift-ingress/maas-default-gateway",
		Route: "default/external", Backend: "default/openai", ModelAsked: model, ModelServed: model, Dialect: "openai.chat",
		Verdict: "ok", Status: 200, Input: tokens, Output: 2 * tokens, Cached: 1, CacheWrite: 2, Reasoning: 3, Total: 3 * tokens,
		Exact: true, Stream: true, Duration: time.Second, FirstToken: 80 * time.Millisecond,
	}
}

func ledger(t *testing.T, s store.Store) {
	ctx := t.Context()
	recent := func(t *testing.T, user string, limit int, want ...store.Entry) {
		t.Helper()
		got, err := s.Recent(ctx, user, limit)
		must(t, err)
		equal(t, got, want)
	}
	a, b, c := entry("a", 0, "alice", "m1", 10), entry("b", time.Second, "bob", "m2", 20), entry("c", time.Second, "alice", "m1", 30)

	t.Run("entries come back whole, the newest first", func(t *testing.T) {
		recent(t, "", 10)
		must(t, s.Append(ctx, nil))
		must(t, s.Append(ctx, []store.Entry{a, b, c}))
		recent(t, "", 10, c, b, a)
		recent(t, "alice", 10, c, a)
		recent(t, "", 2, c, b)
		recent(t, "", 0)
		recent(t, "", -1)
		recent(t, "nobody", 10)
	})
	t.Run("an entry counts once", func(t *testing.T) {
		again := a
		again.Total = 1
		must(t, s.Append(ctx, []store.Entry{again, b}))
		recent(t, "", 10, c, b, a)
	})
	t.Run("all entries or none", func(t *testing.T) {
		is(t, s.Append(ctx, []store.Entry{entry("d", 0, "alice", "m1", 1), {}}), store.ErrInvalid)
		recent(t, "", 10, c, b, a)
	})
	t.Run("Recent is bounded", func(t *testing.T) {
		many := make([]store.Entry, 1200)
		for i := range many {
			many[i] = entry(fmt.Sprint("many-", i), 0, "carol", "m", 1)
		}
		must(t, s.Append(ctx, many))
		got, err := s.Recent(ctx, "carol", 5000)
		must(t, err)
		equal(t, len(got), 1000)
	})
	t.Run("what is older than a time is forgotten, however much it is", func(t *testing.T) {
		must(t, s.Forget(ctx, b.Time))
		recent(t, "", 10, c, b)
		must(t, s.Forget(ctx, b.Time))
		recent(t, "", 10, c, b)
	})
	t.Run("absurd texts and figures are cut", func(t *testing.T) {
		must(t, s.Append(ctx, []store.Entry{
			{ID: "odd", Time: Noon, User: "eve", ModelAsked: strings.Repeat("ä", 1000), Verdict: "a\x00b\xff", Total: 1 << 62, Input: -1},
		}))
		recent(t, "eve", 1, store.Entry{
			ID: "odd", Time: Noon, User: "eve", ModelAsked: strings.Repeat("ä", 256), Verdict: "a\uFFFDb\uFFFD", Total: 1 << 40,
		})
	})
}

func usage(t *testing.T, s store.Store) {
	ctx := t.Context()
	refused := store.Entry{ID: "d", Time: Noon.Add(time.Hour), User: "bob", Tier: "premium", Route: "default/local", ModelAsked: "m2", Verdict: "limit", Status: 429}
	guess := entry("e", 24*time.Hour, "alice", "m2", 5)
	guess.Exact = false
	must(t, s.Append(ctx, []store.Entry{
		entry("a", 0, "alice", "m1", 10), entry("b", time.Second, "bob", "m2", 20), entry("c", time.Hour, "alice", "m1", 30), refused, guess,
	}))

	sum := func(requests, failed, estimated, served, tokens int64, group ...string) store.Total {
		return store.Total{
			Group: group, Requests: requests, Failed: failed, Estimated: estimated, Input: tokens, Output: 2 * tokens,
			Cached: served, CacheWrite: 2 * served, Reasoning: 3 * served, Total: 3 * tokens,
		}
	}
	f := func(name string, q store.Query, want ...store.Total) {
		t.Run(name, func(t *testing.T) {
			got, err := s.Usage(ctx, q)
			must(t, err)
			equal(t, got, want)
		})
	}
	f("one sum", store.Query{}, sum(5, 1, 1, 4, 65))
	f("nothing selected", store.Query{User: "nobody"})
	f("nothing selected, grouped", store.Query{User: "nobody", By: []string{"user"}})
	f("by user", store.Query{By: []string{"user"}}, sum(3, 0, 1, 3, 45, "alice"), sum(2, 1, 0, 1, 20, "bob"))
	f("by model, asked where none was served", store.Query{By: []string{"model"}}, sum(2, 0, 0, 2, 40, "m1"), sum(3, 1, 1, 2, 25, "m2"))
	f("by tier", store.Query{By: []string{"tier"}}, sum(4, 0, 1, 4, 65, "free"), sum(1, 1, 0, 0, 0, "premium"))
	f("by route and user", store.Query{By: []string{"route", "user"}, Model: "m2"},
		sum(1, 0, 1, 1, 5, "default/external", "alice"), sum(1, 0, 0, 1, 20, "default/external", "bob"), sum(1, 1, 0, 0, 0, "default/local", "bob"))
	f("by day", store.Query{By: []string{"day"}}, sum(4, 1, 0, 3, 60, "2026-02-13"), sum(1, 0, 1, 1, 5, "2026-02-14"))
	f("by hour", store.Query{By: []string{"hour"}, User: "alice"},
		sum(1, 0, 0, 1, 10, "2026-02-13T12:00:00Z"), sum(1, 0, 0, 1, 30, "2026-02-13T13:00:00Z"), sum(1, 0, 1, 1, 5, "2026-02-14T12:00:00Z"))
	f("since is in, until is out", store.Query{Since: Noon.Add(time.Second), Until: Noon.Add(time.Hour)}, sum(1, 0, 0, 1, 20))
	f("of a tier", store.Query{Tier: "premium"}, sum(1, 1, 0, 0, 0))

	t.Run("an unknown or repeated dimension is refused", func(t *testing.T) {
		for _, by := range [][]string{{"id"}, {"user", "user"}, {"1; DROP TABLE ledger"}} {
			_, err := s.Usage(ctx, store.Query{By: by})
			is(t, err, store.ErrInvalid)
		}
	})
}
