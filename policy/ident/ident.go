package ident

import (
	"context"
	"time"
)

// Review is the status of a TokenReview, with what a cache and a deny-list
// need besides.
type Review struct {
	Authenticated bool      `json:"authenticated"`
	User          User      `json:"user"`
	Audiences     []string  `json:"audiences,omitempty"`
	Expires       time.Time `json:"-"` // the token's exp; zero when it has none
	ID            string    `json:"-"` // the token's jti, "" when it has none
	Error         string    `json:"-"` // why not, for the log; never holds the token
}

// User is who a token stands for.
type User struct {
	Username string              `json:"username"`
	UID      string              `json:"uid,omitempty"`
	Groups   []string            `json:"groups,omitempty"`
	Extra    map[string][]string `json:"extra,omitempty"`
}

// Reviewer says who holds a token. Implementations: the embedded realm
// (policy/ident/local) and a cluster's TokenReview API. A rejected token is a
// Review that is not Authenticated; the error is about not being able to tell.
type Reviewer interface {
	Review(ctx context.Context, token string, audiences []string) (Review, error)
}

// Access is one SubjectAccessReview: about a resource, or about a path when
// Resource is empty and Path is not.
type Access struct {
	User   string
	Groups []string

	Verb, Group, Version, Resource, Subresource, Namespace, Name string

	Path string // non-resource URL
}

// Authorizer decides Access requests. Implementations: RBAC manifests
// (policy/ident/local) and a cluster's SubjectAccessReview API.
type Authorizer interface {
	Access(ctx context.Context, a Access) (allowed bool, reason string, err error)
}

// Revoked says whether a credential was revoked since it was reviewed. It is
// asked on every use of a cached identity, so it must not block.
type Revoked interface {
	Revoked(r *Review) bool
	// Epoch changes whenever anything was revoked; caches compare it on every hit.
	Epoch() uint64
}
