package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/egret-gateway/egret/store"
)

// PutKey implements store.Keys.
func (s *Store) PutKey(ctx context.Context, k store.Key) error {
	id, name, description := strings.TrimSpace(k.ID), strings.TrimSpace(k.Name), strings.TrimSpace(k.Description)
	switch {
	case id == "":
		return fmt.Errorf("api key: %w: it has no id", store.ErrInvalid)
	case k.Owner == "":
		return fmt.Errorf("api key %q: %w: it has no owner", id, store.ErrInvalid)
	case name == "":
		return fmt.Errorf("api key %q: %w: its name is empty", id, store.ErrInvalid)
	}
	err := s.update(ctx, forced, func(tx *sql.Tx) error {
		res, err := tx.ExecContext(ctx, `
			INSERT INTO tokens (id, username, name, description, creation_date, expiration_date, account)
			VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING`,
			id, k.Owner, name, description, store.Date(k.Created), store.Date(k.Expires), k.Account)
		return touched(res, err, store.ErrExists)
	})
	if err != nil {
		return fmt.Errorf("api key %q: %w", id, err)
	}
	return nil
}

const keyColumns = `SELECT id, username, name, COALESCE(description, ''), creation_date, expiration_date, account FROM tokens`

// Keys implements store.Keys. Of keys made in the same second the one stored later comes first.
func (s *Store) Keys(ctx context.Context, owner string) ([]store.Key, error) {
	keys, err := query(ctx, s.read, scanKey, keyColumns+` WHERE username = ? ORDER BY creation_date DESC, rowid DESC`, owner)
	if err != nil {
		return nil, fmt.Errorf("api keys of %q: %w", owner, err)
	}
	return keys, nil
}

// Key implements store.Keys.
func (s *Store) Key(ctx context.Context, owner, id string) (store.Key, error) {
	k, err := scanKey(s.read.QueryRowContext(ctx, keyColumns+` WHERE id = ? AND username = ?`, id, owner))
	if errors.Is(err, sql.ErrNoRows) {
		err = store.ErrNotFound
	}
	if err != nil {
		return store.Key{}, fmt.Errorf("api key %q of %q: %w", id, owner, err)
	}
	return k, nil
}

// ExpireKey implements store.Keys.
func (s *Store) ExpireKey(ctx context.Context, owner, id string, at time.Time) error {
	err := s.update(ctx, forced, func(tx *sql.Tx) error {
		res, err := tx.ExecContext(ctx,
			`UPDATE tokens SET expiration_date = min(expiration_date, ?) WHERE id = ? AND username = ?`, store.Date(at), id, owner)
		return touched(res, err, store.ErrNotFound)
	})
	if err != nil {
		return fmt.Errorf("expire api key %q of %q: %w", id, owner, err)
	}
	return nil
}

// ExpireKeys implements store.Keys.
func (s *Store) ExpireKeys(ctx context.Context, owner string, at time.Time) error {
	err := s.update(ctx, forced, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx,
			`UPDATE tokens SET expiration_date = ?1 WHERE username = ?2 AND expiration_date > ?1`, store.Date(at), owner)
		return err
	})
	if err != nil {
		return fmt.Errorf("expire api keys of %q: %w", owner, err)
	}
	return nil
}

// touched turns a statement that changed no row into the given error.
func touched(res sql.Result, err, none error) error {
	if err != nil {
		return err
	}
	n, err := res.RowsAffected()
	if err == nil && n == 0 {
		err = none
	}
	return err
}

// scanKey reads a key. A date that cannot be read, which only another program can have written, becomes the zero time:
// such a key counts as expired.
func scanKey(r row) (store.Key, error) {
	var k store.Key
	var created, expires string
	if err := r.Scan(&k.ID, &k.Owner, &k.Name, &k.Description, &created, &expires, &k.Account); err != nil {
		return k, err
	}
	k.Created, _ = time.Parse(time.RFC3339, created)
	k.Expires, _ = time.Parse(time.RFC3339, expires)
	return k, nil
}
