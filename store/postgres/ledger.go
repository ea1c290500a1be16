package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/egret-gateway/egret/store"
)

const (
	recentMost    = 1000 // entries that Recent answers
	forgetAtATime = 5000 // entries that Forget removes in one transaction, so that it holds few locks and for a moment only
)

// Save implements store.Saver.
func (s *Store) Save(ctx context.Context, entries []store.Entry, counters []store.Counter) error {
	columns, err := transpose(entries)
	if err == nil {
		err = s.update(ctx, func(ctx context.Context, tx pgx.Tx, _ int) error {
			if len(entries) > 0 {
				if _, err := tx.Exec(ctx, insertEntries, columns...); err != nil {
					return err
				}
			}
			return putCounters(ctx, tx, counters)
		})
	}
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
	where, args := "", []any{min(max(limit, 0), recentMost)}
	if user != "" {
		where, args = " WHERE username = $2", append(args, user)
	}
	entries, err := query(ctx, s, scanEntry, `SELECT `+entryColumns+` FROM ledger`+where+` ORDER BY at DESC, seq DESC LIMIT $1`, args...)
	if err != nil {
		return nil, fmt.Errorf("recent ledger entries: %w", err)
	}
	return entries, nil
}

// Forget implements store.Ledger.
func (s *Store) Forget(ctx context.Context, before time.Time) error {
	for removed := int64(forgetAtATime); removed == forgetAtATime; {
		var err error
		removed, err = s.exec(ctx, `
			DELETE FROM ledger WHERE seq IN (SELECT seq FROM ledger WHERE at < $1 ORDER BY at LIMIT $2)`, store.Nanos(before), forgetAtATime)
		if err != nil {
			return fmt.Errorf("forget ledger entries before %s: %w", before.UTC().Format(time.RFC3339), err)
		}
	}
	return nil
}

const entryColumns = `id, at, username, tier, gateway, route, backend, model_asked, model_served, dialect, verdict, status,
	input, output, cached, cache_write, reasoning, total, exact, stream, duration, first_token`

// insertEntries takes an array per column: one statement, and one plan, for a batch of any size.
const insertEntries = `INSERT INTO ledger (` + entryColumns + `)
	SELECT * FROM unnest($1::text[], $2::bigint[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[],
		$9::text[], $10::text[], $11::text[], $12::bigint[], $13::bigint[], $14::bigint[], $15::bigint[], $16::bigint[],
		$17::bigint[], $18::bigint[], $19::boolean[], $20::boolean[], $21::bigint[], $22::bigint[])
	ON CONFLICT (id) DO NOTHING`

// transpose turns entries into the columns of insertEntries.
func transpose(entries []store.Entry) ([]any, error) {
	texts, numbers, flags := make([][]string, 10), make([][]int64, 10), make([][]bool, 2)
	for _, e := range entries {
		if e = e.Bounded(); e.ID == "" {
			return nil, fmt.Errorf("%w: an entry has no id", store.ErrInvalid)
		}
		for i, v := range [...]string{e.ID, e.User, e.Tier, e.Gateway, e.Route, e.Backend, e.ModelAsked, e.ModelServed, e.Dialect, e.Verdict} {
			texts[i] = append(texts[i], v)
		}
		for i, v := range [...]int64{store.Nanos(e.Time), int64(e.Status), e.Input, e.Output, e.Cached, e.CacheWrite, e.Reasoning, e.Total,
			int64(e.Duration), int64(e.FirstToken)} {
			numbers[i] = append(numbers[i], v)
		}
		flags[0], flags[1] = append(flags[0], e.Exact), append(flags[1], e.Stream)
	}
	columns := []any{texts[0], numbers[0]}
	for _, c := range texts[1:] {
		columns = append(columns, c)
	}
	for _, c := range numbers[1:8] {
		columns = append(columns, c)
	}
	return append(columns, flags[0], flags[1], numbers[8], numbers[9]), nil
}

func scanEntry(r pgx.CollectableRow) (store.Entry, error) {
	var e store.Entry
	var at, duration, first int64
	err := r.Scan(&e.ID, &at, &e.User, &e.Tier, &e.Gateway, &e.Route, &e.Backend,
		&e.ModelAsked, &e.ModelServed, &e.Dialect, &e.Verdict, &e.Status,
		&e.Input, &e.Output, &e.Cached, &e.CacheWrite, &e.Reasoning, &e.Total, &e.Exact, &e.Stream, &duration, &first)
	e.Time, e.Duration, e.FirstToken = store.Moment(at), time.Duration(duration), time.Duration(first)
	return e, err
}
