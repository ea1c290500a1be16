package engine

import (
	"context"
	"net/http"
	"net/url"
	"strings"

	"github.com/egret-gateway/egret/dialect"
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
	spoken  dialect.Dialect // that the path, as it came or as it goes on, and the method suggest
	input   rule.Input
	auth    auth.Result

	body   []byte // as read; nil when it streams
	read   bool   // Body was called
	kept   int64  // bytes of room that the body takes
	call   dialect.Call
	ai     bool // an AI call: call is set
	asked  bool // the request sent upstream asks for usage on the client's behalf
	target *target
	model  *model // that the body names, where the rule knows it
	payer  *payer // whose credential the last try bore; nil = none
	turned string // the policy that has refused, as an object; "" = none

	ticket  quota.Ticket
	states  []limitState
	settled bool

	reply    *dialect.Reply // of an answer that is read
	finished bool
}

// Begin starts an exchange: it finds the route and asks its AuthPolicy. The
// exchange must be ended with End whatever the step.
func (e *Engine) Begin(ctx context.Context, h Head) (*Exchange, Step) {
	x := e.exchange(h)
	x.Record.ID, x.Record.Trace = trace(h.Header, e.deps.NewID)
	if refusal := x.locate(); refusal != nil {
		return x, x.refuse(refusal)
	}
	return x, x.admit(ctx)
}

// exchange is one that has just arrived.
func (e *Engine) exchange(h Head) *Exchange {
	x := &Exchange{engine: e, program: e.program.Load(), head: h, header: h.Header}
	x.path, x.query, _ = strings.Cut(h.Path, "?")
	x.spoken = suggested(h.Method, x.path)
	x.Record = Record{
		Time: e.deps.Now(), Inner: h.Inner, Gateway: h.Gateway,
		Remote: h.Remote, Method: h.Method, Host: h.Host, Path: x.path,
	}
	return x
}

// locate finds the entry that serves the request.
func (x *Exchange) locate() *Refusal {
	if refusal := checkHead(&x.head, x.path); refusal != nil {
		return refusal
	}
	if refusal := x.looped(); refusal != nil {
		return refusal
	}
	x.distrust()
	x.entry = x.program.find(&x.head, &lookup{method: x.head.Method, path: x.path, header: x.header, raw: x.query})
	if x.entry == nil && x.head.Digest != "" {
		return plain(http.StatusServiceUnavailable, "stale_route", "the router knows entry "+x.head.Entry+" as "+x.head.Digest+", which no plan here does")
	}
	if x.entry == nil {
		return plain(http.StatusNotFound, "no_route", "no route of gateway "+x.head.Gateway+" matches "+x.head.Method+" "+x.head.Host+x.path)
	}
	x.Record.Listener, x.Record.Route, x.Record.Rule = x.entry.listener, x.entry.rule.Route, x.entry.rule.Name
	if rw := x.entry.rule.Rewrite; rw != nil && rw.Path != nil && x.spoken == dialect.None {
		// A path of the platform's own may stand for an AI call.
		x.spoken = suggested(x.head.Method, rewritePath(x.path, rw.Path))
	}
	return nil
}

// admit asks who is calling and whether they may, unless that takes the body
// to tell.
func (x *Exchange) admit(ctx context.Context) Step {
	p := x.entry.policy
	if p != nil {
		if f := p.plan.Fault; f != nil {
			return x.refuse(plain(f.Status, "policy_fault", f.Reason))
		}
		x.claim(p)
		if p.auth != nil && p.auth.NeedsBody() {
			return x.askBody()
		}
		if refusal := x.authenticate(ctx, p); refusal != nil {
			return x.refuse(refusal)
		}
	}
	if refusal := x.ownAnswer(); refusal != nil {
		return x.refuse(refusal)
	}
	if x.wantsBody(p) {
		return x.askBody()
	}
	return x.meter(ctx)
}

// ownAnswer is what a rule answers that forwards nothing, nil for the others.
func (x *Exchange) ownAnswer() *Refusal {
	if r := x.entry.rule.Redirect; r != nil {
		return redirect(r, &x.head, x.path, x.query)
	}
	if f := x.entry.rule.Fault; f != nil {
		return plain(f.Status, "route_fault", f.Reason)
	}
	return nil
}

func (x *Exchange) askBody() Step {
	if x.head.Length > x.BodyLimit() {
		return x.refuse(x.TooLarge())
	}
	return NeedBody
}

// wantsBody reports whether the body must be read before the request goes on:
// for an AI call, or because an expression asks for it. A call that one of our
// own gateways has read already is not read again without a policy.
func (x *Exchange) wantsBody(p *policy) bool {
	if x.entry.needBody || x.entry.models != nil && (x.spoken != dialect.None || x.inference()) {
		return true
	}
	if p == nil {
		return !x.head.Inner && x.spoken != dialect.None
	}
	return p.needBody || x.spoken != dialect.None
}

// suggested is the AI dialect that a request's path and method suggest, however
// the path is escaped: a server will decode it, and a call must not escape its
// metering that way. Parameters of the last segment are not part of its name.
func suggested(method, path string) dialect.Dialect {
	if method != http.MethodPost {
		return dialect.None
	}
	if strings.IndexByte(path, '%') >= 0 {
		if plain, err := url.PathUnescape(path); err == nil {
			path = plain
		}
	}
	if at := strings.LastIndexByte(path, '/'); at >= 0 {
		if cut := strings.IndexByte(path[at:], ';'); cut >= 0 {
			path = path[:at+cut]
		}
	}
	return dialect.OfPath(path)
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
	if p := x.entry.policy; p != nil && p.auth != nil && p.auth.NeedsBody() {
		if refusal := x.authenticate(ctx, p); refusal != nil {
			return x.refuse(refusal)
		}
		if refusal := x.ownAnswer(); refusal != nil {
			return x.refuse(refusal)
		}
	}
	if x.spoken != dialect.None {
		call, err := dialect.Read(x.spoken, b)
		switch {
		case err == nil:
			// A JSON object that is no call of a dialect is somebody else's
			// endpoint under a like name.
			x.call, x.ai = call, call.Dialect != dialect.None
			x.Record.Dialect, x.Record.Asked, x.Record.Stream = call.Dialect, call.Model, call.Stream
		case len(b) == 0 && x.inference(): // said below
		case x.judged() || jsonType(x.header) || x.inference():
			// What cannot be read cannot be metered, and two readers may
			// disagree about it: refused rather than passed.
			return x.refuse(x.shape(http.StatusBadRequest, "bad_body", err.Error()))
		}
	}
	if refusal := x.byModel(); refusal != nil {
		return x.refuse(refusal)
	}
	return x.meter(ctx)
}

// metered reports whether the route has token limits.
func (x *Exchange) metered() bool { return x.entry.policy != nil && x.entry.policy.metered }

// judged reports whether a policy decides by what the body says.
func (x *Exchange) judged() bool {
	return x.entry.policy != nil && (x.entry.policy.metered || x.entry.policy.needBody)
}

func jsonType(h http.Header) bool {
	t := h.Get("Content-Type")
	return t == "" || strings.Contains(strings.ToLower(t), "json")
}

// prepare fills in what expressions see of the request.
func (x *Exchange) prepare() {
	x.input.Request = rule.Request{
		ID: x.Record.ID, Method: x.head.Method, Scheme: x.head.Scheme, Host: x.head.Host, Named: x.entry.named, Path: x.head.Path,
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
		x.know(m)
	}
	if d := x.auth.Denied; d != nil {
		x.turned = "AuthPolicy " + p.plan.Auth.Source
		return denied(d)
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

// know notes who is calling, as filter "identity" has it.
func (x *Exchange) know(identity map[string]any) {
	if id, ok := identity["userid"].(string); ok && id != "" {
		x.Record.User = id
	}
	x.Record.Tier, _ = identity["tier"].(string)
}

// denied is the refusal of an AuthPolicy. A body without a type would be given
// one by whoever writes it, and not by all the same.
func denied(d *auth.Denied) *Refusal {
	r := &Refusal{Status: d.Status, Header: d.Header, Body: d.Body, Code: denialCode(d.Status), Reason: d.Reason}
	if len(r.Body) > 0 && r.Header.Get("Content-Type") == "" {
		if r.Header == nil {
			r.Header = http.Header{}
		}
		r.Header.Set("Content-Type", "text/plain; charset=utf-8")
	}
	return r
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

func (x *Exchange) refuse(r *Refusal) Step {
	x.Refusal = r
	return Refuse
}
