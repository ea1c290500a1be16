package sqlite

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/egret-gateway/egret/store"
)

const modelColumn = `CASE model_served WHEN '' THEN model_asked ELSE model_served END`

// dimension gives the SQL of a dimension; only texts of this file ever become part of a statement.
func dimension(name string) (string, bool) {
	switch name {
	case store.ByUser:
		return `username`, true
	case store.ByModel:
		return modelColumn, true
	case store.ByTier:
		return `tier`, true
	case store.ByRoute:
		return `route`, true
	case store.ByDay:
		return `strftime('%Y-%m-%d', at / 1000000000, 'unixepoch')`, true
	case store.ByHour:
		return `strftime('%Y-%m-%dT%H:00:00Z', at / 1000000000, 'unixepoch')`, true
	}
	return "", false
}

// Usage implements store.Ledger.
func (s *Store) Usage(ctx context.Context, q store.Query) ([]store.Total, error) {
	groups := make([]string, len(q.By))
	for i, name := range q.By {
		column, ok := dimension(name)
		if !ok || slices.Contains(q.By[:i], name) {
			return nil, fmt.Errorf("usage by %q: %w: use each of user, model, tier, route, day and hour at most once",
				name, store.ErrInvalid)
		}
		groups[i] = column
	}
	where, args := filter(q)
	totals, err := query(ctx, s.read, scanTotal(len(groups)), usage(groups, where), args...)
	if err != nil {
		return nil, fmt.Errorf("usage: %w", err)
	}
	return totals, nil
}

// usage builds the statement. HAVING keeps the sum over nothing from becoming a row.
func usage(groups []string, where string) string {
	const sums = `count(*), sum(status >= 400), sum(NOT exact AND total > 0),
		sum(input), sum(output), sum(cached), sum(cache_write), sum(reasoning), sum(total)`
	columns := strings.Join(append(slices.Clone(groups), sums), ", ")
	text := `SELECT ` + columns + ` FROM ledger` + where
	if len(groups) == 0 {
		return text + ` HAVING count(*) > 0`
	}
	by := strings.Join(groups, ", ")
	return text + ` GROUP BY ` + by + ` ORDER BY ` + by
}

func filter(q store.Query) (where string, args []any) {
	var terms []string
	term := func(set bool, text string, arg any) {
		if set {
			terms, args = append(terms, text), append(args, arg)
		}
	}
	term(!q.Since.IsZero(), `at >= ?`, store.Nanos(q.Since))
	term(!q.Until.IsZero(), `at < ?`, store.Nanos(q.Until))
	term(q.User != "", `username = ?`, q.User)
	term(q.Model != "", modelColumn+` = ?`, q.Model)
	term(q.Tier != "", `tier = ?`, q.Tier)
	if terms == nil {
		return "", nil
	}
	return ` WHERE ` + strings.Join(terms, ` AND `), args
}

func scanTotal(groups int) func(row) (store.Total, error) {
	return func(r row) (store.Total, error) {
		t := store.Total{Group: make([]string, groups)}
		dest := make([]any, 0, groups+9)
		for i := range t.Group {
			dest = append(dest, &t.Group[i])
		}
		err := r.Scan(append(dest, &t.Requests, &t.Failed, &t.Estimated,
			&t.Input, &t.Output, &t.Cached, &t.CacheWrite, &t.Reasoning, &t.Total)...)
		return t, err
	}
}
