package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/egret-gateway/egret/store"
)

// SaveCounters implements store.Counters.
func (s *Store) SaveCounters(ctx context.Context, counters []store.Counter) error {
	return s.Save(ctx, nil, counters)
}

// Counters implements store.Counters.
func (s *Store) Counters(ctx context.Context, now time.Time) ([]store.Counter, error) {
	live, err := query(ctx, s.read, scanCounter,
		`SELECT key, used, opened, span FROM counters WHERE ends > ? ORDER BY key`, store.Nanos(now))
	if err != nil {
		return nil, fmt.Errorf("counters: %w", err)
	}
	s.sweep(ctx, `DELETE FROM counters WHERE ends <= ?`, store.Nanos(now))
	return live, nil
}

func putCounters(ctx context.Context, tx *sql.Tx, counters []store.Counter) error {
	if len(counters) == 0 {
		return nil
	}
	put, err := tx.PrepareContext(ctx, `INSERT OR REPLACE INTO counters (key, used, opened, span, ends) VALUES (?, ?, ?, ?, ?)`)
	if err != nil {
		return err
	}
	defer put.Close()
	for _, c := range counters {
		if _, err := put.ExecContext(ctx, c.Key, c.Used, store.Nanos(c.Opened), int64(c.Window), store.Nanos(c.Opened.Add(c.Window))); err != nil {
			return fmt.Errorf("counter %s: %w", c.Key, err)
		}
	}
	return nil
}

func scanCounter(r row) (store.Counter, error) {
	var c store.Counter
	var opened, span int64
	err := r.Scan(&c.Key, &c.Used, &opened, &span)
	c.Opened, c.Window = store.Moment(opened), time.Duration(span)
	return c, err
}
