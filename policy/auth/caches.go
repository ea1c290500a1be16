package auth

import (
	"sync"
	"time"

	"github.com/egret-gateway/egret/policy/ident"
	"github.com/egret-gateway/egret/policy/ident/cache"
)

// Bounds of Caches.
const (
	stepEntries = 50_000
	stepBytes   = 64 << 20
	mostIssuers = 256 // key sets held at once; beyond it a policy keeps its own
)

// Caches remember identities, results of steps, and issuers' keys. Make one
// per process: pipelines come and go with the configuration, these stay.
type Caches struct {
	reviews *ident.Cache
	steps   *cache.Store[kept]
	flight  cache.Flight[any]

	mu   sync.Mutex
	keys map[issuer]*ident.Keys
}

// kept is the result of a step.
type kept struct {
	value any
	at    time.Time
}

// issuer names a set of keys.
type issuer struct {
	issuer, jwks string
	ttl          time.Duration
}

// NewCaches makes empty Caches: at most 50,000 reviews and as many step
// results, 64 MiB each.
func NewCaches() *Caches {
	return &Caches{
		reviews: ident.NewCache(0, 0),
		steps:   cache.NewStore[kept](stepEntries, stepBytes),
		keys:    map[issuer]*ident.Keys{},
	}
}

// keysOf returns the shared keys of i, made by fresh when nobody asked before.
func (c *Caches) keysOf(i issuer, fresh func() *ident.Keys) *ident.Keys {
	c.mu.Lock()
	defer c.mu.Unlock()
	if k, ok := c.keys[i]; ok {
		return k
	}
	k := fresh()
	if len(c.keys) < mostIssuers {
		c.keys[i] = k
	}
	return k
}
