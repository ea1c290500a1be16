package telemetry

import (
	"github.com/egret-gateway/egret/engine"
	"github.com/egret-gateway/egret/store"
)

// Ledger hands AI calls to the usage ledger. A hop behind another gateway of
// the same process is left out, so that a call is one entry however many
// gateways it crossed. An entry is named by its trace with our span, not by the
// request id, which clients choose and could repeat.
type Ledger struct {
	Writer *store.Writer
}

// Record queues r; it never waits for the disk.
func (l *Ledger) Record(r *engine.Record) {
	if r.Dialect == "" || r.Inner {
		return
	}
	verdict := "allowed"
	if r.Code != "" {
		verdict = r.Code
	}
	l.Writer.Entry(store.Entry{
		ID: r.Trace, Time: r.Time, User: r.User, Tier: r.Tier, Gateway: r.Gateway, Route: r.Route, Backend: r.Backend,
		ModelAsked: r.Asked, ModelServed: r.Served, Dialect: string(r.Dialect), Verdict: verdict, Status: r.Status,
		Input: r.Usage.Input, Output: r.Usage.Output, Cached: r.Usage.Cached, CacheWrite: r.Usage.CacheWrite, Reasoning: r.Usage.Reasoning,
		Total: r.Usage.Total, Exact: r.Usage.Exact, Stream: r.Stream, Duration: r.Duration, FirstToken: r.FirstByte,
	})
}
