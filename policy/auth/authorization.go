package auth

import (
	"context"
	"errors"
	"fmt"

	"github.com/egret-gateway/egret/plan"
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

// authorize runs all checks; the first that does not pass denies. A check that
// cannot be evaluated, its conditions included, does not pass (acceptance maas
// 91); one whose authorizer is out of reach answers 500.
func (p *Pipeline) authorize(ctx context.Context, in *rule.Input) *Denied {
	for _, a := range p.authorization {
		ok, err := a.holds(in)
		if err == nil && !ok {
			continue
		}
		var object any
		if err == nil {
			object, err = p.cached(ctx, &a.step, in, func(ctx context.Context) (any, error) { return p.check(ctx, in, a) }, small)
		}
		var no *refused
		var away *unreachable
		switch {
		case err == nil:
			in.Authorization = with(in.Authorization, a.name, object)
		case errors.As(err, &no):
			return p.denyUnauthorized(in, a.name, no.public, no.why)
		case errors.As(err, &away):
			return unavailable(a.name, err)
		default:
			return p.denyUnauthorized(in, a.name, a.public(reasonUnknown), err.Error())
		}
	}
	return nil
}

// public words a refusal for the caller.
func (a *authorization) public(reason string) string {
	if a.access == nil {
		return reasonPattern
	}
	return "not authorized: " + reason
}

func (p *Pipeline) check(ctx context.Context, in *rule.Input, a *authorization) (any, error) {
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
