package kube

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/egret-gateway/egret/store"
)

// What a ServiceAccount remembers of its person.
const (
	// AnnotationOwner holds the username that the ServiceAccount was made for.
	AnnotationOwner = "egret.dev/owner"
	// AnnotationHumanMint holds when its person last got a token with a
	// credential of their own, in RFC 3339.
	AnnotationHumanMint = "egret.dev/last-human-mint"
)

// tries is how often a change is begun anew when somebody else was faster.
const tries = 10

// EnsureAccount implements maas.Cluster. Where this process may not patch
// ServiceAccounts, as with the reference's ClusterRole, annotations stay as
// they were when the account was made: tokens can be exchanged for a day after
// that only, and an account that names no owner is refused, since nobody could
// tell later whose it is.
func (c *Cluster) EnsureAccount(ctx context.Context, want store.Account) (store.Account, error) {
	for try := 1; ; try++ {
		var have corev1.ServiceAccount
		err := c.Client.Get(ctx, client.ObjectKey{Namespace: want.Namespace, Name: want.Name}, &have)
		switch {
		case apierrors.IsNotFound(err):
			made := newAccount(want)
			if err = c.Client.Create(ctx, made); err == nil {
				return account(made), nil
			}
		case err == nil && have.DeletionTimestamp != nil:
			return store.Account{}, errors.New("it is being deleted, and a finalizer holds it")
		case err == nil:
			var known store.Account
			if known, err = c.remember(ctx, &have, want); err == nil {
				return known, nil
			}
		}
		// Somebody may mint twice at once.
		faster := apierrors.IsAlreadyExists(err) || apierrors.IsConflict(err)
		if !faster || try == tries {
			return store.Account{}, err
		}
	}
}

// remember records in a ServiceAccount what want knows and it does not.
func (c *Cluster) remember(ctx context.Context, have *corev1.ServiceAccount, want store.Account) (store.Account, error) {
	known, next := account(have), have.DeepCopy()
	notes := maps.Clone(have.Annotations)
	if notes == nil {
		notes = map[string]string{}
	}
	next.Annotations = notes
	if known.Owner == "" && want.Owner != "" {
		notes[AnnotationOwner] = want.Owner
	}
	if notes[AnnotationOwner] == want.Owner && want.LastHumanMint.After(known.LastHumanMint) {
		notes[AnnotationHumanMint] = want.LastHumanMint.UTC().Format(time.RFC3339Nano)
	}
	if maps.Equal(notes, have.Annotations) {
		return known, nil
	}
	// A UID in a patch must be the object's: one that was made anew meanwhile
	// is a conflict.
	patch := client.MergeFromWithOptions(have, client.MergeFromWithOptimisticLock{})
	err := c.Client.Patch(ctx, next, patch)
	switch {
	case err == nil:
		return account(next), nil
	case apierrors.IsForbidden(err) && known.Owner != "":
		c.Log.Warn("a ServiceAccount cannot be annotated, so its MaaS tokens can be exchanged for a day after it was made only; "+
			"give ClusterRole maas-api the verb patch on serviceaccounts", "account", have.Namespace+"/"+have.Name, "error", err)
		return known, nil
	case apierrors.IsForbidden(err):
		return store.Account{}, fmt.Errorf("it names no owner and cannot be annotated with one; "+
			"give ClusterRole maas-api the verb patch on serviceaccounts, or delete the ServiceAccount: %w", err)
	}
	return store.Account{}, err
}

// FindAccount implements maas.Cluster.
func (c *Cluster) FindAccount(ctx context.Context, namespace, name string) (store.Account, error) {
	var have corev1.ServiceAccount
	switch err := c.Client.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, &have); {
	case apierrors.IsNotFound(err):
		return store.Account{}, fmt.Errorf("ServiceAccount %s/%s: %w", namespace, name, store.ErrNotFound)
	case err != nil:
		return store.Account{}, err
	}
	return account(&have), nil
}

// Accounts implements maas.Cluster.
func (c *Cluster) Accounts(ctx context.Context, name string, labels map[string]string) ([]store.Account, error) {
	var list corev1.ServiceAccountList
	err := c.Client.List(ctx, &list, client.MatchingLabels(labels), client.MatchingFields{"metadata.name": name})
	if err != nil {
		return nil, fmt.Errorf("list ServiceAccounts: %w", err)
	}
	found := make([]store.Account, len(list.Items))
	for i := range list.Items {
		found[i] = account(&list.Items[i])
	}
	return found, nil
}

// DeleteAccount implements maas.Cluster.
func (c *Cluster) DeleteAccount(ctx context.Context, namespace, name string) error {
	gone := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
	return client.IgnoreNotFound(c.Client.Delete(ctx, gone))
}

func newAccount(a store.Account) *corev1.ServiceAccount {
	made := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{
		Namespace: a.Namespace, Name: a.Name, Labels: a.Labels, Annotations: map[string]string{},
	}}
	if a.Owner != "" {
		made.Annotations[AnnotationOwner] = a.Owner
	}
	if !a.LastHumanMint.IsZero() {
		made.Annotations[AnnotationHumanMint] = a.LastHumanMint.UTC().Format(time.RFC3339Nano)
	}
	return made
}

// account reads a ServiceAccount. An annotation that is no time counts as
// none, which lets nobody do anything.
func account(o *corev1.ServiceAccount) store.Account {
	mint, _ := time.Parse(time.RFC3339Nano, o.Annotations[AnnotationHumanMint])
	return store.Account{
		Namespace: o.Namespace, Name: o.Name, UID: string(o.UID), Owner: o.Annotations[AnnotationOwner],
		Labels: o.Labels, Created: o.CreationTimestamp.UTC(), LastHumanMint: mint.UTC(),
	}
}

// accountUID reads the UID of the ServiceAccount that a token was made for.
func accountUID(jwt string) (string, error) {
	parts := strings.Split(jwt, ".")
	if len(parts) != 3 {
		return "", errors.New("the token is no JWT")
	}
	body, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return "", errors.New("the token's claims are not base64url")
	}
	var claims struct {
		Cluster struct {
			Account struct {
				UID string `json:"uid"`
			} `json:"serviceaccount"`
		} `json:"kubernetes.io"`
	}
	if err := json.Unmarshal(body, &claims); err != nil {
		return "", errors.New("the token's claims are not JSON")
	}
	return claims.Cluster.Account.UID, nil
}
