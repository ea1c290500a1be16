package pod

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"log/slog"
	mathrand "math/rand/v2"
	"path/filepath"

	"golang.org/x/sync/errgroup"

	"github.com/egret-gateway/egret/feed"
	"github.com/egret-gateway/egret/policy/quota"
	"github.com/egret-gateway/egret/policy/quota/redis"
	"github.com/egret-gateway/egret/telemetry"
)

// state is what outlives a request: counters and ledger. It is chosen once, by
// the first settings; the controller rolls a fleet whose settings change.
type state struct {
	limiter quota.Limiter
	ledger  *telemetry.Ledger // nil = none is kept
	loops   []func(context.Context) error
	close   []func() error // when the loops have ended
}

// countersRoom bounds what waits for the shared counters on disk, in bytes: some
// 8,000 buckets. It is memory of the pod.
const countersRoom = 4 << 20

func openState(ctx context.Context, s feed.Settings, m *telemetry.Metrics, log *slog.Logger) (*state, error) {
	out := &state{}
	if s.Counters == "" {
		out.limiter = quota.NewMemory(quota.Options{})
	} else {
		shared, err := redis.Open(ctx, s.Counters, redis.Options{Log: log})
		if err != nil {
			return nil, err
		}
		if dir := filepath.Dir(KeepPath); exists(dir) {
			if err := shared.Keep(filepath.Join(dir, "counters"), countersRoom); err != nil {
				log.Warn("charges wait for the shared counters in memory only, and end with the process", "error", err)
			}
		}
		out.limiter, out.loops, out.close = shared, append(out.loops, shared.Run), append(out.close, shared.Close)
		m.Gauge("egret_counters_away", "1 while the shared counters are out of reach of this pod.", func() float64 {
			if shared.Partitioned() {
				return 1
			}
			return 0
		})
		m.Gauge("egret_counters_kept", "Charges that wait for the shared counters to be back.", func() float64 { return float64(shared.Kept()) })
		m.Gauge("egret_counters_lost", "Charges that were lost.", func() float64 { return float64(shared.Lost()) })
	}
	if s.Ledger != "" {
		out.keepLedger(s.Ledger, m, log)
	}
	return out, nil
}

// run keeps the state until ctx ends.
func (s *state) run(ctx context.Context) error {
	group, run := errgroup.WithContext(ctx)
	for _, loop := range s.loops {
		group.Go(func() error { return loop(run) })
	}
	err := group.Wait()
	for _, end := range s.close {
		err = errors.Join(err, end())
	}
	return err
}

// newID makes request and trace ids: 128 random bits in lower-case hex.
func newID() string {
	var b [16]byte
	rand.Read(b[:]) // never fails (crypto/rand since Go 1.24)
	return hex.EncodeToString(b[:])
}

// random chooses among weights; nothing secret depends on it.
func random(n int64) int64 { return mathrand.Int64N(n) }
