package postgres

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/egret-gateway/egret/store"
)

// SaveCounters implements store.Counters.
func (s *Store) SaveCounters(ctx context.Context, counters []store.Counter) error {
	return s.Save(ctx, nil, counters)
}

// Counters implements store.Counters.
func (s *Store) Counters(ctx context.Context, now time.Time) ([]store.Counter, error) {
	live, err := query(ctx, s, scanCounter, `SELECT key, used, opened, span FROM counters WHERE ends > $1`, store.Nanos(now))
	if err != nil {
		return nil, fmt.Errorf("counters: %w", err)
	}
	slices.SortFunc(live, func(a, b store.Counter) int { return cmp.Compare(a.Key, b.Key) })
	s.sweep(ctx, `DELETE FROM counters WHERE ends <= $1`, now)
	return live, nil
}

// row is a counter under its digest.
type row struct {
	digest [sha256.Size]byte
	store.Counter
}

func putCounters(ctx context.Context, tx pgx.Tx, counters []store.Counter) error {
	if len(counters) == 0 {
		return nil
	}
	rows := make([]row, len(counters))
	for i, c := range counters {
		rows[i] = row{sha256.Sum256([]byte(c.Key)), c}
	}
	// One order for all writers, against deadlocks; of one key the later figure, because a statement may touch a row once.
	slices.SortStableFunc(rows, func(a, b row) int { return bytes.Compare(a.digest[:], b.digest[:]) })
	var digests, keys [][]byte
	var used, opened, span, ends []int64
	for i, r := range rows {
		if i+1 < len(rows) && rows[i+1].digest == r.digest {
			continue
		}
		digests, keys = append(digests, rows[i].digest[:]), append(keys, []byte(r.Key))
		used, opened = append(used, r.Used), append(opened, store.Nanos(r.Opened))
		span, ends = append(span, int64(r.Window)), append(ends, store.Nanos(r.Opened.Add(r.Window)))
	}
	_, err := tx.Exec(ctx, `
		INSERT INTO counters (digest, key, used, opened, span, ends)
		SELECT * FROM unnest($1::bytea[], $2::bytea[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[])
		ON CONFLICT (digest) DO UPDATE SET used = excluded.used, opened = excluded.opened, span = excluded.span, ends = excluded.ends`,
		digests, keys, used, opened, span, ends)
	return err
}

func scanCounter(r pgx.CollectableRow) (store.Counter, error) {
	var key []byte
	var used, opened, span int64
	err := r.Scan(&key, &used, &opened, &span)
	return store.Counter{Key: string(key), Used: used, Opened: store.Moment(opened), Window: time.Duration(span)}, err
}
