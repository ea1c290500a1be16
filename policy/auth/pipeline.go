package auth

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/egret-gateway/egret/plan"
	"github.com/egret-gateway/egret/policy/ident"
	"github.com/egret-gateway/egret/policy/rule"
)

// Deps are what a Pipeline works with. Only what the policy's rules need must
// be set; New says what is missing.
type Deps struct {
	Reviewer   ident.Reviewer    // kubernetesTokenReview
	Authorizer ident.Authorizer  // kubernetesSubjectAccessReview
	Revoked    ident.Revoked     // nil = nothing is ever revoked
	HTTP       http.RoundTripper // metadata and JWKS; redirects are never followed
	Secrets    func(name string) *plan.Secret
	Caches     *Caches          // shared by all pipelines, so that a reload keeps them; nil = its own
	Now        func() time.Time // nil = time.Now
	Log        *slog.Logger     // nil = silent
	Observe    func(Event)      // nil = nobody looks; must not block
}

// Event is something a Pipeline did, for metrics.
type Event struct {
	Phase string // "authentication", "metadata", "authorization", "headers" or "filters"
	Rule  string
	Kind  EventKind
	Took  time.Duration // of a Call
	Err   error         // of a Call or an Omission
}

// EventKind says what happened.
type EventKind string

// Kinds of events.
const (
	Hit      EventKind = "hit"      // answered from memory
	Call     EventKind = "call"     // somebody was asked
	Omission EventKind = "omission" // a metadata or response item was left out
)

// Pipeline is one compiled AuthPolicy. It is immutable and safe for concurrent
// use.
type Pipeline struct {
	deps   Deps
	source string
	when   []*rule.Program

	authentication []*authentication
	metadata       []*metadata
	authorization  []*authorization
	headers        []*success
	filters        []*success

	challenge       []string // WWW-Authenticate, one per rule that takes a credential
	unauthenticated *denial
	unauthorized    *denial

	needsBody bool // while New runs; fixed afterwards
}

// New compiles a. The error names the rule that cannot work and why.
func New(a *plan.Auth, d Deps) (*Pipeline, error) {
	d.defaults()
	p := &Pipeline{deps: d, source: a.Source}
	for _, expr := range a.When {
		w, err := rule.CompilePredicate(expr)
		if err != nil {
			return nil, fmt.Errorf("policy %s: when: %w", a.Source, err)
		}
		p.needsBody = p.needsBody || w.NeedsRequestBody()
		p.when = append(p.when, w)
	}
	var err error
	if p.authentication, err = compileEach(p, "authentication", a.Authentication, newAuthentication); err != nil {
		return nil, err
	}
	if p.metadata, err = compileEach(p, "metadata", a.Metadata, newMetadata); err != nil {
		return nil, err
	}
	if p.authorization, err = compileEach(p, "authorization", a.Authorization, newAuthorization); err != nil {
		return nil, err
	}
	if p.headers, err = compileEach(p, "headers", a.Headers, newHeader); err != nil {
		return nil, err
	}
	if p.filters, err = compileEach(p, "filters", a.Filters, newSuccess); err != nil {
		return nil, err
	}
	if p.unauthenticated, err = newDenial(p, a.Unauthenticated); err != nil {
		return nil, fmt.Errorf("policy %s: unauthenticated: %w", a.Source, err)
	}
	if p.unauthorized, err = newDenial(p, a.Unauthorized); err != nil {
		return nil, fmt.Errorf("policy %s: unauthorized: %w", a.Source, err)
	}
	p.challenge = challenges(a.Authentication)
	return p, nil
}

// NeedsBody reports whether a rule reads the request's body, so that Check
// must wait for Input.RequestBody.
func (p *Pipeline) NeedsBody() bool { return p.needsBody }

// value compiles a value of the policy.
func (p *Pipeline) value(v plan.Value) (*rule.Value, error) {
	out, err := rule.NewValue(v)
	if err == nil {
		p.needsBody = p.needsBody || out.NeedsRequestBody()
	}
	return out, err
}

// patterns compiles patterns of the policy.
func (p *Pipeline) patterns(list []plan.Pattern) (*rule.Patterns, error) {
	out, err := rule.NewPatterns(list)
	if err == nil {
		p.needsBody = p.needsBody || out.NeedsRequestBody()
	}
	return out, err
}

// property is a named, compiled value.
type property struct {
	name  string
	value *rule.Value
}

// properties compiles named values of the policy.
func (p *Pipeline) properties(in []plan.Property) ([]property, error) {
	out := make([]property, 0, len(in))
	for _, q := range in {
		v, err := p.value(q.Value)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", q.Name, err)
		}
		out = append(out, property{q.Name, v})
	}
	return out, nil
}

func (d *Deps) defaults() {
	if d.Now == nil {
		d.Now = time.Now
	}
	if d.Log == nil {
		d.Log = slog.New(slog.DiscardHandler)
	}
	if d.Observe == nil {
		d.Observe = func(Event) {}
	}
	if d.Secrets == nil {
		d.Secrets = func(string) *plan.Secret { return nil }
	}
	if d.Caches == nil {
		d.Caches = NewCaches()
	}
}

// compileEach compiles the rules of one phase.
func compileEach[In, Out any](p *Pipeline, phase string, in []In, compile func(*Pipeline, *In) (Out, error)) ([]Out, error) {
	out := make([]Out, 0, len(in))
	for i := range in {
		o, err := compile(p, &in[i])
		if err != nil {
			return nil, fmt.Errorf("policy %s: %s rule %w", p.source, phase, err)
		}
		out = append(out, o)
	}
	return out, nil
}

// Check runs the policy over in and fills in its Identity, Metadata,
// Authorization and Response while it does. It leaves in.Identity as the
// rules saw it; what limits see is Result.Filters["identity"].
func (p *Pipeline) Check(ctx context.Context, in *rule.Input) Result {
	if !p.applies(in) {
		return Result{Passed: true}
	}
	wait := &patience{Context: ctx, began: time.Now()} // a deadline is real time
	defer wait.end()
	ctx = wait
	var r Result
	if r.Denied = p.authenticate(ctx, in, &r); r.Denied != nil {
		return r
	}
	p.learn(ctx, in)
	if r.Denied = p.authorize(ctx, in); r.Denied != nil {
		return r
	}
	r.Denied = p.respond(ctx, in, &r)
	return r
}

// applies reports whether the policy's own conditions hold, with the path's
// query or without: a query must not switch a policy off.
func (p *Pipeline) applies(in *rule.Input) bool {
	if p.conditions(in) {
		return true
	}
	bare := in.Bare()
	return bare != nil && p.conditions(bare)
}

// conditions reports whether all conditions hold. One that cannot be evaluated
// does not switch authentication off.
func (p *Pipeline) conditions(in *rule.Input) bool {
	for _, w := range p.when {
		if ok, err := w.True(in); err == nil && !ok {
			return false
		}
	}
	return true
}
