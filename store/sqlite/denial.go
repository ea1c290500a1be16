package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/egret-gateway/egret/store"
)

// Deny implements store.Denials.
func (s *Store) Deny(ctx context.Context, denials ...store.Denial) error {
	for _, d := range denials {
		if d.Subject == "" {
			return fmt.Errorf("deny: %w: a subject is empty", store.ErrInvalid)
		}
	}
	err := s.update(ctx, forced, func(tx *sql.Tx) error {
		for _, d := range denials {
			if _, err := tx.ExecContext(ctx, `
				INSERT INTO denials (subject, until) VALUES (?, ?)
				ON CONFLICT (subject) DO UPDATE SET until = max(until, excluded.until)`,
				d.Subject, store.Nanos(d.Until)); err != nil {
				return fmt.Errorf("%s: %w", d.Subject, err)
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("deny: %w", err)
	}
	return nil
}

// Denied implements store.Denials.
func (s *Store) Denied(ctx context.Context, now time.Time) ([]store.Denial, error) {
	live, err := query(ctx, s.read, scanDenial, `SELECT subject, until FROM denials WHERE until > ? ORDER BY subject`, store.Nanos(now))
	if err != nil {
		return nil, fmt.Errorf("denials: %w", err)
	}
	s.sweep(ctx, `DELETE FROM denials WHERE until <= ?`, store.Nanos(now))
	return live, nil
}

func scanDenial(r row) (store.Denial, error) {
	var d store.Denial
	var until int64
	err := r.Scan(&d.Subject, &until)
	d.Until = store.Moment(until)
	return d, err
}

// sweep removes rows whose time is over. A failure is of no consequence: nobody reads them, and the next start tries
// again. A full disk must not keep the deny-list from being loaded.
func (s *Store) sweep(ctx context.Context, statement string, now int64) {
	_ = s.update(ctx, handed, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, statement, now)
		return err
	})
}
