package quotatest

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/egret-gateway/egret/policy/quota"
)

const (
	workers = 16
	rounds  = 200
)

// crowd runs workers at once.
func (b *bench) crowd(work func(r *rand.Rand)) {
	var wg sync.WaitGroup
	for i := range uint64(workers) {
		wg.Go(func() { work(rand.New(rand.NewPCG(i, 2))) })
	}
	wg.Wait()
}

// try draws from a goroutine of its own, where a test must not stop.
func (b *bench) try(buckets ...quota.Bucket) quota.Verdict {
	v, err := b.limiter.Reserve(b.Context(), buckets)
	if err != nil {
		b.Errorf("reserve: %v", err)
	}
	return v
}

func (b *bench) end(t quota.Ticket, actual int64) {
	if err := b.limiter.Settle(b.Context(), t, actual); err != nil {
		b.Errorf("settle: %v", err)
	}
}

func sums(b *bench) {
	var spent [4]atomic.Int64
	bucket := func(i int) quota.Bucket {
		k := reserved(fmt.Sprint(i), int64(i%2)*30)
		k.Max, k.TTL = 1<<40, 0
		return k
	}
	b.crowd(func(r *rand.Rand) {
		for range rounds {
			i, j, actual := r.IntN(4), r.IntN(4), int64(r.IntN(100))
			if i == j {
				continue
			}
			v := b.try(bucket(i), bucket(j))
			if !v.Allowed {
				b.Errorf("refused: %+v", v.States)
			}
			b.end(v.Ticket, actual)
			b.end(v.Ticket, actual)
			spent[i].Add(actual)
			spent[j].Add(actual)
		}
	})
	for i := range spent {
		b.used(bucket(i), spent[i].Load(), time.Minute)
	}
}

func ceiling(b *bench) {
	var held atomic.Int64 // what all reservations promise at this moment
	k := reserved("k", 7)
	b.crowd(func(r *rand.Rand) {
		for range rounds {
			v := b.try(k)
			if len(v.States) == 0 {
				return // reported
			}
			if v.States[0].Used > k.Max {
				b.Errorf("used %d of %d", v.States[0].Used, k.Max)
			}
			if !v.Allowed {
				continue
			}
			if h := held.Add(k.Take); h > k.Max {
				b.Errorf("%d reserved of %d", h, k.Max)
			}
			held.Add(-k.Take)
			b.end(v.Ticket, 0)
		}
	})
	b.used(k, 0, time.Minute)

	var passed atomic.Int64
	c := called("calls", 500, time.Minute)
	b.crowd(func(r *rand.Rand) {
		for range rounds {
			if b.try(c).Allowed {
				passed.Add(1)
			}
		}
	})
	if passed.Load() != 500 {
		b.Errorf("%d calls passed, want 500", passed.Load())
	}
}

func orders(b *bench) {
	b.crowd(func(r *rand.Rand) {
		for range rounds {
			draw := make([]quota.Bucket, 0, 8)
			for _, i := range r.Perm(8) {
				draw = append(draw, called(fmt.Sprint(i), workers*rounds, time.Minute))
			}
			b.try(draw...)
		}
	})
	for i := range 8 {
		b.used(called(fmt.Sprint(i), 0, time.Minute), workers*rounds, time.Minute)
	}
}
