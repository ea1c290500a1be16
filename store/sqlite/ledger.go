package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/egret-gateway/egret/store"
)

const (
	recentMost    = 1000 // entries that Recent answers
	forgetAtATime = 1000 // entries that Forget removes in one transaction, so that Save need not wait for long
)

// Save implements store.Saver.
func (s *Store) Save(ctx context.Context, entries []store.Entry, counters []store.Counter) error {
	err := s.update(ctx, handed, func(tx *sql.Tx) error {
		if err := putEntries(ctx, tx, entries); err != nil {
			return err
		}
		return putCounters(ctx, tx, counters)
	})
	if err != nil {
		return fmt.Errorf("save %d ledger entries and %d counters: %w", len(entries), len(counters), err)
	}
	return nil
}

// Append implements store.Ledger.
func (s *Store) Append(ctx context.Context, entries []store.Entry) error {
	return s.Save(ctx, entries, nil)
}

// Recent implements store.Ledger.
func (s *Store) Recent(ctx context.Context, user string, limit int) ([]store.Entry, error) {
	where, args := "", []any{}
	if user != "" {
		where, args = " WHERE username = ?", append(args, user)
	}
	args = append(args, min(max(limit, 0), recentMost))
	entries, err := query(ctx, s.read, scanEntry,
		`SELECT `+entryColumns+` FROM ledger`+where+` ORDER BY at DESC, seq DESC LIMIT ?`, args...)
	if err != nil {
		return nil, fmt.Errorf("recent ledger entries: %w", err)
	}
	return entries, nil
}

// Forget implements store.Ledger.
func (s *Store) Forget(ctx context.Context, before time.Time) error {
	for removed := int64(forgetAtATime); removed == forgetAtATime; {
		err := s.update(ctx, handed, func(tx *sql.Tx) error {
			res, err := tx.ExecContext(ctx,
				`DELETE FROM ledger WHERE seq IN (SELECT seq FROM ledger WHERE at < ? LIMIT ?)`, store.Nanos(before), forgetAtATime)
			if err != nil {
				return err
			}
			removed, err = res.RowsAffected()
			return err
		})
		if err != nil {
			return fmt.Errorf("forget ledger entries before %s: %w", before.UTC().Format(time.RFC3339), err)
		}
	}
	return nil
}

const entryColumns = `id, at, username, tier, gateway, route, backend, model_asked, model_served, dialect, verdict, status,
	input, output, cached, cache_write, reasoning, total, exact, stream, duration, first_token`

func putEntries(ctx context.Context, tx *sql.Tx, entries []store.Entry) error {
	if len(entries) == 0 {
		return nil
	}
	put, err := tx.PrepareContext(ctx, `INSERT INTO ledger (`+entryColumns+`)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING`)
	if err != nil {
		return err
	}
	defer put.Close()
	for _, e := range entries {
		if e = e.Bounded(); e.ID == "" {
			return fmt.Errorf("%w: an entry has no id", store.ErrInvalid)
		}
		if _, err := put.ExecContext(ctx, e.ID, store.Nanos(e.Time), e.User, e.Tier, e.Gateway, e.Route, e.Backend,
			e.ModelAsked, e.ModelServed, e.Dialect, e.Verdict, e.Status,
			e.Input, e.Output, e.Cached, e.CacheWrite, e.Reasoning, e.Total, e.Exact, e.Stream,
			int64(e.Duration), int64(e.FirstToken)); err != nil {
			return fmt.Errorf("entry %s: %w", e.ID, err)
		}
	}
	return nil
}

func scanEntry(r row) (store.Entry, error) {
	var e store.Entry
	var at, duration, first int64
	err := r.Scan(&e.ID, &at, &e.User, &e.Tier, &e.Gateway, &e.Route, &e.Backend,
		&e.ModelAsked, &e.ModelServed, &e.Dialect, &e.Verdict, &e.Status,
		&e.Input, &e.Output, &e.Cached, &e.CacheWrite, &e.Reasoning, &e.Total, &e.Exact, &e.Stream, &duration, &first)
	e.Time, e.Duration, e.FirstToken = store.Moment(at), time.Duration(duration), time.Duration(first)
	return e, err
}
