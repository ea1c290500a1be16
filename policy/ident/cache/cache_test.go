package cache_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/egret-gateway/egret/policy/ident/cache"
)

func TestSumTellsPartsApart(t *testing.T) {
	seen := map[cache.Key]string{}
	for _, parts := range [][]string{{"ab", "c"}, {"a", "bc"}, {"abc"}, {"abc", ""}, {"", "abc"}, {"ABC"}} {
		k := cache.Sum(parts...)
		if other, taken := seen[k]; taken {
			t.Errorf("Sum(%q) equals Sum(%s)", parts, other)
		}
		seen[k] = fmt.Sprintf("%q", parts)
	}
}

func TestStoreIsBounded(t *testing.T) {
	key := func(i int) cache.Key { return cache.Sum(fmt.Sprint(i)) }

	t.Run("by entries, forgetting what was used least recently", func(t *testing.T) {
		s := cache.NewStore[int](3, 1<<20)
		for i := range 3 {
			s.Put(key(i), i, 1)
		}
		s.Get(key(0))
		s.Put(key(3), 3, 1)
		for i, want := range []bool{true, false, true, true} {
			if _, ok := s.Get(key(i)); ok != want {
				t.Errorf("entry %d is held: %v, want %v", i, ok, want)
			}
		}
	})
	t.Run("by bytes", func(t *testing.T) {
		s := cache.NewStore[int](1000, 64<<10)
		for i := range 100 {
			s.Put(key(i), i, 2<<10)
		}
		if n, bytes := s.Len(); bytes > 64<<10 || n < 20 {
			t.Errorf("%d entries of %d bytes are held", n, bytes)
		}
	})
	t.Run("one value cannot take it all", func(t *testing.T) {
		s := cache.NewStore[int](10, 64<<10)
		s.Put(key(1), 1, 1)
		s.Put(key(2), 2, 32<<10)
		if n, _ := s.Len(); n != 1 {
			t.Errorf("%d entries are held, want 1", n)
		}
	})
	t.Run("a value replaces its predecessor's bytes too", func(t *testing.T) {
		s := cache.NewStore[int](10, 64<<10)
		for i := range 100 {
			s.Put(key(1), i, 1000)
		}
		s.Delete(key(1))
		if n, bytes := s.Len(); n != 0 || bytes != 0 {
			t.Errorf("%d entries of %d bytes are left", n, bytes)
		}
	})
}

func TestFlight(t *testing.T) {
	k := cache.Sum("k")
	t.Run("concurrent askers share one answer", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			var f cache.Flight[int]
			var asked, got atomic.Int32
			for range 10 {
				go func() {
					v, err := f.Do(t.Context(), k, func(context.Context) (int, error) {
						time.Sleep(time.Second)
						return int(asked.Add(1)), nil
					})
					if v == 1 && err == nil {
						got.Add(1)
					}
				}()
			}
			synctest.Wait()
			time.Sleep(2 * time.Second)
			if asked.Load() != 1 || got.Load() != 10 {
				t.Errorf("asked %d times, %d of 10 got the answer", asked.Load(), got.Load())
			}
		})
	})
	t.Run("one who waits may leave, one who asks is not cut short", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			var f cache.Flight[int]
			asker, cancel := context.WithCancel(t.Context())
			done := make(chan error, 1)
			go func() {
				_, err := f.Do(asker, k, func(ctx context.Context) (int, error) {
					time.Sleep(time.Minute)
					return 0, ctx.Err()
				})
				done <- err
			}()
			synctest.Wait()
			cancel()
			waiter, leave := context.WithTimeout(t.Context(), time.Second)
			defer leave()
			if _, err := f.Do(waiter, k, nil); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("the waiter got %v", err)
			}
			if err := <-done; err != nil {
				t.Errorf("the asker got %v", err)
			}
		})
	})
	t.Run("a panic frees the key", func(t *testing.T) {
		var f cache.Flight[int]
		func() {
			defer func() { _ = recover() }()
			_, _ = f.Do(t.Context(), k, func(context.Context) (int, error) { panic("BUG: test") })
		}()
		v, err := f.Do(t.Context(), k, func(context.Context) (int, error) { return 7, nil })
		if v != 7 || err != nil {
			t.Errorf("then got %d, %v", v, err)
		}
	})
}
