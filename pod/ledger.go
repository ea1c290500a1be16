package pod

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
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

// ledgerRoom bounds what waits for the ledger on disk, in bytes: some 10,000
// lines. It is memory of the pod.
const ledgerRoom = 4 << 20

// keepLedger has records written to the ledger at address. Beside the kept feed
// lines wait in files, so that a container that is killed loses none.
func (s *state) keepLedger(address string, m *telemetry.Metrics, log *slog.Logger) {
	writer := store.NewWriter(&database{address: address})
	writer.Log = log
	if dir := filepath.Dir(KeepPath); exists(dir) {
		if err := writer.Keep(filepath.Join(dir, "ledger"), ledgerRoom); err != nil {
			log.Warn("lines of the ledger wait in memory only, and end with the process", "error", err)
		}
	}
	s.ledger, s.loops = &telemetry.Ledger{Writer: writer}, append(s.loops, writer.Run)
	m.Gauge("egret_ledger_lost_entries", "Ledger entries that could not be written.", func() float64 { return float64(writer.Lost()) })
}

func exists(dir string) bool {
	_, err := os.Stat(dir)
	return err == nil
}
