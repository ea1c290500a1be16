package conform

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"sync"

	"github.com/egret-gateway/egret/engine"
	"github.com/egret-gateway/egret/plan"
	"github.com/egret-gateway/egret/policy/auth"
	"github.com/egret-gateway/egret/policy/quota"
	"github.com/egret-gateway/egret/sight"
)

// bodyLimit is what a gateway reads of a request's body, small so that
// scenarios can go beyond it.
const bodyLimit = 4 << 10

// World is what a body stands in: an engine with a plan, an upstream, and what
// the engine recorded.
type World struct {
	Plan     *plan.Plan
	Engine   *engine.Engine
	clock    *clock
	upstream *upstream
	realm    *realm
	book     *sight.Book
	counters *counters

	mu      sync.Mutex
	ids     int
	records []engine.Record
	ended   chan struct{} // one for each of records
}

// Body is a data plane. It has made World.Plan the one that is served.
type Body interface {
	// Call sends a request and returns when the head of the answer is there.
	Call(ctx context.Context, r *Request) (*Response, error)
	// Close ends the plane and all its connections.
	Close()
}

// newWorld makes a world that serves nothing yet. Its backends are at l.
func newWorld(p *plan.Plan, r *realm, c *clock, l net.Listener) *World {
	w := &World{
		Plan: p, clock: c, upstream: newUpstream(c, l), realm: r, book: &sight.Book{}, ended: make(chan struct{}, 1000),
		counters: &counters{Memory: quota.NewMemory(quota.Options{Now: c.Now})},
	}
	w.Engine = engine.New(engine.Deps{
		Auth: auth.Deps{
			Reviewer: r, Authorizer: r, HTTP: tiers{}, Caches: auth.NewCaches(), Now: c.Now, Log: slog.New(slog.DiscardHandler),
		},
		Limiter: w.counters, Record: w.record, Now: c.Now, NewID: w.newID, Random: w.random,
		Log: slog.New(slog.DiscardHandler), BodyLimit: bodyLimit, Routed: true, Sight: w.book,
	})
	return w
}

func (w *World) record(r *engine.Record) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.records = append(w.records, *r)
	w.ended <- struct{}{}
}

// newID counts, so that two runs of a scenario make the same ids.
func (w *World) newID() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ids++
	return fmt.Sprintf("%016x%016x", w.ids, w.ids)
}

// random is evenly spread and the same in every run.
func (w *World) random(n int64) int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ids++
	return int64(w.ids) * 7919 % n
}

// begin prepares for a step.
func (w *World) begin(s *Step) {
	w.mu.Lock()
	w.records, w.ended = nil, make(chan struct{}, 1000)
	w.mu.Unlock()
	w.upstream.begin(s.Upstream)
	w.realm.away.Store(s.Away == "identity")
	w.counters.away.Store(s.Away == "limiter")
}

func (w *World) recorded() []engine.Record {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.records
}
