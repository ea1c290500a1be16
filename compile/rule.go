package compile

import (
	"fmt"
	"slices"
	"time"

	gwv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/egret-gateway/egret/plan"
)

// rule is one rule of a route.
type rule struct {
	plan    plan.Rule
	matches []ruleMatch
	problem *problem   // of matches, filters or time-outs: Accepted or PartiallyInvalid
	refs    []*problem // of backendRefs: ResolvedRefs
	models  string     // ConfigMap of the route's namespace that lists models; "" = none
	refused bool       // the whole rule answers 500
	placed  bool       // an entry of the plan uses it
}

// ruleMatch is a match that works, with its number in the rule.
type ruleMatch struct {
	plan.Match
	index int
}

// defaultTimeouts are those of a rule that names none.
var defaultTimeouts = plan.Timeouts{Request: plan.DefaultRequestTimeout, Idle: plan.DefaultIdleTimeout}

func (c *compiler) compileRule(r *route, i int) *rule {
	spec := &r.object.Spec.Rules[i]
	u := &rule{plan: plan.Rule{
		Name:     fmt.Sprintf("%s/%d", r.name, i),
		Route:    r.name.String(),
		Label:    string(deref(spec.Name, "")),
		Timeouts: defaultTimeouts,
	}}
	u.compileMatches(spec)
	if p := u.compileFilters(spec); p != nil {
		u.refuse(p)
	}
	if p := u.compileTimeouts(spec.Timeouts); p != nil {
		u.refuse(p)
	}
	if u.plan.Redirect == nil {
		c.compileModels(r, u, spec)
		c.compileTargets(r, u, spec)
	} else if u.models != "" {
		u.refuse(problemf(string(gwv1.RouteReasonIncompatibleFilters), "RequestRedirect and a list of models exclude each other; keep one"))
	} else if len(spec.BackendRefs) > 0 {
		u.refuse(problemf(string(gwv1.RouteReasonUnsupportedValue), "RequestRedirect and backendRefs exclude each other; keep one"))
	}
	return u
}

// refuse makes the rule answer 500: its requests must not be served as if a
// part of it were not there.
func (u *rule) refuse(p *problem) {
	u.refused = true
	u.complain(p)
	u.plan = plan.Rule{
		Name: u.plan.Name, Route: u.plan.Route, Label: u.plan.Label, Timeouts: defaultTimeouts,
		Fault: &plan.Fault{Status: 500, Reason: p.message},
	}
}

// complain adds p to what is wrong with the rule. The first reason counts.
func (u *rule) complain(p *problem) {
	if u.problem != nil {
		p = &problem{u.problem.reason, u.problem.message + "; " + p.message}
	}
	u.problem = p
}

// compileMatches translates the matches. One that cannot be is dropped: there
// is no telling which requests it stands for.
func (u *rule) compileMatches(spec *gwv1.HTTPRouteRule) {
	if len(spec.Matches) == 0 {
		u.matches = []ruleMatch{{everything, 0}}
	}
	for j := range spec.Matches {
		m, err := match(&spec.Matches[j])
		if err != nil {
			u.complain(problemf(string(gwv1.RouteReasonUnsupportedValue), "match %d: %v", j, err))
			continue
		}
		u.matches = append(u.matches, ruleMatch{m, j})
	}
}

func (u *rule) compileFilters(spec *gwv1.HTTPRouteRule) *problem {
	matches := make([]plan.Match, len(u.matches))
	for i := range u.matches {
		matches[i] = u.matches[i].Match
	}
	f, p := ruleFilters(spec.Filters, matches)
	if p != nil {
		return p
	}
	u.plan.Request, u.plan.Response = f.request, f.response
	u.plan.Rewrite, u.plan.Redirect, u.models = f.rewrite, f.redirect, f.models
	return nil
}

// compileTimeouts translates time-outs: 0s is no limit, and a request time-out
// that is written down decides alone (acceptance gateway 79).
func (u *rule) compileTimeouts(t *gwv1.HTTPRouteTimeouts) *problem {
	if t == nil {
		return nil
	}
	out := &u.plan.Timeouts
	var err error
	if t.Request != nil {
		if out.Request, err = timeout(*t.Request); err != nil {
			return problemf(string(gwv1.RouteReasonUnsupportedValue), "timeouts.request: %v", err)
		}
		out.Explicit = true
	}
	if t.BackendRequest != nil {
		if out.Backend, err = timeout(*t.BackendRequest); err != nil {
			return problemf(string(gwv1.RouteReasonUnsupportedValue), "timeouts.backendRequest: %v", err)
		}
	}
	if out.Explicit && out.Request > 0 && out.Backend > out.Request {
		return problemf(string(gwv1.RouteReasonUnsupportedValue), "timeouts.backendRequest is longer than timeouts.request")
	}
	return nil
}

func timeout(d gwv1.Duration) (time.Duration, error) {
	out, err := time.ParseDuration(string(d))
	switch {
	case err != nil:
		return 0, fmt.Errorf("%q is no duration; write for example 30s or 5m", d)
	case out < 0:
		return 0, fmt.Errorf("%q is negative; 0s means no limit", d)
	case out == 0:
		return plan.NoLimit, nil
	}
	return out, nil
}

// compileTargets resolves the backendRefs. One that fails keeps its share of
// the weight and answers 500 for it (acceptance gateway 23); a rule without
// any weight that works answers 500 (24).
func (c *compiler) compileTargets(r *route, u *rule, spec *gwv1.HTTPRouteRule) {
	sound := slices.ContainsFunc(u.plan.Models.Chosen(), func(t *plan.Target) bool { return t.Fault == nil })
	var targets []plan.Target
	for i := range spec.BackendRefs {
		if t := c.compileTarget(r, u, i, &spec.BackendRefs[i]); t.Weight > 0 {
			targets = append(targets, t)
			sound = sound || t.Fault == nil
		}
	}
	switch {
	case u.refused:
	case sound:
		u.plan.Targets = targets
	case len(targets) > 0:
		u.plan.Fault = targets[0].Fault
		u.refused = u.problem != nil
	default:
		u.plan.Fault = &plan.Fault{Status: 500, Reason: "no backendRef has a weight above 0"}
	}
}

func (c *compiler) compileTarget(r *route, u *rule, i int, ref *gwv1.HTTPBackendRef) plan.Target {
	t := plan.Target{Weight: deref(ref.Weight, 1)}
	backend, p := c.resolve(routeRef(r.ns), &ref.BackendRef)
	if p != nil {
		u.refs = append(u.refs, p)
	}
	f, err := refFilters(ref.Filters)
	if err != nil {
		p = problemf(string(gwv1.RouteReasonUnsupportedValue), "backendRef %d: %v", i, err)
		u.complain(p)
	}
	if p != nil {
		t.Fault = &plan.Fault{Status: 500, Reason: p.message}
		return t
	}
	t.Backend, t.Request, t.Response = backend, f.request, f.response
	return t
}
