package store

import (
	"context"
	"time"
)

// Denial refuses one token or one identity on every route (acceptance maas 42, 56).
type Denial struct {
	Subject string    // "jti:<id of a token>" or "uid:<uid of a ServiceAccount>"
	Until   time.Time // when the last token it refuses has expired by itself and the denial may be forgotten
}

// Denials holds the deny-list.
type Denials interface {
	// Deny adds denials, all or none. A subject that is denied already keeps the later end. When the call returns they
	// are on disk, also in the face of a power failure. ErrInvalid for an empty subject.
	Deny(ctx context.Context, d ...Denial) error
	// Denied lists the denials that still count at the given time, by subject; it is read once, at start.
	Denied(ctx context.Context, now time.Time) ([]Denial, error)
}
