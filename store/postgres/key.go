package postgres

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/egret-gateway/egret/store"
)

// PutKey implements store.Keys.
func (s *Store) PutKey(ctx context.Context, k store.Key) error {
	k.ID, k.Name, k.Description = strings.TrimSpace(k.ID), strings.TrimSpace(k.Name), strings.TrimSpace(k.Description)
	switch {
	case k.ID == "":
		return fmt.Errorf("api key: %w: it has no id", store.ErrInvalid)
	case k.Owner == "":
		return fmt.Errorf("api key %q: %w: it has no owner", k.ID, store.ErrInvalid)
	case k.Name == "":
		return fmt.Errorf("api key %q: %w: its name is empty", k.ID, store.ErrInvalid)
	}
	if err := s.update(ctx, func(ctx context.Context, tx pgx.Tx, before int) error { return putKey(ctx, tx, k, before > 0) }); err != nil {
		return fmt.Errorf("api key %q: %w", k.ID, err)
	}
	return nil
}

// putKey adds a key. A repeated attempt may find the very row that it added
// before the connection broke.
func putKey(ctx context.Context, tx pgx.Tx, k store.Key, repeated bool) error {
	tag, err := tx.Exec(ctx, `
		INSERT INTO tokens (id, username, name, description, creation_date, expiration_date, account)
		VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (id) DO NOTHING`,
		k.ID, k.Owner, k.Name, k.Description, store.Date(k.Created), store.Date(k.Expires), k.Account)
	if err != nil || tag.RowsAffected() > 0 {
		return err
	}
	if repeated {
		var same bool
		err := tx.QueryRow(ctx, `
			SELECT (username, name, description, creation_date, account) = ($2, $3, $4, $5, $6) FROM tokens WHERE id = $1`,
			k.ID, k.Owner, k.Name, k.Description, store.Date(k.Created), k.Account).Scan(&same)
		if err != nil || same {
			return err
		}
	}
	return store.ErrExists
}

const keyColumns = `SELECT id, username, name, COALESCE(description, ''), creation_date, expiration_date, account FROM tokens`

// Keys implements store.Keys. Of keys made in the same second the one stored later comes first.
func (s *Store) Keys(ctx context.Context, owner string) ([]store.Key, error) {
	keys, err := query(ctx, s, scanKey, keyColumns+` WHERE username = $1 ORDER BY creation_date COLLATE "C" DESC, seq DESC`, owner)
	if err != nil {
		return nil, fmt.Errorf("api keys of %q: %w", owner, err)
	}
	return keys, nil
}

// Key implements store.Keys.
func (s *Store) Key(ctx context.Context, owner, id string) (store.Key, error) {
	k, err := one(ctx, s, scanKey, keyColumns+` WHERE id = $1 AND username = $2`, id, owner)
	if err != nil {
		return store.Key{}, fmt.Errorf("api key %q of %q: %w", id, owner, err)
	}
	return k, nil
}

// ExpireKey implements store.Keys.
func (s *Store) ExpireKey(ctx context.Context, owner, id string, at time.Time) error {
	n, err := s.exec(ctx, `
		UPDATE tokens SET expiration_date = LEAST(expiration_date COLLATE "C", $1) WHERE id = $2 AND username = $3`, store.Date(at), id, owner)
	if err == nil && n == 0 {
		err = store.ErrNotFound
	}
	if err != nil {
		return fmt.Errorf("expire api key %q of %q: %w", id, owner, err)
	}
	return nil
}

// ExpireKeys implements store.Keys.
func (s *Store) ExpireKeys(ctx context.Context, owner string, at time.Time) error {
	if _, err := s.exec(ctx, `
		UPDATE tokens SET expiration_date = $1 WHERE username = $2 AND expiration_date COLLATE "C" > $1`, store.Date(at), owner); err != nil {
		return fmt.Errorf("expire api keys of %q: %w", owner, err)
	}
	return nil
}

// scanKey reads a key. A date that cannot be read, which only another program can have written, becomes the zero time:
// such a key counts as expired.
func scanKey(r pgx.CollectableRow) (store.Key, error) {
	var k store.Key
	var created, expires string
	if err := r.Scan(&k.ID, &k.Owner, &k.Name, &k.Description, &created, &expires, &k.Account); err != nil {
		return k, err
	}
	k.Created, _ = time.Parse(time.RFC3339, created)
	k.Expires, _ = time.Parse(time.RFC3339, expires)
	return k, nil
}
