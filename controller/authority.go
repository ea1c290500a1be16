package controller

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/egret-gateway/egret/feed/authority"
)

// authorityKey is the item of the Secret that keeps the authority.
const authorityKey = "authority.pem"

// leaseName names what the replicas of one controller share: their Lease and
// the Secret of their certificate authority.
func leaseName(controller string) string {
	return "egret-" + strings.NewReplacer("/", "-", ".", "-").Replace(controller)
}

// openAuthority returns the certificate authority that all replicas share, in
// a Secret of their namespace. Where no Secret may be written, as under the
// reference's ClusterRole, it lives as long as the process.
func openAuthority(ctx context.Context, c client.Client, namespace, name string, log *slog.Logger) (*authority.Authority, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	fresh, err := authority.New(time.Now)
	if err != nil {
		return nil, err
	}
	pem, err := fresh.Bytes()
	if err != nil {
		return nil, err
	}
	for try := 1; ; try++ {
		a, err := sharedAuthority(ctx, c, namespace, name, pem)
		switch {
		case err == nil:
			return a, nil
		case apierrors.IsForbidden(err), apierrors.IsNotFound(err): // no permission, or no such namespace
			log.Warn("the xDS certificate authority cannot be kept in a Secret and ends with this process; planes follow a new one within about a minute",
				"secret", namespace+"/"+name, "error", err)
			return fresh, nil
		case try == 20 || ctx.Err() != nil:
			return nil, fmt.Errorf("keep in Secret %s/%s the xDS certificate authority: %w", namespace, name, err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(time.Second):
		}
	}
}

func sharedAuthority(ctx context.Context, c client.Client, namespace, name string, pem []byte) (*authority.Authority, error) {
	secret := &corev1.Secret{}
	err := c.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, secret)
	if apierrors.IsNotFound(err) {
		secret = &corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
			Data:       map[string][]byte{authorityKey: pem},
		}
		err = c.Create(ctx, secret)
	}
	if err != nil {
		return nil, err
	}
	a, err := authority.Parse(secret.Data[authorityKey], time.Now)
	if err == nil {
		return a, nil
	}
	secret.Data = map[string][]byte{authorityKey: pem} // ended, or broken: replaced
	if err := c.Update(ctx, secret); err != nil {
		return nil, err
	}
	return authority.Parse(pem, time.Now)
}
