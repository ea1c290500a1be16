package postgres

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/egret-gateway/egret/store"
)

// PutAccount implements store.Accounts.
func (s *Store) PutAccount(ctx context.Context, a store.Account) error {
	if a.Namespace == "" || a.Name == "" || a.UID == "" {
		return fmt.Errorf("account %s/%s: %w: namespace, name and uid are needed", a.Namespace, a.Name, store.ErrInvalid)
	}
	labels, err := encode(a.Labels)
	if err == nil {
		_, err = s.exec(ctx, `
			INSERT INTO accounts (namespace, name, uid, owner, labels, created, last_human_mint)
			VALUES ($1, $2, $3, $4, $5, $6, $7)
			ON CONFLICT (namespace, name) DO UPDATE SET uid = excluded.uid, owner = excluded.owner, labels = excluded.labels,
				created = excluded.created, last_human_mint = excluded.last_human_mint`,
			a.Namespace, a.Name, a.UID, a.Owner, labels, store.Nanos(a.Created), store.Nanos(a.LastHumanMint))
	}
	if err != nil {
		return fmt.Errorf("account %s/%s: %w", a.Namespace, a.Name, err)
	}
	return nil
}

const accountColumns = `SELECT namespace, name, uid, owner, labels, created, last_human_mint FROM accounts`

// Account implements store.Accounts.
func (s *Store) Account(ctx context.Context, namespace, name string) (store.Account, error) {
	a, err := one(ctx, s, scanAccount, accountColumns+` WHERE namespace = $1 AND name = $2`, namespace, name)
	if err != nil {
		return store.Account{}, fmt.Errorf("account %s/%s: %w", namespace, name, err)
	}
	return a, nil
}

// Accounts implements store.Accounts.
func (s *Store) Accounts(ctx context.Context) ([]store.Account, error) {
	all, err := query(ctx, s, scanAccount, accountColumns+` ORDER BY namespace, name`)
	if err != nil {
		return nil, fmt.Errorf("accounts: %w", err)
	}
	return all, nil
}

// DeleteAccount implements store.Accounts.
func (s *Store) DeleteAccount(ctx context.Context, namespace, name string) error {
	if _, err := s.exec(ctx, `DELETE FROM accounts WHERE namespace = $1 AND name = $2`, namespace, name); err != nil {
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
		_, err = s.exec(ctx, `
			INSERT INTO namespaces (name, labels) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET labels = excluded.labels`, name, text)
	}
	if err != nil {
		return fmt.Errorf("namespace %s: %w", name, err)
	}
	return nil
}

// Namespaces implements store.Accounts.
func (s *Store) Namespaces(ctx context.Context) ([]store.Namespace, error) {
	all, err := query(ctx, s, scanNamespace, `SELECT name, labels FROM namespaces ORDER BY name`)
	if err != nil {
		return nil, fmt.Errorf("namespaces: %w", err)
	}
	return all, nil
}

func scanAccount(r pgx.CollectableRow) (store.Account, error) {
	var a store.Account
	var labels string
	var created, mint int64
	if err := r.Scan(&a.Namespace, &a.Name, &a.UID, &a.Owner, &labels, &created, &mint); err != nil {
		return a, err
	}
	a.Created, a.LastHumanMint = store.Moment(created), store.Moment(mint)
	return a, json.Unmarshal([]byte(labels), &a.Labels)
}

func scanNamespace(r pgx.CollectableRow) (store.Namespace, error) {
	var n store.Namespace
	var labels string
	if err := r.Scan(&n.Name, &labels); err != nil {
		return n, err
	}
	return n, json.Unmarshal([]byte(labels), &n.Labels)
}

// encode writes labels as a JSON object; none become null and come back as none.
func encode(labels map[string]string) (string, error) {
	b, err := json.Marshal(labels)
	return string(b), err
}
