package engine

import (
	"net/http"
	"strings"
	"time"

	"github.com/egret-gateway/egret/dialect"
	"github.com/egret-gateway/egret/plan"
)

// Timeouts of the exchange's rule.
func (x *Exchange) Timeouts() plan.Timeouts {
	if x.entry == nil {
		return plan.Timeouts{Request: plan.DefaultRequestTimeout, Idle: plan.DefaultIdleTimeout}
	}
	return x.entry.rule.Timeouts
}

// Attempt prepares the n-th try (from 1). The refusal is set when this share
// of the traffic has no backend.
func (x *Exchange) Attempt(n int) (*Attempt, *Refusal) {
	if at := x.head.Target; x.target == nil && at > 0 && at <= len(x.entry.targets) {
		x.target = &x.entry.targets[at-1]
	} else if x.target == nil {
		x.target = x.choose()
	}
	t := x.target
	if f := t.fault(); f != nil {
		r := plain(f.Status, "backend_fault", f.Reason)
		x.refuse(r)
		return nil, r
	}
	x.Record.Attempts = n
	x.Record.Backend = t.backend.Name
	a := &Attempt{Target: t.plan, Backend: t.backend, Timeout: x.Timeouts().Backend, Path: x.upstreamPath()}
	if a.Timeout == 0 {
		a.Timeout = x.Timeouts().Request
	}
	a.Header, a.Host = x.upstreamHeader(t, a.Timeout)
	if x.read {
		a.Body, a.Replace = x.upstreamBody(a, n), true
	}
	if r := x.credit(a, t); r != nil {
		x.refuse(r)
		return nil, r
	}
	return a, nil
}

func (t *target) fault() *plan.Fault {
	switch {
	case t == nil:
		return &plan.Fault{Status: http.StatusInternalServerError, Reason: "the rule has no backend with a weight above 0"}
	case t.plan.Fault != nil:
		return t.plan.Fault
	default:
		return t.backend.Fault
	}
}

// choose picks the target of the model that was asked for, or one by weight.
func (x *Exchange) choose() *target {
	e := x.entry
	if x.model != nil && x.model.target != nil {
		return x.model.target
	}
	switch len(e.targets) {
	case 0:
		return nil
	case 1:
		return &e.targets[0]
	}
	at := x.engine.deps.Random(e.weight)
	for i := range e.targets {
		if at -= int64(e.targets[i].plan.Weight); at < 0 {
			return &e.targets[i]
		}
	}
	return &e.targets[len(e.targets)-1]
}

// upstreamBody is the body to send: as it came, but a stream that nobody asked
// the usage of asks for it, since it is charged (acceptance maas 109).
func (x *Exchange) upstreamBody(a *Attempt, attempt int) []byte {
	x.asked = false
	body := x.named()
	if !x.ai || !x.call.Stream || x.call.WantsUsage || attempt > 1 || !x.mayAsk(a) {
		return body
	}
	patched, err := dialect.AskUsage(x.call.Dialect, body)
	if err != nil || len(patched) == len(body) {
		return body
	}
	x.asked = true
	return patched
}

// mayAsk reports whether usage may be asked for. Behind another gateway of this
// process every backend that the call may get to has a say, since that gateway
// passes the question on.
func (x *Exchange) mayAsk(a *Attempt) bool {
	if !a.Backend.AskUsage {
		return false
	}
	for _, e := range a.Backend.Endpoints {
		if e.Gateway == "" {
			continue
		}
		h := Head{Gateway: e.Gateway, Port: e.Port, Method: x.head.Method, Host: a.Host}
		path, query, _ := strings.Cut(a.Path, "?")
		next := x.program.find(&h, &lookup{method: h.Method, path: path, header: a.Header, raw: query})
		if next != nil && next.mute {
			return false
		}
	}
	return true
}

// Idle is how long the body may wait between two pieces of the answer;
// negative = for ever.
func (x *Exchange) Idle() time.Duration {
	t := x.Timeouts()
	if t.Explicit || t.Idle == 0 {
		return plan.NoLimit
	}
	return t.Idle
}

// Upload is how long a client may send nothing of a body that has begun, until
// the answer does. It always ends: the time-outs that a route asks for are
// those of the answer.
func (x *Exchange) Upload() time.Duration {
	if idle := x.Timeouts().Idle; idle > 0 {
		return idle
	}
	return plan.DefaultIdleTimeout
}
