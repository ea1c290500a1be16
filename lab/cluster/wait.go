package cluster

import (
	"context"
	"testing"
	"time"
)

// interval is the pause between two looks at something that changes.
const interval = 250 * time.Millisecond

// Eventually calls look until it returns nil. When it has not within the time
// given, the test fails with what was waited for and look's last error.
func (c *Cluster) Eventually(t testing.TB, within time.Duration, what string, look func() error) {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), within)
	defer stop()
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		err := look()
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("%s: not within %s: %v", what, within, err)
		case <-tick.C:
		}
	}
}
