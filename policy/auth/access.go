package auth

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/egret-gateway/egret/plan"
	"github.com/egret-gateway/egret/policy/ident"
	"github.com/egret-gateway/egret/policy/rule"
)

// access is a compiled SubjectAccessReview. Values are nil when not given.
type access struct {
	user, authorizationGroups                           *rule.Value
	group, resource, subresource, namespace, name, verb *rule.Value
	groups                                              []string
	resourceAttributes                                  bool
}

func newAccess(p *Pipeline, a *plan.AccessReview) (*access, error) {
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
		v, err := p.value(*f.in)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", f.name, err)
		}
		*f.out = v
	}
	return out, nil
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

// fill computes the question for one request. User, resource, namespace, name
// and verb must not come out empty when the policy names them: an empty name
// would ask about all of them.
func (a *access) fill(in *rule.Input) (q ident.Access, err error) {
	text := func(part string, v *rule.Value) string {
		if v == nil || err != nil {
			return ""
		}
		got, why := v.Text(in)
		if why != nil {
			err = fmt.Errorf("%s: %w", part, why)
		}
		return got
	}
	must := func(part string, v *rule.Value) string {
		got := text(part, v)
		if v != nil && err == nil && got == "" {
			err = fmt.Errorf("%s: it is empty", part)
		}
		return got
	}
	q.User = must("user", a.user)
	if a.resourceAttributes {
		q.Group, q.Resource, q.Subresource = text("group", a.group), must("resource", a.resource), text("subresource", a.subresource)
		q.Namespace, q.Name, q.Verb = must("namespace", a.namespace), must("name", a.name), must("verb", a.verb)
	} else {
		q.Path, q.Verb = pathOf(in), verbOf(in)
	}
	q.Groups = a.groups
	if a.authorizationGroups != nil && err == nil {
		q.Groups, err = a.computedGroups(in)
	}
	return q, err
}

// pathOf is the request's path without its query, as a non-resource URL.
func pathOf(in *rule.Input) string {
	path, _, _ := strings.Cut(in.Request.Path, "?")
	return path
}

// verbOf is the request's method as an access review knows it.
func verbOf(in *rule.Input) string { return strings.ToLower(in.Request.Method) }

// computedGroups are the groups that the policy takes from the identity.
func (a *access) computedGroups(in *rule.Input) ([]string, error) {
	v, err := a.authorizationGroups.Eval(in)
	if err != nil {
		return nil, fmt.Errorf("authorizationGroups: %w", err)
	}
	switch v := v.(type) {
	case nil:
		return nil, nil
	case string:
		return []string{v}, nil
	case []any:
		groups := make([]string, 0, len(v))
		for _, g := range v {
			s, ok := g.(string)
			if !ok {
				return nil, errors.New("authorizationGroups: a group is not a string")
			}
			groups = append(groups, s)
		}
		return groups, nil
	}
	return nil, errors.New("authorizationGroups: not a list of strings")
}
