//go:build services

package redis

import (
	"io"
	"log/slog"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/egret-gateway/egret/lab/service"
	"github.com/egret-gateway/egret/policy/quota"
	"github.com/egret-gateway/egret/policy/quota/quotatest"
)

// replica opens a limiter as one of several gateways has it.
func replica(t testing.TB, url string, o Options) *Limiter {
	t.Helper()
	if o.Log == nil {
		o.Log = slog.New(slog.NewTextHandler(io.Discard, nil))
	}
	l, err := Open(t.Context(), url, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// suite runs the tests of all limiters, which bring their own clock. Each gets
// an empty one by a prefix of its own.
func suite(t *testing.T, url string) {
	var n atomic.Int64
	quotatest.RunTick(t, time.Microsecond, func(t testing.TB, now func() time.Time) quota.Limiter {
		l := replica(t, url, Options{Prefix: strconv.FormatInt(n.Add(1), 10), Now: now})
		l.clock = func() string { return strconv.FormatInt(now().UnixMicro(), 10) }
		t.Cleanup(func() {
			if err := l.Healthy(); err != nil || l.Kept() > 0 || l.Lost() > 0 {
				t.Errorf("the suite should have run without a failure: %v, %d kept, %d lost", err, l.Kept(), l.Lost())
			}
		})
		return l
	})
}

// TestSuite runs against Redis and, where it is installed, against Valkey.
func TestSuite(t *testing.T) {
	t.Run("redis", func(t *testing.T) { suite(t, service.Redis(t).URL) })
	if s, ok := service.Valkey(t); ok {
		t.Run("valkey", func(t *testing.T) { suite(t, s.URL) })
	}
}
