package engine

import (
	"fmt"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"github.com/egret-gateway/egret/plan"
	"github.com/egret-gateway/egret/policy/auth"
	"github.com/egret-gateway/egret/policy/quota"
	"github.com/egret-gateway/egret/provider/account"
	"github.com/egret-gateway/egret/sight"
)

// DefaultBodyLimit bounds what is buffered of a request's body: 16 MiB.
const DefaultBodyLimit = 16 << 20

// MaxHeaders bounds the number of header fields of a request; more are
// answered 431.
const MaxHeaders = 256

// Deps are the engine's ways to the world.
type Deps struct {
	Auth    auth.Deps     // identity, access reviews, metadata
	Limiter quota.Limiter // counters of all limits
	Record  func(*Record) // called once per exchange; must not block or keep the pointer
	Now     func() time.Time
	NewID   func() string       // request ids and trace ids: 32 lower-case hex digits, unguessable
	Random  func(n int64) int64 // uniform in [0, n), to choose by weight
	Log     *slog.Logger
	// BodyLimit bounds buffered request bodies in bytes; 0 = DefaultBodyLimit.
	BodyLimit int64
	// BodyRoom bounds those of all requests together, and is at least
	// BodyLimit; 0 = a quarter of the process's memory limit, or
	// DefaultBodyRoom where there is none.
	BodyRoom int64
	// Proof returns what shows a backend that the request comes from one of
	// our gateways, "" for backends that get none. It is asked for Services of
	// the platform only and must not block; nil shows nothing to anybody.
	Proof func(*plan.Backend) string
	// Instance is what tells this gateway from others of its name, such as those
	// of other clusters; the same in all its pods.
	Instance string
	// Accounts shows backends the platform's credentials; nil = one that gets
	// no tokens. Whoever gives one runs it.
	Accounts *account.Office
	// Sight notes what answers and failures say about backends; nil notes nothing.
	Sight *sight.Book
	// Routed says that a foreign router names entries by Head.Digest.
	Routed bool
}

// Engine serves exchanges under the current plan.
type Engine struct {
	deps    Deps
	program atomic.Pointer[program]
	room    room
	told    atomic.Int64 // when it was said last that limits cannot be checked, in Unix seconds
}

// tell reports whether what concerns every request alike may be said again.
func (e *Engine) tell(now time.Time) bool {
	last := e.told.Load()
	return now.Unix() != last && e.told.CompareAndSwap(last, now.Unix())
}

// New returns an engine without a plan: every request is answered 404 until
// Load.
func New(d Deps) *Engine {
	if d.BodyLimit <= 0 {
		d.BodyLimit = DefaultBodyLimit
	}
	if d.BodyRoom <= 0 {
		d.BodyRoom = bodyRoom()
	}
	if d.Accounts == nil {
		d.Accounts = account.New(account.Options{Now: d.Now})
	}
	e := &Engine{deps: d, room: room{limit: max(d.BodyRoom, d.BodyLimit)}}
	e.program.Store(&program{plan: &plan.Plan{}})
	return e
}

// Load makes p the plan of all exchanges that begin from now on; those under
// way keep theirs. All or nothing: on an error the old plan serves on. For a
// foreign router (Deps.Routed), plans before still serve requests that name
// their entries by Head.Digest: those whose hashes are in keep, and those that
// it may have without anybody's knowledge (lag). It must not be called twice at
// once.
func (e *Engine) Load(p *plan.Plan, keep ...string) error {
	old := e.program.Load()
	e.deps.Sight.Use(p)
	next, err := newProgram(p, e.deps, old)
	if err != nil {
		e.deps.Sight.Use(old.plan)
		return fmt.Errorf("load plan %s: %w", p.Hash(), err)
	}
	if e.deps.Routed {
		next.earlier = old.before(next.hash, keep, e.deps.Now())
	}
	e.program.Store(next)
	return nil
}

// A router hears of a plan after its engine, and one that has lost the
// controller later still: it asks again every few seconds at the latest, and
// until it has, nobody can say that it routes by an earlier plan.
const (
	lag       = 30 * time.Second
	mostLater = 16 // plans that are kept for it
)

// before returns the plans that are kept when the next one takes g's place,
// latest first.
func (g *program) before(next string, keep []string, now time.Time) (out []*program) {
	last := *g
	last.earlier, last.left = nil, now
	for _, was := range append([]*program{&last}, g.earlier...) {
		lags := len(out) < mostLater && now.Sub(was.left) < lag
		if was.hash != next && (lags || slices.Contains(keep, was.hash)) {
			out = append(out, was)
		}
	}
	return out
}

// Plan is the plan in force.
func (e *Engine) Plan() *plan.Plan { return e.program.Load().plan }
