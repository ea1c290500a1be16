package kube

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/egret-gateway/egret/store"
	"github.com/egret-gateway/egret/store/postgres"
)

// database holds API keys in a PostgreSQL. The API serves while it is away,
// from its start on: tokens need no database, and what is asked about keys
// meanwhile is store.ErrAway.
type database struct {
	address string
	log     *slog.Logger
	open    atomic.Pointer[postgres.Store]
}

const (
	// openWithin is how long the API's start waits for its database.
	openWithin = 3 * time.Second
	// openAgain is the pause between two attempts after that.
	openAgain = time.Second
)

// openDatabase fails for a database that will not be there by waiting: one that
// refuses the user, or that a newer release has written.
func openDatabase(ctx context.Context, address string, log *slog.Logger) (*database, error) {
	d := &database{address: address, log: log}
	ctx, cancel := context.WithTimeout(ctx, openWithin)
	defer cancel()
	if err := d.connect(ctx); errors.Is(err, store.ErrAway) {
		log.Error("API keys can be neither made nor listed until their database is there; tokens can be minted", "error", err)
	} else if err != nil {
		return nil, err
	}
	return d, nil
}

func (d *database) connect(ctx context.Context) error {
	s, err := postgres.Open(ctx, d.address)
	if err == nil {
		d.open.Store(s)
	}
	return err
}

// run connects, if that is still to be done, and returns when ctx ends.
func (d *database) run(ctx context.Context) error {
	for d.open.Load() == nil && ctx.Err() == nil {
		err := d.connect(ctx)
		switch {
		case err == nil:
			d.log.Info("the database of API keys is there")
		case ctx.Err() == nil && !errors.Is(err, store.ErrAway):
			return err
		default:
			select {
			case <-ctx.Done():
			case <-time.After(openAgain):
			}
		}
	}
	return nil
}

// Close implements io.Closer.
func (d *database) Close() error {
	if s := d.open.Load(); s != nil {
		return s.Close()
	}
	return nil
}

func (d *database) store() (store.Keys, error) {
	if s := d.open.Load(); s != nil {
		return s, nil
	}
	return nil, fmt.Errorf("API keys: %w", store.ErrAway)
}

// PutKey implements store.Keys.
func (d *database) PutKey(ctx context.Context, k store.Key) error {
	s, err := d.store()
	if err != nil {
		return err
	}
	return s.PutKey(ctx, k)
}

// Keys implements store.Keys.
func (d *database) Keys(ctx context.Context, owner string) ([]store.Key, error) {
	s, err := d.store()
	if err != nil {
		return nil, err
	}
	return s.Keys(ctx, owner)
}

// Key implements store.Keys.
func (d *database) Key(ctx context.Context, owner, id string) (store.Key, error) {
	s, err := d.store()
	if err != nil {
		return store.Key{}, err
	}
	return s.Key(ctx, owner, id)
}

// ExpireKey implements store.Keys.
func (d *database) ExpireKey(ctx context.Context, owner, id string, at time.Time) error {
	s, err := d.store()
	if err != nil {
		return err
	}
	return s.ExpireKey(ctx, owner, id, at)
}

// ExpireKeys implements store.Keys.
func (d *database) ExpireKeys(ctx context.Context, owner string, at time.Time) error {
	s, err := d.store()
	if err != nil {
		return err
	}
	return s.ExpireKeys(ctx, owner, at)
}
