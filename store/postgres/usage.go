package postgres

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/egret-gateway/egret/store"
)

const modelColumn = `CASE model_served WHEN '' THEN model_asked ELSE model_served END`

// dimension gives the SQL of a dimension, to group by and to show: days and hours are numbers until the rows have been
// added up. Only texts of this file ever become part of a statement.
func dimension(name string) (group, show string, ok bool) {
	const day, hour = `(at / 86400000000000)`, `(at / 3600000000000)`
	switch name {
	case store.ByUser:
		return `username`, `username`, true
	case store.ByModel:
		return modelColumn, modelColumn, true
	case store.ByTier:
		return `tier`, `tier`, true
	case store.ByRoute:
		return `route`, `route`, true
	case store.ByDay:
		return day, `to_char(to_timestamp(` + day + ` * 86400) AT TIME ZONE 'UTC', 'YYYY-MM-DD')`, true
	case store.ByHour:
		return hour, `to_char(to_timestamp(` + hour + ` * 3600) AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:00:00"Z"')`, true
	}
	return "", "", false
}

// Usage implements store.Ledger.
func (s *Store) Usage(ctx context.Context, q store.Query) ([]store.Total, error) {
	groups, shown := make([]string, len(q.By)), make([]string, len(q.By))
	for i, name := range q.By {
		group, show, ok := dimension(name)
		if !ok || slices.Contains(q.By[:i], name) {
			return nil, fmt.Errorf("usage by %q: %w: use each of user, model, tier, route, day and hour at most once",
				name, store.ErrInvalid)
		}
		groups[i], shown[i] = group, show
	}
	where, args := filter(q)
	totals, err := query(ctx, s, scanTotal(len(groups)), usage(groups, shown, where), args...)
	if err != nil {
		return nil, fmt.Errorf("usage: %w", err)
	}
	return totals, nil
}

// usage builds the statement. HAVING keeps the sum over nothing from becoming a row. Figures are at most 2^40 each, so
// that sums over millions of rows fit 64 bits.
func usage(groups, shown []string, where string) string {
	const sums = `count(*), count(*) FILTER (WHERE status >= 400), count(*) FILTER (WHERE NOT exact AND total > 0),
		sum(input)::bigint, sum(output)::bigint, sum(cached)::bigint, sum(cache_write)::bigint, sum(reasoning)::bigint, sum(total)::bigint`
	text := `SELECT ` + strings.Join(append(slices.Clone(shown), sums), ", ") + ` FROM ledger` + where
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
			args = append(args, arg)
			terms = append(terms, fmt.Sprintf("%s $%d", text, len(args)))
		}
	}
	term(!q.Since.IsZero(), `at >=`, store.Nanos(q.Since))
	term(!q.Until.IsZero(), `at <`, store.Nanos(q.Until))
	term(q.User != "", `username =`, q.User)
	term(q.Model != "", modelColumn+` =`, q.Model)
	term(q.Tier != "", `tier =`, q.Tier)
	if terms == nil {
		return "", nil
	}
	return ` WHERE ` + strings.Join(terms, ` AND `), args
}

func scanTotal(groups int) pgx.RowToFunc[store.Total] {
	return func(r pgx.CollectableRow) (store.Total, error) {
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
