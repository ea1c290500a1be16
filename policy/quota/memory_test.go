package quota_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/egret-gateway/egret/policy/quota"
	"github.com/egret-gateway/egret/policy/quota/quotatest"
	"github.com/egret-gateway/egret/store"
)

func TestMemory(t *testing.T) {
	quotatest.Run(t, func(_ testing.TB, now func() time.Time) quota.Limiter {
		return quota.NewMemory(quota.Options{Now: now})
	})
}

var start = time.Date(2026, 11, 23, 6, 0, 0, 0, time.UTC)

// spend draws and settles on one key.
func spend(t *testing.T, m *quota.Memory, key string, window time.Duration, actual int64) {
	t.Helper()
	v, err := m.Reserve(context.Background(), []quota.Bucket{{Key: key, Max: 100, Window: window, Settle: true}})
	if err != nil || !v.Allowed {
		t.Fatalf("reserve %s: %+v %v", key, v, err)
	}
	if err := m.Settle(context.Background(), v.Ticket, actual); err != nil {
		t.Fatal(err)
	}
}

// used looks at one key.
func used(t *testing.T, m *quota.Memory, key string) int64 {
	t.Helper()
	v, err := m.Reserve(context.Background(), []quota.Bucket{{Key: key, Max: 1, Window: time.Minute}})
	if err != nil {
		t.Fatal(err)
	}
	return v.States[0].Used
}

func TestRestart(t *testing.T) {
	t.Run("maas-116 counters survive a restart", func(t *testing.T) {
		now := start
		var saved []store.Counter
		options := quota.Options{Now: func() time.Time { return now }, Save: func(c store.Counter) { saved = append(saved, c) }}
		m := quota.NewMemory(options)
		spend(t, m, "a", time.Minute, 30)
		now = now.Add(10 * time.Second)
		spend(t, m, "a", time.Minute, 40)
		spend(t, m, "b", time.Second, 5)
		spend(t, m, "c", time.Minute, 0)
		_, _ = m.Reserve(context.Background(), []quota.Bucket{{Key: "a", Max: 100, Window: time.Minute, Settle: true, Take: 9}})
		want := []store.Counter{
			{Key: "a", Used: 30, Opened: start, Window: time.Minute},
			{Key: "a", Used: 70, Opened: start, Window: time.Minute},
			{Key: "b", Used: 5, Opened: now, Window: time.Second},
		}
		if d := cmp.Diff(want, saved); d != "" {
			t.Fatal(d)
		}

		now = now.Add(5 * time.Second)
		again := quota.NewMemory(options)
		again.Restore(slices.Clone(saved))
		v, _ := again.Reserve(context.Background(), []quota.Bucket{{Key: "a", Max: 100, Window: time.Minute}})
		if want := (quota.State{Max: 100, Used: 70, Reset: 45 * time.Second}); v.States[0] != want {
			t.Errorf("state %+v, want %+v", v.States[0], want)
		}
		if n := used(t, again, "b"); n != 0 {
			t.Errorf("a window that ended came back with %d", n)
		}
	})
	t.Run("a clock that went back prolongs no window", func(t *testing.T) {
		m := quota.NewMemory(quota.Options{Now: func() time.Time { return start }})
		m.Restore([]store.Counter{{Key: "a", Used: 70, Opened: start.Add(time.Hour), Window: time.Minute}})
		v, _ := m.Reserve(context.Background(), []quota.Bucket{{Key: "a", Max: 100, Window: time.Minute}})
		if want := (quota.State{Max: 100, Used: 70, Reset: time.Minute}); v.States[0] != want {
			t.Errorf("state %+v, want %+v", v.States[0], want)
		}
	})
}

func TestBound(t *testing.T) {
	t.Run("the window that ends first makes room", func(t *testing.T) {
		m := quota.NewMemory(quota.Options{Max: 1, Now: func() time.Time { return start }})
		spend(t, m, "a", time.Minute, 30)
		spend(t, m, "b", time.Minute, 40)
		if a, b := used(t, m, "a"), used(t, m, "b"); a != 0 || b != 40 {
			t.Errorf("a used %d, b used %d, want 0 and 40", a, b)
		}
	})
	t.Run("windows that ended go before open ones have to", func(t *testing.T) {
		const most = 64 * 40 // far from full in every part, however keys fall
		now := start
		m := quota.NewMemory(quota.Options{Max: most, Now: func() time.Time { return now }})
		for i := range 20_000 {
			spend(t, m, fmt.Sprint("old", i), time.Second, 1)
		}
		if n := m.Len(); n > most {
			t.Fatalf("%d windows are held, want at most %d", n, most)
		}
		now = now.Add(time.Second)
		for i := range 200 {
			spend(t, m, fmt.Sprint("new", i), time.Minute, 1)
		}
		for i := range 200 {
			if used(t, m, fmt.Sprint("new", i)) != 1 {
				t.Errorf("new%d was evicted beside windows that had ended", i)
			}
		}
		if n := m.Len(); n > most-3*180 {
			t.Errorf("%d windows are held: sweeping does not keep up", n)
		}
	})
	t.Run("a refused draw holds no memory", func(t *testing.T) {
		m := quota.NewMemory(quota.Options{Now: func() time.Time { return start }})
		for i := range 100 {
			_, _ = m.Reserve(context.Background(), []quota.Bucket{
				{Key: fmt.Sprint(i), Max: 1, Window: time.Minute, Take: 1}, {Key: "shut", Window: time.Minute}})
		}
		if n := m.Len(); n != 0 {
			t.Errorf("%d windows are held, want none", n)
		}
	})
}
