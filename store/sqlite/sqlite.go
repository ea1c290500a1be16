package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"

	_ "modernc.org/sqlite" // registers the driver "sqlite"

	"github.com/egret-gateway/egret/store"
)

// readers is how many connections of a file answer questions at a time; more than the questions of one console and one
// API rarely help.
const readers = 4

// Store is a SQLite database. It implements store.Store.
type Store struct {
	write *sql.DB // exactly one connection: SQLite has one writer
	read  *sql.DB // the same as write in memory, where a second connection would be a second database
}

var _ store.Store = (*Store)(nil)

// Open opens the database at path and brings its tables up to date; "" and ":memory:" give one that lives in memory and
// ends with Close. The folder must exist, the file need not; it is made, and kept, readable for its owner only.
// Open refuses a database that a newer version of the program has written.
func Open(ctx context.Context, path string) (*Store, error) {
	s, err := connect(path)
	if err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}
	if err := migrate(ctx, s.write); err != nil {
		return nil, errors.Join(fmt.Errorf("open database %s: %w", path, err), s.Close())
	}
	return s, nil
}

// Close ends all connections. On a file it also folds the write-ahead log back, so that nothing but the file remains.
func (s *Store) Close() error {
	if s.read == s.write {
		return s.write.Close()
	}
	return errors.Join(s.read.Close(), s.write.Close())
}

func connect(path string) (*Store, error) {
	if path == "" || path == ":memory:" {
		db, err := pool(":memory:", 1)
		return &Store{write: db, read: db}, err
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	if err := private(path); err != nil {
		return nil, err
	}
	write, err := pool(dsn(path, "journal_mode(WAL)", "foreign_keys(1)", "busy_timeout(5000)"), 1)
	if err != nil {
		return nil, err
	}
	read, err := pool(dsn(path, "query_only(1)", "busy_timeout(5000)"), readers)
	if err != nil {
		return nil, errors.Join(err, write.Close())
	}
	return &Store{write: write, read: read}, nil
}

// pool opens up to size connections that stay open: in memory the connection is the database.
func pool(dsn string, size int) (*sql.DB, error) {
	db, err := sql.Open("sqlite", dsn)
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(size)
	db.SetMaxIdleConns(size)
	return db, nil
}

// dsn names the file in a way that survives spaces, percent signs and question marks in its path. A transaction takes
// the write lock at its start, so that it never fails half-way for having read first.
func dsn(path string, pragmas ...string) string {
	u := url.URL{Scheme: "file", Path: path, RawQuery: url.Values{
		"_pragma": pragmas,
		"_txlock": {"immediate"},
		"_dqs":    {"0"},
	}.Encode()}
	return u.String()
}

// private makes sure that the file is there and only its owner may read it. SQLite gives the log beside it the same mode.
func private(path string) error {
	dir := filepath.Dir(path)
	switch info, err := os.Stat(dir); {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%s: the folder %s does not exist; create it or name another file", path, dir)
	case err != nil:
		return err
	case !info.IsDir():
		return fmt.Errorf("%s: %s is not a folder", path, dir)
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	switch info, err := f.Stat(); {
	case err != nil:
		return err
	case !info.Mode().IsRegular():
		return fmt.Errorf("%s: not a regular file", path)
	case info.Mode().Perm()&0o077 != 0:
		return f.Chmod(0o600)
	}
	return nil
}

// durability is what a commit waits for; see PRAGMA synchronous.
type durability string

const (
	handed durability = "NORMAL" // given to the operating system: survives the process
	forced durability = "FULL"   // on the disk: survives the machine
)

// update runs f in one transaction of the writing connection.
func (s *Store) update(ctx context.Context, d durability, f func(*sql.Tx) error) error {
	conn, err := s.write.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	if _, err := conn.ExecContext(ctx, "PRAGMA synchronous = "+string(d)); err != nil {
		return err
	}
	tx, err := conn.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() // without effect after Commit
	if err := f(tx); err != nil {
		return err
	}
	return tx.Commit()
}

// query collects the rows of a question, each read by scan.
func query[T any](ctx context.Context, db *sql.DB, scan func(row) (T, error), text string, args ...any) ([]T, error) {
	rows, err := db.QueryContext(ctx, text, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []T
	for rows.Next() {
		v, err := scan(rows)
		if err != nil {
			return nil, err
		}
		all = append(all, v)
	}
	return all, rows.Err()
}

// row is what sql.Row and sql.Rows have in common.
type row interface{ Scan(dest ...any) error }
