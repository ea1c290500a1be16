package store

import (
	"context"
	"time"
)

// Account is a ServiceAccount of the embedded realm, the one that stands in for a cluster where there is none.
type Account struct {
	Namespace, Name string
	UID             string // changes when the account is deleted and made again, which ends its tokens
	Owner           string // username of the person it was made for
	Labels          map[string]string
	Created         time.Time
	LastHumanMint   time.Time // last token minted with the person's own credential, not with a MaaS token; zero: never
}

// Namespace is a namespace of the embedded realm.
type Namespace struct {
	Name   string
	Labels map[string]string
}

// Accounts holds the embedded realm.
type Accounts interface {
	// PutAccount adds the account or replaces the one of that namespace and name. ErrInvalid without namespace, name or UID.
	PutAccount(ctx context.Context, a Account) error
	// Account returns one account, or ErrNotFound.
	Account(ctx context.Context, namespace, name string) (Account, error)
	// Accounts lists all accounts by namespace, then name.
	Accounts(ctx context.Context) ([]Account, error)
	// DeleteAccount removes an account; one that is not there is no error (acceptance maas 43).
	DeleteAccount(ctx context.Context, namespace, name string) error
	// PutNamespace adds a namespace or replaces its labels. ErrInvalid without a name.
	PutNamespace(ctx context.Context, name string, labels map[string]string) error
	// Namespaces lists all namespaces by name.
	Namespaces(ctx context.Context) ([]Namespace, error)
}
