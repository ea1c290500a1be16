package telemetry

import (
	"context"
	"time"

	"github.com/egret-gateway/egret/policy/quota"
)

// Timed is a Limiter that tells the metrics how long its draws take and
// whether its counters are in reach, as Limitador tells of its data store.
type Timed struct {
	quota.Limiter
	Metrics *Metrics
}

// Reserve draws on the buckets.
func (t Timed) Reserve(ctx context.Context, b []quota.Bucket) (quota.Verdict, error) {
	start := time.Now()
	v, err := t.Limiter.Reserve(ctx, b)
	t.Metrics.draws.WithLabelValues().Observe(time.Since(start).Seconds())
	if err != nil {
		t.Metrics.partitioned.Set(1)
	} else {
		t.Metrics.partitioned.Set(0)
	}
	return v, err
}
