package quota

import (
	"math/bits"
	"sync/atomic"
)

// grant is what a draw allocates: room for the usual number of states, and the
// mark that makes settling idempotent for all copies of the ticket.
type grant struct {
	settled atomic.Bool
	states  [4]State
}

// locked is a set of locked shards, one bit each.
type locked struct {
	m   *Memory
	set uint64
}

// lock locks the shards of the buckets, or only of those that are settled,
// each once and in ascending order: two draws never wait for each other in a
// circle.
func (m *Memory) lock(b []Bucket, settled bool) locked {
	var set uint64
	for i := range b {
		if !settled || b[i].Settle {
			set |= 1 << m.place(b[i].Key)
		}
	}
	for rest := set; rest != 0; rest &= rest - 1 {
		m.shards[bits.TrailingZeros64(rest)].mu.Lock()
	}
	return locked{m, set}
}

// unlock unlocks them.
func (l locked) unlock() {
	for rest := l.set; rest != 0; rest &= rest - 1 {
		l.m.shards[bits.TrailingZeros64(rest)].mu.Unlock()
	}
}
