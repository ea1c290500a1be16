package local

import (
	"context"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/egret-gateway/egret/policy/ident"
	"github.com/egret-gateway/egret/store"
)

// State is where the realm keeps what must outlive the process.
type State interface {
	store.Accounts
	store.Denials
}

// Realm answers what an API server would: it is an ident.Reviewer, an
// ident.Authorizer, an ident.Revoked and a maas.Cluster.
type Realm struct {
	users  *Users
	issuer *Issuer
	state  State
	now    func() time.Time
	random io.Reader

	write  sync.Mutex // one change of accounts or denials at a time
	rules  atomic.Pointer[rules]
	denied atomic.Pointer[denied]
}

var (
	_ ident.Reviewer   = (*Realm)(nil)
	_ ident.Authorizer = (*Realm)(nil)
	_ ident.Revoked    = (*Realm)(nil)
)

// Options are what Open needs.
type Options struct {
	Users  *Users
	Issuer *Issuer
	State  State
	Now    func() time.Time // nil: time.Now
	Random io.Reader        // for UIDs and token ids; nil: the system's
}

// Open returns the realm and reads the deny-list once. Until Load nobody may
// do anything.
func Open(ctx context.Context, o Options) (*Realm, error) {
	r := &Realm{users: o.Users, issuer: o.Issuer, state: o.State, now: o.Now, random: o.Random}
	if r.now == nil {
		r.now = time.Now
	}
	list, err := r.state.Denied(ctx, r.now())
	if err != nil {
		return nil, fmt.Errorf("read the deny-list: %w", err)
	}
	first := &denied{until: make(map[string]time.Time, len(list))}
	r.denied.Store(first.with(r.now(), list))
	r.rules.Store(&rules{})
	return r, nil
}
