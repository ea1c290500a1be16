package postgres

import (
	"context"
	"embed"
	"fmt"
	"io/fs"

	"github.com/jackc/pgx/v5"
)

//go:embed migrations/*.sql
var migrations embed.FS

// migrationLock is the advisory lock by which replicas wait for each other;
// an arbitrary number that other programs will not use.
const migrationLock = 0x6567726574_01

// migrate runs the migrations that the database has not seen, in the order of
// their names: all of them in one transaction, or none. Migrations are only
// ever added at the end.
func (s *Store) migrate(ctx context.Context) error {
	files, err := fs.Glob(migrations, "migrations/*.sql") // sorted by name
	if err != nil {
		return err
	}
	return pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		if err := prepare(ctx, tx); err != nil {
			return err
		}
		var done int
		if err := tx.QueryRow(ctx, `SELECT COALESCE(max(version), 0) FROM egret_migrations`).Scan(&done); err != nil {
			return err
		}
		if done > len(files) {
			return fmt.Errorf("it has version %d and this program knows versions up to %d only; "+
				"run the newer program that wrote it, or use another database", done, len(files))
		}
		for i := done; i < len(files); i++ {
			if err := step(ctx, tx, files[i], i+1); err != nil {
				return fmt.Errorf("%s: %w", files[i], err)
			}
		}
		return nil
	})
}

// prepare waits for other replicas, for as long as they need.
func prepare(ctx context.Context, tx pgx.Tx) error {
	_, err := tx.Exec(ctx, fmt.Sprintf(`
		SET LOCAL statement_timeout = 0;
		SET LOCAL lock_timeout = 0;
		SET LOCAL idle_in_transaction_session_timeout = 0;
		SELECT pg_advisory_xact_lock(%d);
		SET LOCAL client_min_messages = warning;
		CREATE TABLE IF NOT EXISTS egret_migrations (
			version INTEGER PRIMARY KEY,
			file    TEXT NOT NULL,
			at      TIMESTAMPTZ NOT NULL DEFAULT now()
		)`, migrationLock), pgx.QueryExecModeSimpleProtocol)
	return err
}

func step(ctx context.Context, tx pgx.Tx, file string, version int) error {
	text, err := migrations.ReadFile(file)
	if err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, string(text), pgx.QueryExecModeSimpleProtocol); err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `INSERT INTO egret_migrations (version, file) VALUES ($1, $2)`, version, file)
	return err
}
