package standalone

import (
	"context"
	"time"
)

// retentionInterval is how often old entries of the ledger are removed.
const retentionInterval = time.Hour

// forget removes what the ledger has kept for longer than Keep, at the start
// and then every hour, so that it does not grow for ever.
func (s *System) forget(ctx context.Context) error {
	if s.o.Keep <= 0 {
		return nil
	}
	tick := time.NewTicker(retentionInterval)
	defer tick.Stop()
	for {
		if err := s.store.Forget(ctx, time.Now().Add(-s.o.Keep)); err != nil && ctx.Err() == nil {
			s.log.Error("old usage could not be removed from the ledger", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}
