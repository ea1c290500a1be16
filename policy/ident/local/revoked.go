package local

import (
	"context"
	"strings"
	"time"

	"github.com/egret-gateway/egret/policy/ident"
	"github.com/egret-gateway/egret/store"
)

// Subjects of a store.Denial.
const (
	subjectToken   = "jti:"
	subjectAccount = "uid:"
)

// denied is one state of the deny-list. It never changes.
type denied struct {
	until map[string]time.Time // by subject
	epoch uint64
}

// with returns the list with more on it and without what has passed.
func (d *denied) with(now time.Time, more []store.Denial) *denied {
	next := &denied{until: make(map[string]time.Time, len(d.until)+len(more)), epoch: d.epoch + 1}
	for subject, until := range d.until {
		if now.Before(until) {
			next.until[subject] = until
		}
	}
	for _, m := range more {
		if m.Until.After(next.until[m.Subject]) {
			next.until[m.Subject] = m.Until
		}
	}
	return next
}

func (d *denied) has(subject string) bool {
	_, ok := d.until[subject]
	return ok
}

// Deny implements maas.Cluster: the denials are stored first and count in
// memory when it returns.
func (r *Realm) Deny(ctx context.Context, d ...store.Denial) error {
	r.write.Lock()
	defer r.write.Unlock()
	if err := r.state.Deny(ctx, d...); err != nil {
		return err
	}
	r.denied.Store(r.denied.Load().with(r.now(), d))
	return nil
}

// Revoked implements ident.Revoked. A token of the users file is revoked when
// it is no longer in there. It reads memory only.
func (r *Realm) Revoked(v *ident.Review) bool {
	if strings.HasPrefix(v.ID, userIDPrefix) {
		return r.users.gone(v.ID)
	}
	d := r.denied.Load()
	return v.ID != "" && d.has(subjectToken+v.ID) || v.User.UID != "" && d.has(subjectAccount+v.User.UID)
}

// Epoch implements ident.Revoked: it changes with the deny-list and with the
// users file. Both only ever count up, so their sum never comes back to a
// value it had.
func (r *Realm) Epoch() uint64 { return r.denied.Load().epoch + r.users.people.Load().turn }
