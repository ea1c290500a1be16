package kube

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	authnv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/egret-gateway/egret/maas"
	"github.com/egret-gateway/egret/store"
)

// Cluster is maas.Cluster on an API server.
type Cluster struct {
	Client    client.Client // must read from the API server, not from a cache
	Namespace string        // of the API: where the deny-list is
	Log       *slog.Logger
	Now       func() time.Time
	// Patience is how long Deny waits for the controllers; 3 s by default.
	Patience time.Duration

	writing sync.Mutex // of one change of the deny-list at a time

	mu sync.Mutex
	// silent holds, by ConfigMap and controller, which version controllers
	// that were waited for in vain had delivered.
	silent map[string]string
}

var _ maas.Cluster = (*Cluster)(nil)

// NewClient returns a client without a cache and without a rate limit: how
// much the API server is asked is up to those who call the API, and the API
// server protects itself (flow control).
func NewClient(config *rest.Config) (client.Client, error) {
	scheme := runtime.NewScheme()
	if err := corev1.AddToScheme(scheme); err != nil {
		return nil, fmt.Errorf("BUG: core types: %w", err)
	}
	if err := authnv1.AddToScheme(scheme); err != nil {
		return nil, fmt.Errorf("BUG: authentication types: %w", err)
	}
	config = rest.CopyConfig(config)
	config.QPS, config.RateLimiter = -1, nil
	config.Timeout = 10 * time.Second
	return client.New(config, client.Options{Scheme: scheme, Mapper: mapper()})
}

// mapper knows the few kinds that are asked for, so that nothing has to be
// discovered.
func mapper() meta.RESTMapper {
	m := meta.NewDefaultRESTMapper([]schema.GroupVersion{corev1.SchemeGroupVersion})
	m.Add(corev1.SchemeGroupVersion.WithKind("Namespace"), meta.RESTScopeRoot)
	m.Add(corev1.SchemeGroupVersion.WithKind("ServiceAccount"), meta.RESTScopeNamespace)
	m.Add(corev1.SchemeGroupVersion.WithKind("ConfigMap"), meta.RESTScopeNamespace)
	m.Add(corev1.SchemeGroupVersion.WithKind("Secret"), meta.RESTScopeNamespace)
	return m
}

// EnsureNamespace implements maas.Cluster.
func (c *Cluster) EnsureNamespace(ctx context.Context, name string, labels map[string]string) error {
	var have corev1.Namespace
	err := c.Client.Get(ctx, client.ObjectKey{Name: name}, &have)
	if !apierrors.IsNotFound(err) {
		return err
	}
	want := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels}}
	if err := c.Client.Create(ctx, want); !apierrors.IsAlreadyExists(err) {
		return err
	}
	return nil
}

// Token implements maas.Cluster by a TokenRequest. An API server since 1.34
// refuses one for a ServiceAccount with another UID itself; with older ones
// the token that was made is thrown away.
func (c *Cluster) Token(ctx context.Context, a store.Account, audience string, ttl time.Duration) (string, time.Time, error) {
	seconds := int64(ttl / time.Second)
	request := &authnv1.TokenRequest{
		ObjectMeta: metav1.ObjectMeta{UID: types.UID(a.UID)},
		Spec:       authnv1.TokenRequestSpec{Audiences: []string{audience}, ExpirationSeconds: &seconds},
	}
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: a.Namespace, Name: a.Name}}
	if err := c.Client.SubResource("token").Create(ctx, account, request); err != nil {
		return "", time.Time{}, fmt.Errorf("TokenRequest: %w", err)
	}
	switch uid, err := accountUID(request.Status.Token); {
	case err != nil:
		return "", time.Time{}, fmt.Errorf("TokenRequest: %w", err)
	case uid != a.UID:
		return "", time.Time{}, fmt.Errorf("the ServiceAccount was deleted meanwhile and made again")
	}
	return request.Status.Token, request.Status.ExpirationTimestamp.Time, nil
}
