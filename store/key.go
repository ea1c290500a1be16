package store

import (
	"context"
	"time"
)

// Key is the metadata of one API key. The token itself is never stored.
type Key struct {
	ID          string    // the jti claim of the token; trimmed when stored
	Owner       string    // username of the person who made it, such as kube:admin
	Name        string    // trimmed when stored, never empty
	Description string    // trimmed when stored, may be empty
	Created     time.Time // whole seconds; the token's iat claim
	Expires     time.Time // whole seconds; the token's exp claim, or earlier once revoked
	Account     string    // namespace/name of the ServiceAccount the token is for; empty in rows of older databases
}

// Expired reports whether the key is of no use at the given time. Like the exp claim of a token (RFC 7519 §4.1.4) the
// expiry itself is already too late, so a key that is revoked "now" is expired at once.
func (k Key) Expired(now time.Time) bool { return !now.Before(k.Expires) }

// Keys holds the API keys. Every question names the owner, so that nobody reads or ends another person's key.
type Keys interface {
	// PutKey adds a key. It fails with ErrExists for an id that is there already, whoever owns it, and with ErrInvalid
	// when id, owner or name are empty after trimming.
	PutKey(ctx context.Context, k Key) error
	// Keys lists the keys of an owner, expired ones included, newest first (acceptance maas 51).
	Keys(ctx context.Context, owner string) ([]Key, error)
	// Key returns one key, or ErrNotFound when there is none of that id or it belongs to somebody else.
	Key(ctx context.Context, owner, id string) (Key, error)
	// ExpireKey ends one key at the given time, never later than it would have ended anyway. ErrNotFound as in Key.
	ExpireKey(ctx context.Context, owner, id string, at time.Time) error
	// ExpireKeys ends every key of the owner whose expiry is later than at; the rows stay (acceptance maas 55).
	ExpireKeys(ctx context.Context, owner string, at time.Time) error
}
