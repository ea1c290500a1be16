package auth

import (
	"context"
	"errors"
	"fmt"

	"github.com/egret-gateway/egret/plan"
	"github.com/egret-gateway/egret/policy/ident/cache"
	"github.com/egret-gateway/egret/policy/rule"
)

// authorization is one compiled check.
type authorization struct {
	step
	patterns *rule.Patterns
	access   *access
}

// refused is the error of a check that was made and came out negative.
type refused struct {
	public string // what the caller is told
	why    string // for the log
}

func (r *refused) Error() string { return r.why }

func newAuthorization(p *Pipeline, a *plan.Authorization) (*authorization, error) {
	s, err := newStep(p, "authorization", &a.Step, a)
	if err != nil {
		return nil, err
	}
	out := &authorization{step: s}
	switch {
	case a.Access != nil:
		if p.deps.Authorizer == nil {
			return nil, s.wrap("kubernetesSubjectAccessReview", errors.New("nobody here can review access"))
		}
		if out.access, err = newAccess(p, a.Access); err != nil {
			return nil, s.wrap("kubernetesSubjectAccessReview", err)
		}
	case len(a.Patterns) > 0:
		if out.patterns, err = p.patterns(a.Patterns); err != nil {
			return nil, s.wrap("patternMatching", err)
		}
	default:
		return nil, fmt.Errorf("%s: it names no check: set patternMatching or kubernetesSubjectAccessReview", a.Name)
	}
	return out, nil
}

// authorize runs all checks; the first that does not pass denies.
func (p *Pipeline) authorize(ctx context.Context, in *rule.Input) *Denied {
	for _, a := range p.authorization {
		ok, err := a.guards(in)
		if err == nil && !ok {
			continue
		}
		var object any
		if err == nil {
			object, err = p.result(ctx, &a.step, a, in)
		}
		if err != nil {
			return p.deny(in, a, err)
		}
		in.Authorization = with(in.Authorization, a.name, object)
	}
	return nil
}

// deny answers a check that did not pass. One that cannot be evaluated, its
// conditions included, counts as one that said no (acceptance maas 91); one
// that nobody could answer is not the caller's fault.
func (p *Pipeline) deny(in *rule.Input, a *authorization, err error) *Denied {
	var no *refused
	var away *unreachable
	switch {
	case errors.As(err, &no):
		return p.denyUnauthorized(in, a.name, no.public, no.why)
	case errors.As(err, &away), errors.Is(err, cache.ErrLeft):
		return unavailable(a.name, err)
	}
	return p.denyUnauthorized(in, a.name, a.public(reasonUnknown), err.Error())
}

// public words a refusal for the caller.
func (a *authorization) public(reason string) string {
	if a.access == nil {
		return reasonPattern
	}
	return "not authorized: " + reason
}

// size implements evaluator: a verdict is small.
func (a *authorization) size(any) int { return 256 }

// eval implements evaluator.
func (a *authorization) eval(ctx context.Context, p *Pipeline, in *rule.Input) (any, error) {
	if a.access != nil {
		return p.review(ctx, in, a)
	}
	ok, err := a.patterns.Hold(in)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, &refused{public: reasonPattern, why: "a pattern does not match"}
	}
	return true, nil
}
