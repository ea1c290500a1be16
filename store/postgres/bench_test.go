//go:build services

package postgres

import (
	"fmt"
	"testing"
	"time"

	"github.com/egret-gateway/egret/lab/service"
	"github.com/egret-gateway/egret/store"
)

// fill makes a ledger of a million entries of 1000 users: a call every two and
// a half seconds for 30 days.
func fill(b *testing.B, s *Store) {
	b.Helper()
	_, err := s.pool.Exec(b.Context(), `SET statement_timeout = 0; INSERT INTO ledger (`+entryColumns+`)
		SELECT md5(i::text), 1770984000000000000 + i::bigint * 2592000000, 'user-' || i % 1000, 'tier-' || i % 3,
			'openshift-ingress/maas-default-gateway', 'default/external', 'default/openai', 'gpt-4o', CASE WHEN i % 50 = 0 THEN '' ELSE 'gpt-4o-' || i % 4 END,
			'openai.chat', 'ok', 200, 10, 20, 1, 2, 3, 30, true, true, 1000000000, 80000000
		FROM generate_series(1, 1000000) i; ANALYZE ledger; SET statement_timeout = '10s'`)
	check(b, err)
}

func BenchmarkMillion(b *testing.B) {
	server := service.Postgres(b)
	s := open(b, server.URL)
	fill(b, s)
	start := time.Unix(1770984000, 0)
	f := func(name string, call func() error) {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				check(b, call())
			}
		})
	}
	usage := func(q store.Query) func() error {
		return func() error { _, err := s.Usage(b.Context(), q); return err }
	}
	f("usage of all by day and model", usage(store.Query{By: []string{"day", "model"}}))
	f("usage of all by user", usage(store.Query{By: []string{"user"}}))
	f("usage of a day by user", usage(store.Query{Since: start, Until: start.Add(24 * time.Hour), By: []string{"user"}}))
	f("usage of one user by day", usage(store.Query{User: "user-7", By: []string{"day"}}))
	f("recent of all", func() error { _, err := s.Recent(b.Context(), "", 100); return err })
	f("recent of one user", func() error { _, err := s.Recent(b.Context(), "user-7", 100); return err })
	n := 0
	f("forget an hour (1389 entries)", func() error {
		n++
		return s.Forget(b.Context(), start.Add(time.Duration(n)*time.Hour))
	})
	id := 0
	f("save 512 entries", func() error {
		batch := make([]store.Entry, 512)
		for i := range batch {
			id++
			batch[i] = store.Entry{ID: fmt.Sprintf("%032x", id), Time: start.Add(720 * time.Hour), User: "kube:admin", Tier: "free",
				Route: "default/external", ModelAsked: "gpt-4o", ModelServed: "gpt-4o", Status: 200, Total: 30, Exact: true}
		}
		return s.Save(b.Context(), batch, nil)
	})
	began := time.Now()
	check(b, s.Forget(b.Context(), start.Add(15*24*time.Hour)))
	b.Logf("forgetting the older half took %s", time.Since(began).Round(time.Millisecond))
}
