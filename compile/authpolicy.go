package compile

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"golang.org/x/net/http/httpguts"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"

	kuadrantv1 "github.com/egret-gateway/egret/api/kuadrant/v1"
	"github.com/egret-gateway/egret/plan"
)

// authRule is one named rule of an AuthPolicy: exactly one part is set.
type authRule struct {
	authentication *plan.Authentication
	metadata       *plan.Metadata
	authorization  *plan.Authorization
	header, filter *plan.Success
	unauthed       *plan.Denial // response.unauthenticated
	unauthorized   *plan.Denial
	fault          *problem

	when []string // of the policy it is from
}

func (c *compiler) authPolicies() *policies[authRule] {
	return setOf(c, kuadrantv1.KindAuthPolicy, c.snapshot.AuthPolicies,
		func(o *kuadrantv1.AuthPolicy) *gwv1.LocalPolicyTargetReferenceWithSectionName {
			return &o.Spec.TargetRef
		},
		func(p *policy[authRule], o *kuadrantv1.AuthPolicy) {
			set, strategy := o.Spec.AuthRuleSet, kuadrantv1.StrategyAtomic
			where, invalid := p.choose(set.Rules != nil, o.Spec.Defaults != nil, o.Spec.Overrides != nil)
			switch where {
			case defaults:
				set, strategy = o.Spec.Defaults.AuthRuleSet, o.Spec.Defaults.Strategy
			case overrides:
				set, strategy = o.Spec.Overrides.AuthRuleSet, o.Spec.Overrides.Strategy
			}
			p.overrides, p.merge = where == overrides, strategy == kuadrantv1.StrategyMerge
			if invalid == nil && set.Rules == nil {
				invalid = problemf(reasonInvalid, "AuthPolicy has no rules; write some or remove it")
			}
			t := &authTranslation{compiler: c, policy: p, set: &set}
			if p.rules = map[string]authRule{}; invalid != nil {
				t.put("invalid", authRule{}, invalid)
				return
			}
			t.translate()
		})
}

// authTranslation turns the rule set of one AuthPolicy into named rules.
type authTranslation struct {
	*compiler
	policy *policy[authRule]
	set    *kuadrantv1.AuthRuleSet
	when   []string
}

func (t *authTranslation) translate() {
	for _, w := range t.set.When {
		if err := t.check.predicate(w.Predicate); err != nil {
			t.put("when", authRule{}, problemf(reasonInvalidCEL, "%v", err))
		}
		t.when = append(t.when, w.Predicate)
	}
	rules := t.set.Rules
	for _, n := range slices.Sorted(maps.Keys(rules.Authentication)) {
		spec := rules.Authentication[n]
		a, p := t.authentication(n, &spec)
		t.put("authentication/"+n, authRule{authentication: a}, p)
	}
	for _, n := range slices.Sorted(maps.Keys(rules.Metadata)) {
		spec := rules.Metadata[n]
		if kind := unsupportedMetadata(&spec); kind != "" {
			t.leave("metadata/"+n, kind)
			continue
		}
		m, p := t.metadata(n, &spec)
		t.put("metadata/"+n, authRule{metadata: m}, p)
	}
	for _, n := range slices.Sorted(maps.Keys(rules.Authorization)) {
		spec := rules.Authorization[n]
		a, p := t.authorization(n, &spec)
		t.put("authorization/"+n, authRule{authorization: a}, p)
	}
	if rules.Response != nil {
		t.response(rules.Response)
	}
	for _, n := range slices.Sorted(maps.Keys(rules.Callbacks)) {
		t.leave("callbacks/"+n, "")
	}
}

func (t *authTranslation) response(r *kuadrantv1.Response) {
	if r.Unauthenticated != nil {
		d, p := t.denial(r.Unauthenticated)
		t.put("response/unauthenticated", authRule{unauthed: d}, p)
	}
	if r.Unauthorized != nil {
		d, p := t.denial(r.Unauthorized)
		t.put("response/unauthorized", authRule{unauthorized: d}, p)
	}
	if r.Success == nil {
		return
	}
	for _, n := range slices.Sorted(maps.Keys(r.Success.Headers)) {
		spec := r.Success.Headers[n]
		if spec.Wristband != nil {
			t.leave("response/headers/"+n, "wristband")
			continue
		}
		key := strings.ToLower(cmp.Or(spec.Key, n))
		s, p := t.success(n, key, &spec)
		if !httpguts.ValidHeaderFieldName(key) {
			p = problemf(reasonInvalid, "%q is no header name", key)
		}
		t.put("response/headers/"+n, authRule{header: s}, p)
	}
	for _, n := range slices.Sorted(maps.Keys(r.Success.Filters)) {
		spec := r.Success.Filters[n]
		if spec.Wristband != nil {
			t.leave("response/filters/"+n, "wristband")
			continue
		}
		s, p := t.success(n, cmp.Or(spec.Key, n), &spec)
		t.put("response/filters/"+n, authRule{filter: s}, p)
	}
}

// put adds a rule. One with a problem refuses the requests it was to judge.
func (t *authTranslation) put(key string, r authRule, p *problem) {
	r.when = t.when
	if p != nil {
		r = authRule{fault: p}
		if t.policy.broken == nil {
			t.policy.broken = &problem{p.reason, key + ": " + p.message}
		}
	}
	t.policy.rules[key] = r
}

// leave records a part that nothing depends on for safety.
func (t *authTranslation) leave(key, kind string) {
	if kind != "" {
		key += " (" + kind + ")"
	}
	t.policy.left = append(t.policy.left, key)
}

// planAuth puts the rules of an effective AuthPolicy together.
//
// A policy's own `when` concerns its own rules alone: where rules of policies
// with different ones are merged, each rule takes its policy's conditions
// along, so that a route cannot switch off what its Gateway demands.
func planAuth(rules ruleset[authRule]) (*plan.Auth, *plan.Fault) {
	if len(rules) == 0 {
		return nil, nil
	}
	out := &plan.Auth{}
	keys := slices.Sorted(maps.Keys(rules))
	common := rules[keys[0]].rule.when
	shared := true
	for _, r := range rules {
		shared = shared && slices.Equal(r.rule.when, common)
	}
	var sources []string
	for _, key := range keys {
		r := rules[key]
		if f := r.rule.fault; f != nil {
			return nil, &plan.Fault{Status: 500, Reason: fmt.Sprintf("AuthPolicy %s, %s: %s", r.owner.name, key, f.message)}
		}
		sources = append(sources, r.owner.String())
		if shared {
			r.rule.when = nil
		}
		r.rule.join(out)
	}
	if shared {
		out.When = common
	}
	slices.Sort(sources)
	out.Source = strings.Join(slices.Compact(sources), "+")
	slices.SortFunc(out.Authentication, func(a, b plan.Authentication) int { return bySequence(a.Step, b.Step) })
	slices.SortFunc(out.Metadata, func(a, b plan.Metadata) int { return bySequence(a.Step, b.Step) })
	slices.SortFunc(out.Authorization, func(a, b plan.Authorization) int { return bySequence(a.Step, b.Step) })
	slices.SortFunc(out.Headers, func(a, b plan.Success) int { return bySequence(a.Step, b.Step) })
	slices.SortFunc(out.Filters, func(a, b plan.Success) int { return bySequence(a.Step, b.Step) })
	return out, nil
}

// join adds the rule to an effective policy.
func (r authRule) join(out *plan.Auth) {
	switch {
	case r.authentication != nil:
		a := *r.authentication
		a.Step = conditional(a.Step, r.when)
		out.Authentication = append(out.Authentication, a)
	case r.metadata != nil:
		m := *r.metadata
		m.Step = conditional(m.Step, r.when)
		out.Metadata = append(out.Metadata, m)
	case r.authorization != nil:
		a := *r.authorization
		a.Step = conditional(a.Step, r.when)
		out.Authorization = append(out.Authorization, a)
	case r.header != nil:
		s := *r.header
		s.Step = conditional(s.Step, r.when)
		out.Headers = append(out.Headers, s)
	case r.filter != nil:
		s := *r.filter
		s.Step = conditional(s.Step, r.when)
		out.Filters = append(out.Filters, s)
	case r.unauthed != nil:
		out.Unauthenticated = r.unauthed
	case r.unauthorized != nil:
		out.Unauthorized = r.unauthorized
	}
}

// conditional returns the step with its policy's conditions before its own.
func conditional(s plan.Step, when []string) plan.Step {
	if len(when) == 0 {
		return s
	}
	var all []plan.Pattern
	for _, w := range when {
		all = append(all, plan.Pattern{Predicate: w})
	}
	s.When = append(all, s.When...)
	return s
}

func bySequence(a, b plan.Step) int {
	return cmp.Or(cmp.Compare(a.Priority, b.Priority), cmp.Compare(a.Name, b.Name))
}
