package pod

import (
	"context"
	"log/slog"
	"sync"

	"github.com/egret-gateway/egret/store"
	"github.com/egret-gateway/egret/store/postgres"
	"github.com/egret-gateway/egret/telemetry"
)

// database is a PostgreSQL that is opened when there is something to write, so
// that a pod starts, and serves, while it is away.
type database struct {
	address string

	mu   sync.Mutex
	open *postgres.Store
}

// Save implements store.Saver. The writer that calls it tries again.
func (d *database) Save(ctx context.Context, entries []store.Entry, counters []store.Counter) error {
	s, err := d.store(ctx)
	if err != nil {
		return err
	}
	return s.Save(ctx, entries, counters)
}

func (d *database) store(ctx context.Context) (*postgres.Store, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.open == nil {
		s, err := postgres.Open(ctx, d.address)
		if err != nil {
			return nil, err
		}
		d.open = s
	}
	return d.open, nil
}

// keepLedger has records written to the ledger at address.
func (s *state) keepLedger(address string, m *telemetry.Metrics, log *slog.Logger) {
	writer := store.NewWriter(&database{address: address})
	writer.Log = log
	s.ledger, s.loops = &telemetry.Ledger{Writer: writer}, append(s.loops, writer.Run)
	m.Gauge("egret_ledger_lost_entries", "Ledger entries that could not be written.", func() float64 { return float64(writer.Lost()) })
}
