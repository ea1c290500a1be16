package postgres

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/egret-gateway/egret/store"
)

const (
	repeatFor = 5 * time.Second // how long a broken connection is replaced by another
	firstRest = 20 * time.Millisecond
	longest   = 500 * time.Millisecond // rest between two attempts
)

// repeat runs f until it succeeds or fails for good; f is told how often it has
// run before. When a connection broke during a commit nobody knows whether it
// happened, so f must leave the same rows when it runs twice.
func repeat(ctx context.Context, f func(ctx context.Context, before int) error) error {
	ctx, cancel := context.WithTimeout(ctx, callWithin)
	defer cancel()
	began, pause := time.Now(), firstRest
	for n := 0; ; n++ {
		err := f(ctx, n)
		if err == nil || !passing(err) {
			return err
		}
		if time.Since(began) > repeatFor || !rest(ctx, pause) {
			return fmt.Errorf("%w: %w", store.ErrAway, err)
		}
		pause = min(2*pause, longest)
	}
}

// rest waits for d and reports false when ctx ends before.
func rest(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// passing reports whether an error goes away by itself: the connection broke,
// the server restarts or hands over, or two transactions were in each other's
// way. See PostgreSQL, appendix A, for the codes.
func passing(err error) bool {
	var said *pgconn.PgError
	if errors.As(err, &said) {
		switch said.Code {
		case "57P01", "57P02", "57P03", // shut down by its operator, by a crash; starting
			"40001", "40P01", // serialization, deadlock
			"53300", // too many connections
			"25006": // a standby, which takes no writes: the address leads elsewhere soon
			return true
		}
		return strings.HasPrefix(said.Code, "08") // connection
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return false
	}
	var network net.Error
	var dial *pgconn.ConnectError
	return pgconn.SafeToRetry(err) || errors.As(err, &dial) || errors.As(err, &network) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
}

// update runs f in one transaction.
func (s *Store) update(ctx context.Context, f func(ctx context.Context, tx pgx.Tx, before int) error) error {
	return invalid(repeat(ctx, func(ctx context.Context, before int) error {
		return pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error { return f(ctx, tx, before) })
	}))
}

// exec runs one statement and returns how many rows it touched.
func (s *Store) exec(ctx context.Context, text string, args ...any) (rows int64, err error) {
	err = repeat(ctx, func(ctx context.Context, _ int) error {
		tag, err := s.pool.Exec(ctx, text, args...)
		rows = tag.RowsAffected()
		return err
	})
	return rows, invalid(err)
}

// query collects the rows of a question, each read by scan.
func query[T any](ctx context.Context, s *Store, scan pgx.RowToFunc[T], text string, args ...any) (all []T, err error) {
	err = repeat(ctx, func(ctx context.Context, _ int) error {
		rows, err := s.pool.Query(ctx, text, args...)
		if err != nil {
			return err
		}
		all, err = pgx.CollectRows(rows, scan)
		return err
	})
	return all, invalid(err)
}

// one is query for a single row; store.ErrNotFound when there is none.
func one[T any](ctx context.Context, s *Store, scan pgx.RowToFunc[T], text string, args ...any) (T, error) {
	all, err := query(ctx, s, scan, text, args...)
	if err == nil && len(all) == 0 {
		err = store.ErrNotFound
	}
	if err != nil {
		var none T
		return none, err
	}
	return all[0], nil
}

// invalid marks what the database cannot store as the caller's mistake: a text
// that is no UTF-8 or holds a zero byte, or a name that no index takes.
func invalid(err error) error {
	var said *pgconn.PgError
	if errors.As(err, &said) && (said.Code == "22021" || said.Code == "54000") {
		return fmt.Errorf("%w: %w", store.ErrInvalid, err)
	}
	return err
}
