package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/egret-gateway/egret/store"
)

// PutAccount implements store.Accounts.
func (s *Store) PutAccount(ctx context.Context, a store.Account) error {
	if a.Namespace == "" || a.Name == "" || a.UID == "" {
		return fmt.Errorf("account %s/%s: %w: namespace, name and uid are needed", a.Namespace, a.Name, store.ErrInvalid)
	}
	labels, err := encode(a.Labels)
	if err == nil {
		err = s.update(ctx, forced, func(tx *sql.Tx) error {
			_, err := tx.ExecContext(ctx, `
				INSERT OR REPLACE INTO accounts (namespace, name, uid, owner, labels, created, last_human_mint)
				VALUES (?, ?, ?, ?, ?, ?, ?)`,
				a.Namespace, a.Name, a.UID, a.Owner, labels, store.Nanos(a.Created), store.Nanos(a.LastHumanMint))
			return err
		})
	}
	if err != nil {
		return fmt.Errorf("account %s/%s: %w", a.Namespace, a.Name, err)
	}
	return nil
}

const accountColumns = `SELECT namespace, name, uid, owner, labels, created, last_human_mint FROM accounts`

// Account implements store.Accounts.
func (s *Store) Account(ctx context.Context, namespace, name string) (store.Account, error) {
	a, err := scanAccount(s.read.QueryRowContext(ctx, accountColumns+` WHERE namespace = ? AND name = ?`, namespace, name))
	if errors.Is(err, sql.ErrNoRows) {
		err = store.ErrNotFound
	}
	if err != nil {
		return store.Account{}, fmt.Errorf("account %s/%s: %w", namespace, name, err)
	}
	return a, nil
}

// Accounts implements store.Accounts.
func (s *Store) Accounts(ctx context.Context) ([]store.Account, error) {
	all, err := query(ctx, s.read, scanAccount, accountColumns+` ORDER BY namespace, name`)
	if err != nil {
		return nil, fmt.Errorf("accounts: %w", err)
	}
	return all, nil
}

// DeleteAccount implements store.Accounts.
func (s *Store) DeleteAccount(ctx context.Context, namespace, name string) error {
	err := s.update(ctx, forced, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `DELETE FROM accounts WHERE namespace = ? AND name = ?`, namespace, name)
		return err
	})
	if err != nil {
		return fmt.Errorf("delete account %s/%s: %w", namespace, name, err)
	}
	return nil
}

// PutNamespace implements store.Accounts.
func (s *Store) PutNamespace(ctx context.Context, name string, labels map[string]string) error {
	if name == "" {
		return fmt.Errorf("namespace: %w: it has no name", store.ErrInvalid)
	}
	text, err := encode(labels)
	if err == nil {
		err = s.update(ctx, forced, func(tx *sql.Tx) error {
			_, err := tx.ExecContext(ctx, `INSERT OR REPLACE INTO namespaces (name, labels) VALUES (?, ?)`, name, text)
			return err
		})
	}
	if err != nil {
		return fmt.Errorf("namespace %s: %w", name, err)
	}
	return nil
}

// Namespaces implements store.Accounts.
func (s *Store) Namespaces(ctx context.Context) ([]store.Namespace, error) {
	all, err := query(ctx, s.read, scanNamespace, `SELECT name, labels FROM namespaces ORDER BY name`)
	if err != nil {
		return nil, fmt.Errorf("namespaces: %w", err)
	}
	return all, nil
}

func scanAccount(r row) (store.Account, error) {
	var a store.Account
	var labels []byte
	var created, mint int64
	if err := r.Scan(&a.Namespace, &a.Name, &a.UID, &a.Owner, &labels, &created, &mint); err != nil {
		return a, err
	}
	a.Created, a.LastHumanMint = store.Moment(created), store.Moment(mint)
	return a, json.Unmarshal(labels, &a.Labels)
}

func scanNamespace(r row) (store.Namespace, error) {
	var n store.Namespace
	var labels []byte
	if err := r.Scan(&n.Name, &labels); err != nil {
		return n, err
	}
	return n, json.Unmarshal(labels, &n.Labels)
}

// encode writes labels as a JSON object; none become null and come back as none.
func encode(labels map[string]string) (string, error) {
	b, err := json.Marshal(labels)
	return string(b), err
}
