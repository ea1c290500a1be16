package sqlite

import (
	"context"
	"fmt"
)

// LimitPages makes the database full at so many pages, as a full disk would. It counts for the connection that writes.
func (s *Store) LimitPages(ctx context.Context, n int) error {
	_, err := s.write.ExecContext(ctx, fmt.Sprintf("PRAGMA max_page_count = %d", n))
	return err
}

// Exec runs a statement behind the back of the store.
func (s *Store) Exec(ctx context.Context, statement string) error {
	_, err := s.write.ExecContext(ctx, statement)
	return err
}

// Check reports what SQLite finds wrong with the file; "ok" when nothing is.
func (s *Store) Check(ctx context.Context) (found string, err error) {
	err = s.write.QueryRowContext(ctx, "PRAGMA integrity_check").Scan(&found)
	return found, err
}
