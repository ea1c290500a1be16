package local

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"maps"
	"time"

	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/egret-gateway/egret/store"
)

// Lifetimes of a ServiceAccount's token. Kubernetes has the same minimum.
const (
	minLife = 10 * time.Minute
	maxLife = 5 * 366 * 24 * time.Hour // less than the API keeps an identity denied
)

// EnsureNamespace implements maas.Cluster.
func (r *Realm) EnsureNamespace(ctx context.Context, name string, labels map[string]string) error {
	if bad := validation.IsDNS1123Label(name); len(bad) > 0 {
		return fmt.Errorf("namespace %q: %s", name, bad[0])
	}
	r.write.Lock()
	defer r.write.Unlock()
	known, err := r.state.Namespaces(ctx)
	if err != nil {
		return err
	}
	for _, n := range known {
		if n.Name == name {
			return nil
		}
	}
	return r.state.PutNamespace(ctx, name, labels)
}

// EnsureAccount implements maas.Cluster.
func (r *Realm) EnsureAccount(ctx context.Context, want store.Account) (store.Account, error) {
	if bad := validation.IsDNS1123Subdomain(want.Name); len(bad) > 0 {
		return store.Account{}, fmt.Errorf("ServiceAccount %q: %s", want.Name, bad[0])
	}
	r.write.Lock()
	defer r.write.Unlock()
	have, err := r.state.Account(ctx, want.Namespace, want.Name)
	switch {
	case errors.Is(err, store.ErrNotFound):
		if want.UID, err = r.uuid(); err != nil {
			return store.Account{}, err
		}
		want.Created = r.now().UTC().Truncate(time.Second)
		return want, r.state.PutAccount(ctx, want)
	case err != nil:
		return store.Account{}, err
	}
	changed := false
	if have.Owner == "" && want.Owner != "" {
		have.Owner, changed = want.Owner, true
	}
	if have.Owner == want.Owner && want.LastHumanMint.After(have.LastHumanMint) {
		have.LastHumanMint, changed = want.LastHumanMint, true
	}
	if changed {
		err = r.state.PutAccount(ctx, have)
	}
	return have, err
}

// FindAccount implements maas.Cluster.
func (r *Realm) FindAccount(ctx context.Context, namespace, name string) (store.Account, error) {
	return r.state.Account(ctx, namespace, name)
}

// Accounts implements maas.Cluster.
func (r *Realm) Accounts(ctx context.Context, name string, labels map[string]string) ([]store.Account, error) {
	all, err := r.state.Accounts(ctx)
	if err != nil {
		return nil, err
	}
	var found []store.Account
	for _, a := range all {
		if a.Name == name && carries(a.Labels, labels) {
			found = append(found, a)
		}
	}
	return found, nil
}

// carries reports whether an object's labels include all of the wanted ones.
func carries(labels, want map[string]string) bool {
	for key, value := range maps.All(want) {
		if got, ok := labels[key]; !ok || got != value {
			return false
		}
	}
	return true
}

// DeleteAccount implements maas.Cluster.
func (r *Realm) DeleteAccount(ctx context.Context, namespace, name string) error {
	r.write.Lock()
	defer r.write.Unlock()
	return r.state.DeleteAccount(ctx, namespace, name)
}

// Token implements maas.Cluster. A token lives for ten minutes at least and
// five years at most.
func (r *Realm) Token(ctx context.Context, a store.Account, audience string, ttl time.Duration) (string, time.Time, error) {
	if ttl < minLife || ttl > maxLife {
		return "", time.Time{}, fmt.Errorf("a token can live from %v to %v, not %v", minLife, maxLife, ttl)
	}
	switch now, err := r.state.Account(ctx, a.Namespace, a.Name); {
	case err != nil:
		return "", time.Time{}, err
	case now.UID != a.UID:
		return "", time.Time{}, errors.New("the ServiceAccount was deleted meanwhile and made again")
	}
	id, err := r.uuid()
	if err != nil {
		return "", time.Time{}, err
	}
	issued := r.now().Truncate(time.Second)
	expires := issued.Add(ttl.Truncate(time.Second))
	token, err := r.issuer.sign(claims{
		Audience: []string{audience}, Expires: expires.Unix(), Issued: issued.Unix(), Issuer: IssuerURL, ID: id,
		Cluster:   bound{Namespace: a.Namespace, Account: account{Name: a.Name, UID: a.UID}},
		NotBefore: issued.Unix(), Subject: username(a.Namespace, a.Name),
	})
	return token, expires, err
}

// uuid returns a random UUID (RFC 9562 version 4).
func (r *Realm) uuid() (string, error) {
	random := r.random
	if random == nil {
		random = rand.Reader
	}
	var b [16]byte
	if _, err := io.ReadFull(random, b[:]); err != nil {
		return "", fmt.Errorf("make a random id: %w", err)
	}
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[0:4], b[4:6], b[6:8], b[8:10], b[10:16]), nil
}
