package engine

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/egret-gateway/egret/dialect"
	"github.com/egret-gateway/egret/plan"
	"github.com/egret-gateway/egret/policy/auth"
	"github.com/egret-gateway/egret/policy/quota"
	"github.com/egret-gateway/egret/policy/rule"
)

// Exchange is one request on its way. It belongs to one goroutine.
type Exchange struct {
	// Refusal is the answer to give when a step says Refuse.
	Refusal *Refusal
	// Record is filled in as things become known; it is final after End.
	Record Record

	engine  *Engine
	program *program
	entry   *entry
	head    Head
	header  http.Header // the request's, without what clients may not say
	owned   bool        // header is a copy
	path    string      // without query
	query   string
	input   rule.Input
	auth    auth.Result

	body   []byte // as read; nil when it streams
	read   bool   // Body was called
	call   dialect.Call
	ai     bool // call is set
	asked  bool // the request sent upstream asks for usage on the client's behalf
	target *target

	ticket  quota.Ticket
	states  []limitState
	settled bool

	reply    *dialect.Reply
	status   int
	finished bool
}

// Begin starts an exchange: it finds the route and asks its AuthPolicy. The
// exchange must be ended with End whatever the step.
func (e *Engine) Begin(ctx context.Context, h Head) (*Exchange, Step) {
	now := e.deps.Now()
	x := &Exchange{engine: e, program: e.program.Load(), head: h, header: h.Header}
	x.path, x.query, _ = strings.Cut(h.Path, "?")
	x.Record = Record{
		ID: requestID(h.Header, e.deps.NewID), Time: now, Inner: h.Inner, Gateway: h.Gateway,
		Remote: h.Remote, Method: h.Method, Host: h.Host, Path: x.path,
	}
	x.Record.Trace = traceparent(h.Header, e.deps.NewID)
	if refusal := checkHead(&h, x.path); refusal != nil {
		return x, x.refuse(refusal)
	}
	x.dropTrusted()
	x.entry = x.program.find(&h, &lookup{method: h.Method, path: x.path, header: x.header, raw: x.query})
	if x.entry == nil {
		return x, x.refuse(plain(http.StatusNotFound, "no_route", "no route of gateway "+h.Gateway+" matches "+h.Method+" "+h.Host+x.path))
	}
	x.Record.Listener, x.Record.Route, x.Record.Rule = x.entry.listener, x.entry.rule.Route, x.entry.rule.Name
	return x, x.admit(ctx)
}

// admit runs the policy, then decides whether the body is needed.
func (x *Exchange) admit(ctx context.Context) Step {
	p := x.entry.policy
	if p != nil {
		if f := p.plan.Fault; f != nil {
			return x.refuse(plain(f.Status, "policy_fault", f.Reason))
		}
		x.claim(p.claimed)
		if refusal := x.authenticate(ctx, p); refusal != nil {
			return x.refuse(refusal)
		}
	}
	if r := x.entry.rule.Redirect; r != nil {
		return x.refuse(redirect(r, &x.head, x.path, x.query))
	}
	if f := x.entry.rule.Fault; f != nil {
		return x.refuse(plain(f.Status, "route_fault", f.Reason))
	}
	if !x.wantsBody(p) {
		return x.meter(ctx)
	}
	if x.head.Length > x.BodyLimit() {
		return x.refuse(x.TooLarge())
	}
	return NeedBody
}

// wantsBody reports whether the body must be read before the request goes on:
// for an AI call, or because an expression asks for it. A call that one of our
// own gateways has read already is not read again without a policy.
func (x *Exchange) wantsBody(p *policy) bool {
	if p == nil {
		return !x.head.Inner && x.dialect() != ""
	}
	return p.needBody || x.dialect() != ""
}

// dialect is the AI dialect that the request's path and method suggest.
func (x *Exchange) dialect() dialect.Dialect {
	if x.head.Method != http.MethodPost {
		return ""
	}
	return dialect.OfPath(x.path)
}

// BodyLimit is how many bytes of a body the engine will take.
func (x *Exchange) BodyLimit() int64 { return x.engine.deps.BodyLimit }

// TooLarge is the refusal for a body above BodyLimit.
func (x *Exchange) TooLarge() *Refusal {
	return x.shape(http.StatusRequestEntityTooLarge, "body_too_large", "the request body is larger than this gateway reads for an AI call")
}

// Refuse ends the exchange with a refusal of the body's own making, such as
// TooLarge.
func (x *Exchange) Refuse(r *Refusal) Step { return x.refuse(r) }

// Body takes the whole body after a step said NeedBody. b is kept until End.
func (x *Exchange) Body(ctx context.Context, b []byte) Step {
	x.body, x.read = b, true
	x.input.RequestBody = b
	if d := x.dialect(); d != "" {
		call, err := dialect.Read(d, b)
		switch {
		case err == nil:
			// A JSON object that is no call of a dialect is somebody else's
			// endpoint under a like name.
			x.call, x.ai = call, call.Dialect != dialect.None
			x.Record.Dialect, x.Record.Asked, x.Record.Stream = call.Dialect, call.Model, call.Stream
		case x.metered() || jsonType(x.header):
			// What cannot be read cannot be metered, and two readers may
			// disagree about it: refused rather than passed.
			return x.refuse(x.shape(http.StatusBadRequest, "bad_body", err.Error()))
		}
	}
	return x.meter(ctx)
}

func (x *Exchange) metered() bool { return x.entry.policy != nil && x.entry.policy.metered }

func jsonType(h http.Header) bool {
	t := h.Get("Content-Type")
	return t == "" || strings.Contains(strings.ToLower(t), "json")
}

// prepare fills in what expressions see of the request.
func (x *Exchange) prepare() {
	x.input.Request = rule.Request{
		ID: x.Record.ID, Method: x.head.Method, Scheme: x.head.Scheme, Host: x.head.Host, Path: x.head.Path,
		Protocol: x.head.Protocol, Header: x.header, Size: x.head.Length, Time: x.Record.Time,
	}
	x.input.Source = x.head.Remote
}

// authenticate asks the AuthPolicy.
func (x *Exchange) authenticate(ctx context.Context, p *policy) *Refusal {
	x.prepare()
	if p.auth == nil {
		return nil
	}
	x.Record.Policy = p.plan.Auth.Source
	x.auth = p.auth.Check(ctx, &x.input)
	x.Record.Auth = x.engine.deps.Now().Sub(x.Record.Time)
	x.Record.Subject = x.auth.Subject
	x.Record.User, x.Record.Tier = x.auth.Subject, ""
	identity, exported := x.auth.Filters["identity"]
	if m, ok := identity.(map[string]any); ok {
		if id, ok := m["userid"].(string); ok && id != "" {
			x.Record.User = id
		}
		x.Record.Tier, _ = m["tier"].(string)
	}
	if d := x.auth.Denied; d != nil {
		return &Refusal{Status: d.Status, Header: d.Header, Body: d.Body, Code: denialCode(d.Status), Reason: d.Reason}
	}
	// From here on expressions see what filter "identity" exported, and
	// nothing else of it (Kuadrant: dynamic metadata).
	x.input.Identity = nil
	if exported {
		x.input.Identity = identity
	}
	x.input.Metadata, x.input.Authorization, x.input.Response = nil, nil, nil
	return nil
}

func denialCode(status int) string {
	switch status {
	case http.StatusUnauthorized:
		return "unauthenticated"
	case http.StatusForbidden:
		return "unauthorized"
	case http.StatusInternalServerError:
		return "identity_unavailable"
	}
	return "denied"
}

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
	if x.target == nil {
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
		a.Body, a.Replace = x.upstreamBody(t.backend, n), true
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

// choose picks a target by weight.
func (x *Exchange) choose() *target {
	e := x.entry
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
func (x *Exchange) upstreamBody(b *plan.Backend, attempt int) []byte {
	x.asked = false
	if !x.ai || !x.call.Stream || x.call.WantsUsage || !b.AskUsage || attempt > 1 {
		return x.body
	}
	patched, err := dialect.AskUsage(x.call.Dialect, x.body)
	if err != nil || len(patched) == len(x.body) {
		return x.body
	}
	x.asked = true
	return patched
}

// Response takes the head of an answer.
func (x *Exchange) Response(h ResponseHead) ResponsePlan {
	if x.asked && h.Status == http.StatusBadRequest {
		if h.Body == nil {
			return ResponsePlan{Peek: true}
		}
		if dialect.RefusesUsage(h.Body) {
			return ResponsePlan{Retry: true}
		}
	}
	x.status = h.Status
	x.Record.Status = h.Status
	x.Record.FirstByte = x.engine.deps.Now().Sub(x.Record.Time)
	contentType := h.Header.Get("Content-Type")
	out := ResponsePlan{Header: x.clientHeader(h)}
	if !x.worthReading(h.Status, contentType) {
		return out
	}
	out.Watch = true
	x.reply = dialect.NewReply(x.call.Dialect, contentType, x.asked)
	stream := strings.Contains(strings.ToLower(contentType), "text/event-stream")
	out.Hold = !stream
	if stream && x.asked {
		out.DropLength = true
		out.Header.Del("Content-Length")
	}
	return out
}

// worthReading reports whether an answer's body may hold usage: a 2xx answer
// to an AI call, or JSON on a route with token limits (Kuadrant reads
// /usage/total_tokens from any of those).
func (x *Exchange) worthReading(status int, contentType string) bool {
	if status < 200 || status > 299 || status == http.StatusNoContent {
		return false
	}
	if x.ai {
		return true
	}
	t := strings.ToLower(contentType)
	return x.metered() && (strings.Contains(t, "json") || strings.Contains(t, "text/event-stream"))
}

// Chunk takes the next bytes of a watched body and returns those to pass on.
// The limits are settled before the last bytes are returned.
func (x *Exchange) Chunk(ctx context.Context, b []byte, last bool) []byte {
	out := x.reply.Next(b, last)
	if last || x.reply.Done() {
		x.settle(ctx)
	}
	return out
}

// BreakOff returns what to append for a client whose stream the upstream broke
// off: an error event in the client's dialect, or nothing.
func (x *Exchange) BreakOff(reason string) []byte {
	if !x.ai || !x.Record.Stream || x.reply == nil {
		return nil
	}
	return x.reply.Cut("upstream_error", reason)
}

// Unfinished reports whether a stream of an AI call has passed without saying
// how it ends. A body asks where the framing cannot tell an end from a break.
func (x *Exchange) Unfinished() bool {
	return x.ai && x.Record.Stream && x.reply != nil && !x.reply.Done()
}

// End closes the exchange, settles what is open and hands out the Record. sent
// counts the body bytes that the client got. It may be called once.
func (x *Exchange) End(ctx context.Context, outcome Outcome, sent int64) *Record {
	if x.finished {
		return &x.Record
	}
	x.finished = true
	x.settle(ctx)
	r := &x.Record
	r.Outcome, r.Sent = outcome, sent
	if x.Refusal != nil {
		r.Status, r.Code, r.Reason = x.Refusal.Status, x.Refusal.Code, x.Refusal.Reason
		if outcome == Done {
			r.Outcome = Refused
		}
	}
	r.Duration = x.engine.deps.Now().Sub(r.Time)
	if x.engine.deps.Record != nil {
		x.engine.deps.Record(r)
	}
	return r
}

func (x *Exchange) refuse(r *Refusal) Step {
	x.Refusal = r
	return Refuse
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
