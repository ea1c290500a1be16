package compile

import (
	"fmt"
	"maps"
	"slices"
	"time"

	gwv1 "sigs.k8s.io/gateway-api/apis/v1"

	kuadrantv1 "github.com/egret-gateway/egret/api/kuadrant/v1"
	kuadrantv1alpha1 "github.com/egret-gateway/egret/api/kuadrant/v1alpha1"
	"github.com/egret-gateway/egret/plan"
	"github.com/egret-gateway/egret/policy/quota"
)

// annotationFailure on a limit policy says what happens while the counters
// are out of reach: "closed" refuses, anything else lets pass.
const annotationFailure = "egret.dev/limit-failure-mode"

// limitRule is one named limit, or why it cannot be kept.
type limitRule struct {
	limit plan.Limit
	fault *problem
}

// limitSpec is what limits of both kinds have.
type limitSpec struct {
	when        []kuadrantv1.Predicate
	counters    []kuadrantv1.Counter
	rates       []kuadrantv1.Rate
	reservation *kuadrantv1alpha1.Reservation
}

func (c *compiler) ratePolicies() *policies[limitRule] {
	return setOf(c, kuadrantv1.KindRateLimitPolicy, c.snapshot.RateLimitPolicies,
		func(o *kuadrantv1.RateLimitPolicy) *gwv1.LocalPolicyTargetReferenceWithSectionName {
			return &o.Spec.TargetRef
		},
		func(p *policy[limitRule], o *kuadrantv1.RateLimitPolicy) {
			set, strategy := o.Spec.LimitSet, kuadrantv1.StrategyAtomic
			where, err := p.choose(len(set.Limits) > 0, o.Spec.Defaults != nil, o.Spec.Overrides != nil)
			switch where {
			case defaults:
				set, strategy = o.Spec.Defaults.LimitSet, o.Spec.Defaults.Strategy
			case overrides:
				set, strategy = o.Spec.Overrides.LimitSet, o.Spec.Overrides.Strategy
			}
			specs := make(map[string]limitSpec, len(set.Limits))
			for n, l := range set.Limits {
				specs[n] = limitSpec{when: l.When, counters: l.Counters, rates: l.Rates}
			}
			p.overrides, p.merge = where == overrides, strategy == kuadrantv1.StrategyMerge
			c.fillLimits(p, "limit", set.When, specs, err)
		})
}

func (c *compiler) tokenPolicies() *policies[limitRule] {
	return setOf(c, kuadrantv1alpha1.KindTokenRateLimitPolicy, c.snapshot.TokenRateLimitPolicies,
		func(o *kuadrantv1alpha1.TokenRateLimitPolicy) *gwv1.LocalPolicyTargetReferenceWithSectionName {
			return &o.Spec.TargetRef
		},
		func(p *policy[limitRule], o *kuadrantv1alpha1.TokenRateLimitPolicy) {
			set, strategy := o.Spec.TokenLimitSet, kuadrantv1.StrategyAtomic
			where, err := p.choose(len(set.Limits) > 0, o.Spec.Defaults != nil, o.Spec.Overrides != nil)
			switch where {
			case defaults:
				set, strategy = o.Spec.Defaults.TokenLimitSet, o.Spec.Defaults.Strategy
			case overrides:
				set, strategy = o.Spec.Overrides.TokenLimitSet, o.Spec.Overrides.Strategy
			}
			specs := make(map[string]limitSpec, len(set.Limits))
			for n, l := range set.Limits {
				specs[n] = limitSpec{l.When, l.Counters, l.Rates, l.Reservation}
			}
			p.overrides, p.merge = where == overrides, strategy == kuadrantv1.StrategyMerge
			c.fillLimits(p, "tokenlimit", set.When, specs, err)
		})
}

// fillLimits compiles the limits of a policy. A limit that cannot be built
// refuses what it was to limit.
func (c *compiler) fillLimits(p *policy[limitRule], prefix string, when []kuadrantv1.Predicate, specs map[string]limitSpec, invalid *problem) {
	p.rules = map[string]limitRule{}
	if invalid != nil {
		p.broken = invalid
		p.rules["invalid"] = limitRule{fault: invalid}
		return
	}
	for _, n := range slices.Sorted(maps.Keys(specs)) {
		spec := specs[n]
		l := plan.Limit{
			Name:   n,
			ID:     quota.LimitID(prefix, p.ns, p.name.name, n),
			Source: p.String(),
			Closed: p.object.GetAnnotations()[annotationFailure] == "closed",
		}
		fault := c.fillLimit(&l, when, spec)
		if fault != nil && p.broken == nil {
			p.broken = &problem{fault.reason, "limit " + n + ": " + fault.message}
		}
		p.rules[n] = limitRule{l, fault}
	}
}

func (c *compiler) fillLimit(l *plan.Limit, when []kuadrantv1.Predicate, spec limitSpec) *problem {
	for _, w := range slices.Concat(when, spec.when) {
		if err := c.check.predicate(w.Predicate); err != nil {
			return problemf(reasonInvalidCEL, "when: %v", err)
		}
		l.When = append(l.When, w.Predicate)
	}
	for _, e := range spec.counters {
		if err := c.check.expression(e.Expression); err != nil {
			return problemf(reasonInvalidCEL, "counter: %v", err)
		}
		l.Counters = append(l.Counters, e.Expression)
	}
	for _, r := range spec.rates {
		window, err := quota.Window(r.Window)
		if err != nil {
			return problemf(reasonInvalid, "%v", err)
		}
		if r.Limit < 0 {
			return problemf(reasonInvalid, "a limit of %d is negative", r.Limit)
		}
		l.Rates = append(l.Rates, plan.Rate{Limit: int64(r.Limit), Window: window})
	}
	return c.fillReservation(l, spec.reservation)
}

func (c *compiler) fillReservation(l *plan.Limit, r *kuadrantv1alpha1.Reservation) *problem {
	if r == nil || r.Amount == "" || r.Amount == "0" {
		return nil
	}
	if err := c.check.expression(r.Amount); err != nil {
		return problemf(reasonInvalidCEL, "reservation.amount: %v", err)
	}
	ttl := time.Duration(0)
	if r.TTL != "" {
		var err error
		if ttl, err = quota.Window(r.TTL); err != nil {
			return problemf(reasonInvalid, "reservation.ttl: %v", err)
		}
	}
	l.Reserve = &plan.Reservation{Amount: r.Amount, TTL: ttl}
	return nil
}

// planLimits returns the limits of an effective policy by name. One without
// rates limits nothing: it is how a more specific policy takes one away.
func planLimits(rules ruleset[limitRule]) ([]plan.Limit, *plan.Fault) {
	var out []plan.Limit
	for _, n := range slices.Sorted(maps.Keys(rules)) {
		r := rules[n]
		if r.rule.fault != nil {
			return nil, &plan.Fault{Status: 500, Reason: fmt.Sprintf("%s %s, limit %s: %s", r.owner.kind, r.owner.name, n, r.rule.fault.message)}
		}
		if len(r.rule.limit.Rates) > 0 {
			out = append(out, r.rule.limit)
		}
	}
	return out, nil
}
