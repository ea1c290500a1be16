package engine

import (
	"fmt"
	"math"
	"net/http"
	"runtime/debug"
	"sync/atomic"
)

// DefaultBodyRoom bounds what the buffered request bodies of a process take
// together where nothing bounds its memory: 512 MiB.
const DefaultBodyRoom = 512 << 20

// bodyRoom is a quarter of what the process may take: beside the bodies there
// are the copies that are sent upstream, and what growing leaves behind.
func bodyRoom() int64 {
	if limit := debug.SetMemoryLimit(-1); limit < math.MaxInt64 {
		return limit / 4
	}
	return DefaultBodyRoom
}

// room is what the buffered bodies of all requests may take together: each has
// its own bound, and some fifty of them would be a pod's whole memory.
type room struct {
	limit int64
	taken atomic.Int64
}

func (r *room) take(n int64) bool {
	if r.taken.Add(n) > r.limit {
		r.taken.Add(-n)
		return false
	}
	return true
}

func (r *room) give(n int64) { r.taken.Add(-n) }

// Keep says that the request's body takes n bytes of memory by now. It returns
// the refusal when there is no room for as many; End makes room again.
func (x *Exchange) Keep(n int) *Refusal {
	more := int64(n) - x.kept
	if more <= 0 || x.finished {
		return nil
	}
	if room := &x.engine.room; !room.take(more) {
		return x.busy(room.limit)
	}
	x.kept += more
	return nil
}

func (x *Exchange) busy(limit int64) *Refusal {
	r := x.shape(http.StatusServiceUnavailable, "busy", "the gateway holds as many request bodies as it can; try again")
	r.Reason = fmt.Sprintf("busy: there is no room for more of the body: request bodies may take %d MiB together", limit>>20)
	r.Header.Set("Retry-After", "1")
	return r
}
