package auth

import (
	"context"
	"errors"
	"fmt"

	"github.com/egret-gateway/egret/plan"
	"github.com/egret-gateway/egret/policy/ident"
	"github.com/egret-gateway/egret/policy/rule"
)

// authorization is one compiled check.
type authorization struct {
	step
	patterns *rule.Patterns
	access   *access
}

// access is a compiled SubjectAccessReview. Values are nil when not given.
type access struct {
	user, authorizationGroups                           *rule.Value
	group, resource, subresource, namespace, name, verb *rule.Value
	groups                                              []string
	resourceAttributes                                  bool
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
		if out.access, err = newAccess(a.Access); err != nil {
			return nil, s.wrap("kubernetesSubjectAccessReview", err)
		}
	case len(a.Patterns) > 0:
		if out.patterns, err = rule.NewPatterns(a.Patterns); err != nil {
			return nil, s.wrap("patternMatching", err)
		}
	default:
		return nil, fmt.Errorf("%s: it names no check: set patternMatching or kubernetesSubjectAccessReview", a.Name)
	}
	return out, nil
}

func newAccess(a *plan.AccessReview) (*access, error) {
	out := &access{groups: a.Groups, resourceAttributes: a.ResourceAttributes}
	for _, f := range []struct {
		name string
		in   *plan.Value
		out  **rule.Value
	}{
		{"user", a.User, &out.user},
		{"authorizationGroups", a.AuthorizationGroups, &out.authorizationGroups},
		{"group", a.Group, &out.group},
		{"resource", a.Resource, &out.resource},
		{"subresource", a.Subresource, &out.subresource},
		{"namespace", a.Namespace, &out.namespace},
		{"name", a.Name, &out.name},
		{"verb", a.Verb, &out.verb},
	} {
		if f.in == nil {
			continue
		}
		v, err := rule.NewValue(*f.in)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", f.name, err)
		}
		*f.out = v
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

// unreachable is the error of a check that nobody could answer.
type unreachable struct{ err error }

func (u *unreachable) Error() string { return "access review is out of reach: " + u.err.Error() }
func (u *unreachable) Unwrap() error { return u.err }

func (p *Pipeline) review(ctx context.Context, in *rule.Input, a *authorization) (any, error) {
	question, err := a.access.fill(in)
	if err != nil {
		return nil, err
	}
	type answer struct {
		allowed bool
		reason  string
	}
	got, err := call(ctx, p, &a.step, func(ctx context.Context) (answer, error) {
		allowed, reason, err := p.deps.Authorizer.Access(ctx, question)
		return answer{allowed, reason}, err
	})
	if err != nil {
		return nil, &unreachable{err}
	}
	if !got.allowed {
		reason := got.reason
		if reason == "" {
			reason = reasonUnknown
		}
		return nil, &refused{public: a.public(reason), why: "access denied: " + reason}
	}
	return map[string]any{"allowed": true, "reason": got.reason}, nil
}

// fill computes the question for one request. A part that the policy names and
// that comes out empty is an error: an empty name or namespace would ask about
// all of them.
func (a *access) fill(in *rule.Input) (q ident.Access, err error) {
	part := func(name string, v *rule.Value) (text string) {
		if v == nil || err != nil {
			return ""
		}
		if text, err = v.Text(in); err == nil && text == "" {
			err = errors.New("it is empty")
		}
		if err != nil {
			err = fmt.Errorf("%s: %w", name, err)
		}
		return text
	}
	q.User = part("user", a.user)
	if a.resourceAttributes {
		q.Group, q.Resource, q.Subresource = part("group", a.group), part("resource", a.resource), part("subresource", a.subresource)
		q.Namespace, q.Name, q.Verb = part("namespace", a.namespace), part("name", a.name), part("verb", a.verb)
	} else {
		q.Path, q.Verb = pathOf(in), verbOf(in)
	}
	q.Groups = a.groups
	if a.authorizationGroups != nil && err == nil {
		q.Groups, err = a.computedGroups(in)
	}
	return q, err
}
