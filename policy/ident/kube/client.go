package kube

import (
	"context"
	"errors"
	"fmt"
	"time"

	authnv1 "k8s.io/api/authentication/v1"
	authzv1 "k8s.io/api/authorization/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/client-go/rest"

	"github.com/egret-gateway/egret/policy/ident"
	"github.com/egret-gateway/egret/policy/ident/cache"
)

// Bounds of what a Client asks of the API server.
const (
	Within = 3 * time.Second // one question, its wait for a turn included
	AtOnce = 64              // questions under way; others wait their turn
)

// Client asks one API server. It is an ident.Reviewer and an ident.Authorizer,
// safe for concurrent use.
type Client struct {
	authn, authz rest.Interface
	turns        chan struct{}
	flight       cache.Flight[ident.Review]
	denials      *Denials
	pace         pace
}

// New returns a client for the API server that config leads to. The config's
// own rate limit does not apply: AtOnce bounds what is asked. denials, when not
// nil, slows reviews down while nobody hears what was revoked; see Denials.
func New(config *rest.Config, denials *Denials) (*Client, error) {
	scheme := runtime.NewScheme()
	if err := errors.Join(authnv1.AddToScheme(scheme), authzv1.AddToScheme(scheme)); err != nil {
		return nil, fmt.Errorf("BUG: types of reviews: %w", err)
	}
	config = rest.CopyConfig(config)
	config.APIPath = "/apis"
	config.NegotiatedSerializer = serializer.NewCodecFactory(scheme).WithoutConversion()
	config.QPS, config.RateLimiter = -1, nil
	config.Timeout = Within
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		return nil, fmt.Errorf("API server: %w", err)
	}
	c := &Client{turns: make(chan struct{}, AtOnce), denials: denials}
	for _, group := range []struct {
		version schema.GroupVersion
		client  *rest.Interface
	}{{authnv1.SchemeGroupVersion, &c.authn}, {authzv1.SchemeGroupVersion, &c.authz}} {
		config.GroupVersion = &group.version
		if *group.client, err = rest.RESTClientForConfigAndClient(config, client); err != nil {
			return nil, fmt.Errorf("API server: %w", err)
		}
	}
	return c, nil
}

// turn waits until fewer than AtOnce questions are under way. done must be
// called when the question is answered.
func (c *Client) turn(ctx context.Context) (done func(), err error) {
	select {
	case c.turns <- struct{}{}:
		return func() { <-c.turns }, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("%d questions to the API server are under way and none was answered in time: %w", AtOnce, context.Cause(ctx))
	}
}

// failed says what could not be asked, and what to do where that is known. The
// API server does not repeat a token in its errors; ident.Cache makes sure.
func failed(what string, err error) error {
	switch {
	case apierrors.IsForbidden(err), apierrors.IsUnauthorized(err):
		return fmt.Errorf("%s: the API server refuses to answer this process; bind its ServiceAccount to ClusterRole system:auth-delegator: %w", what, err)
	}
	return fmt.Errorf("%s: %w", what, err)
}
