package telemetry

import (
	"context"
	"errors"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"

	"github.com/egret-gateway/egret/policy/quota"
)

// away is a limiter whose counters cannot be reached while err is set.
type away struct {
	quota.Limiter
	err error
}

func (a *away) Reserve(ctx context.Context, b []quota.Bucket) (quota.Verdict, error) {
	if a.err != nil {
		return quota.Verdict{}, a.err
	}
	return a.Limiter.Reserve(ctx, b)
}

// TestTimed: every draw is timed, and an outage of the counters shows until it
// is over.
func TestTimed(t *testing.T) {
	m := NewMetrics()
	store := &away{Limiter: quota.NewMemory(quota.Options{})}
	l := Timed{Limiter: store, Metrics: m}
	draw := []quota.Bucket{{Key: "k", Max: 1, Window: time.Minute, Take: 1}}
	f := func(err error, partitioned float64) {
		t.Helper()
		store.err = err
		if _, got := l.Reserve(t.Context(), draw); !errors.Is(got, err) {
			t.Fatalf("error %v, want %v", got, err)
		}
		if got := family(t, m, "datastore_partitioned").GetGauge().GetValue(); got != partitioned {
			t.Errorf("datastore_partitioned is %v, want %v", got, partitioned)
		}
	}
	f(nil, 0)
	f(errors.New("out of reach"), 1)
	f(nil, 0)
	if n := family(t, m, "datastore_latency").GetHistogram().GetSampleCount(); n != 3 {
		t.Errorf("%d draws were timed, want 3", n)
	}
}

// family returns the only metric of a name.
func family(t *testing.T, m *Metrics, name string) *dto.Metric {
	t.Helper()
	families, err := m.Registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name {
			return f.GetMetric()[0]
		}
	}
	t.Fatalf("%s is not exposed", name)
	return nil
}
