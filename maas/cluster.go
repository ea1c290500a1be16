package maas

import (
	"context"
	"time"

	"github.com/egret-gateway/egret/store"
)

// Cluster is where ServiceAccounts live and tokens for them are made:
// policy/ident/local in one process, a Kubernetes API server otherwise.
type Cluster interface {
	// EnsureNamespace makes the namespace when it is missing; one that is
	// there already is success.
	EnsureNamespace(ctx context.Context, name string, labels map[string]string) error
	// EnsureAccount returns the ServiceAccount of a's namespace and name and
	// makes it, with a new UID, when it is missing. Of one that is there
	// already a's Owner is recorded when it has none, and a's LastHumanMint
	// when it is later.
	EnsureAccount(ctx context.Context, a store.Account) (store.Account, error)
	// FindAccount returns one ServiceAccount, or store.ErrNotFound.
	FindAccount(ctx context.Context, namespace, name string) (store.Account, error)
	// Accounts lists, over all namespaces, the ServiceAccounts of a name that
	// carry all of these labels.
	Accounts(ctx context.Context, name string, labels map[string]string) ([]store.Account, error)
	// DeleteAccount removes a ServiceAccount, which ends its tokens; one that
	// is not there is success.
	DeleteAccount(ctx context.Context, namespace, name string) error
	// Token makes a token for a ServiceAccount that lives for ttl in whole
	// seconds, or shorter where the cluster says so, and says when it ends.
	// It fails when the account no longer has a's UID, so that a token that
	// was asked for before a revocation is not made after it.
	Token(ctx context.Context, a store.Account, audience string, ttl time.Duration) (jwt string, expires time.Time, err error)
	// Deny refuses tokens or identities on every route, also where an
	// identity is cached. They are refused when it returns.
	Deny(ctx context.Context, d ...store.Denial) error
}
