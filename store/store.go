package store

import (
	"context"
	"errors"
	"io"
)

// Errors that every implementation returns, wrapped with the thing they speak of; ask with errors.Is.
var (
	// ErrExists says that a row with this identifier is there already and was left as it is.
	ErrExists = errors.New("already exists")
	// ErrNotFound says that there is no such row, or that it belongs to somebody else.
	ErrNotFound = errors.New("not found")
	// ErrAway says that the database cannot be reached, which goes away by itself.
	ErrAway = errors.New("database is away")
	// ErrInvalid says that the caller handed in something that cannot be stored, such as an empty name.
	ErrInvalid = errors.New("invalid")
)

// Store is everything a database offers. Rooms that need one part of it declare a field of that part's type.
// All methods may be called concurrently; times come back in UTC.
type Store interface {
	Keys
	Accounts
	Denials
	Counters
	Ledger
	Saver
	io.Closer
}

// Saver writes what Writer collected, all of it or nothing, in one transaction: entries as Ledger.Append does and
// counters as Counters.SaveCounters does.
type Saver interface {
	Save(ctx context.Context, entries []Entry, counters []Counter) error
}
