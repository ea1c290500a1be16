package ident

import (
	"cmp"
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/egret-gateway/egret/policy/ident/cache"
)

// How an issuer's keys are kept.
const (
	DefaultKeysTTL = 5 * time.Minute  // refresh
	keysGrace      = time.Hour        // beyond their refresh, while the issuer does not answer
	keysPause      = 10 * time.Second // between two fetches, whatever the reason
	mostKeys       = 64               // keys of one set that are looked at
	leastRSA       = 2048             // bits
)

// Fetch gets an issuer's current keys.
type Fetch func(ctx context.Context) (*jose.JSONWebKeySet, error)

// Keys are an issuer's public keys. They are fetched on first use and again
// after their ttl; a kid that they do not know makes one fetch more, at most
// every 10 s. When a refresh fails, the old keys serve for an hour.
type Keys struct {
	fetch Fetch
	ttl   time.Duration
	now   func() time.Time

	flight cache.Flight[*keySet]
	mu     sync.Mutex
	set    *keySet   // nil until fetched
	tried  time.Time // the last fetch, successful or not
}

// keySet is immutable.
type keySet struct {
	keys []jose.JSONWebKey
	at   time.Time
}

// NewKeys makes Keys; ttl 0 means DefaultKeysTTL. An embedded issuer hands in
// a fetch that answers from memory.
func NewKeys(fetch Fetch, ttl time.Duration, now func() time.Time) *Keys {
	return &Keys{fetch: fetch, ttl: cmp.Or(max(ttl, 0), DefaultKeysTTL), now: now}
}

// find returns the keys that may have made a signature: those with that kid,
// or all when the token names none. The error wraps ErrUnavailable.
func (k *Keys) find(ctx context.Context, kid, alg string) ([]jose.JSONWebKey, error) {
	set, err := k.current(ctx, false)
	if err != nil {
		return nil, err
	}
	if found := set.match(kid, alg); len(found) > 0 {
		return found, nil
	}
	if set, err = k.current(ctx, true); err != nil {
		return nil, err
	}
	return set.match(kid, alg), nil
}

// current returns the keys, fetched anew when they are old, or when newer asks
// for it and the last fetch is long enough ago.
func (k *Keys) current(ctx context.Context, newer bool) (*keySet, error) {
	k.mu.Lock()
	set, tried := k.set, k.tried
	k.mu.Unlock()
	now := k.now()
	if set != nil && !newer && now.Before(set.at.Add(k.ttl)) {
		return set, nil
	}
	if !tried.IsZero() && now.Before(tried.Add(keysPause)) {
		return k.usable(set, now, nil)
	}
	limit := within(ctx, FetchTimeout)
	got, err := k.flight.Do(ctx, cache.Key{}, func(ctx context.Context) (*keySet, error) { return k.refresh(ctx, limit) })
	if err != nil {
		return k.usable(set, now, err)
	}
	return got, nil
}

// usable returns old keys as long as they may serve.
func (k *Keys) usable(set *keySet, now time.Time, cause error) (*keySet, error) {
	switch {
	case set != nil && now.Before(set.at.Add(k.ttl+keysGrace)):
		return set, nil
	case cause == nil:
		return nil, fmt.Errorf("%w: the issuer's keys could not be had, next try within %s", ErrUnavailable, keysPause)
	}
	return nil, fmt.Errorf("%w: the issuer's keys: %w", ErrUnavailable, cause)
}

func (k *Keys) refresh(ctx context.Context, limit time.Duration) (*keySet, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	got, err := k.fetch(ctx)
	k.mu.Lock()
	defer k.mu.Unlock()
	k.tried = k.now()
	if err != nil {
		return nil, err
	}
	k.set = &keySet{at: k.tried}
	for _, key := range got.Keys {
		if len(k.set.keys) < mostKeys && signs(key) {
			k.set.keys = append(k.set.keys, key)
		}
	}
	return k.set, nil
}

// match returns the keys for kid that make signatures of alg.
func (s *keySet) match(kid, alg string) (found []jose.JSONWebKey) {
	for _, key := range s.keys {
		if kid != "" && key.KeyID != kid || key.Algorithm != "" && key.Algorithm != alg || !fits(key.Key, alg) {
			continue
		}
		found = append(found, key)
	}
	return found
}

// signs reports whether a key may verify signatures at all: a public key, not
// meant for encryption, and not too weak.
func signs(k jose.JSONWebKey) bool {
	if k.Use != "" && k.Use != "sig" {
		return false
	}
	switch key := k.Key.(type) {
	case *rsa.PublicKey:
		return key.N.BitLen() >= leastRSA
	case *ecdsa.PublicKey, ed25519.PublicKey:
		return true
	}
	return false
}

// fits reports whether a key is of the kind that alg needs. The curve of an
// elliptic key is checked by the verification itself.
func fits(key any, alg string) bool {
	switch key.(type) {
	case *rsa.PublicKey:
		return strings.HasPrefix(alg, "RS") || strings.HasPrefix(alg, "PS")
	case *ecdsa.PublicKey:
		return strings.HasPrefix(alg, "ES")
	case ed25519.PublicKey:
		return alg == string(jose.EdDSA)
	}
	return false
}
