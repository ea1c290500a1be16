package postgres

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/egret-gateway/egret/store"
)

// Deny implements store.Denials.
func (s *Store) Deny(ctx context.Context, denials ...store.Denial) error {
	latest := map[string]int64{} // one statement may touch a row once
	for _, d := range denials {
		if d.Subject == "" {
			return fmt.Errorf("deny: %w: a subject is empty", store.ErrInvalid)
		}
		latest[d.Subject] = max(latest[d.Subject], store.Nanos(d.Until))
	}
	subjects := slices.Sorted(maps.Keys(latest)) // one order for all replicas: no deadlock
	until := make([]int64, len(subjects))
	for i, subject := range subjects {
		until[i] = latest[subject]
	}
	if _, err := s.exec(ctx, `
		INSERT INTO denials (subject, until) SELECT * FROM unnest($1::text[], $2::bigint[])
		ON CONFLICT (subject) DO UPDATE SET until = GREATEST(denials.until, excluded.until)`, subjects, until); err != nil {
		return fmt.Errorf("deny: %w", err)
	}
	return nil
}

// Denied implements store.Denials.
func (s *Store) Denied(ctx context.Context, now time.Time) ([]store.Denial, error) {
	live, err := query(ctx, s, scanDenial, `SELECT subject, until FROM denials WHERE until > $1 ORDER BY subject`, store.Nanos(now))
	if err != nil {
		return nil, fmt.Errorf("denials: %w", err)
	}
	s.sweep(ctx, `DELETE FROM denials WHERE until <= $1`, now)
	return live, nil
}

func scanDenial(r pgx.CollectableRow) (store.Denial, error) {
	var d store.Denial
	var until int64
	err := r.Scan(&d.Subject, &until)
	d.Until = store.Moment(until)
	return d, err
}

// sweep removes rows whose time is over. A failure is of no consequence: nobody reads them, and the next start tries
// again.
func (s *Store) sweep(ctx context.Context, statement string, now time.Time) {
	_, _ = s.exec(ctx, statement, store.Nanos(now))
}
