package compile

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/egret-gateway/egret/plan"
)

// Conditions and reasons of policies (Kuadrant).
const (
	conditionAccepted = "Accepted"
	conditionEnforced = "Enforced"

	reasonTargetNotFound  = "TargetNotFound"
	reasonConflicted      = "Conflicted"
	reasonOverridden      = "Overridden"
	reasonUnknown         = "Unknown"
	reasonInvalidCEL      = "InvalidCelExpression"
	reasonUnsupported     = "Unsupported"
	reasonMissingResource = "MissingResource"
)

// target is what a policy is attached to: a Gateway, one listener of it, an
// HTTPRoute or one rule of it.
type target struct {
	kind string
	name
	section string
}

// policies are the policies of one kind.
type policies[T any] struct {
	kind string
	at   map[target]*policy[T]
	all  []*policy[T]
}

// setOf compiles the policies of a kind that target what is ours. The oldest
// on a target counts, the others are refused.
func setOf[O metav1.Object, T any](c *compiler, kind string, objects []O,
	targetOf func(O) *gwv1.LocalPolicyTargetReferenceWithSectionName, compile func(*policy[T], O)) *policies[T] {
	s := &policies[T]{kind: kind, at: map[target]*policy[T]{}}
	for _, o := range byAge(objects) {
		ref := targetOf(o)
		t := target{string(ref.Kind), name{o.GetNamespace(), string(ref.Name)}, string(deref(ref.SectionName, ""))}
		p := &policy[T]{subject: subject{kind: kind, object: o}, name: nameOf(o)}
		refused, ours := c.judgeTarget(string(ref.Group), t)
		switch holder := s.at[t]; {
		case !ours:
			continue
		case refused != nil:
			p.refused = refused
		case holder != nil:
			p.refused = problemf(reasonConflicted, "%s %s is older and has the same target; remove one of them.", kind, holder.name)
		default:
			compile(p, o)
			s.at[t] = p
			if p.broken != nil && p.broken.reason == reasonInvalid {
				p.refused = p.broken // and yet it refuses what it was to guard
			}
		}
		s.all = append(s.all, p)
	}
	return s
}

// judgeTarget reports whether a policy with that target is ours to judge, and
// why it has to be refused. What exists but is not ours is left to others.
func (c *compiler) judgeTarget(group string, t target) (refused *problem, ours bool) {
	var parts []string
	switch {
	case group == gwv1.GroupName && t.kind == "Gateway" && c.ours[t.name] != nil:
		for _, l := range c.ours[t.name].listeners {
			parts = append(parts, l.name)
		}
	case group == gwv1.GroupName && t.kind == "HTTPRoute" && c.routeOf[t.name] != nil:
		for _, u := range c.routeOf[t.name].rules {
			parts = append(parts, u.plan.Label)
		}
	default:
		missing := c.options.Alone && group == gwv1.GroupName &&
			(t.kind == "Gateway" && c.index.gateways[t.name] == nil || t.kind == "HTTPRoute" && c.index.routes[t.name] == nil)
		return problemf(reasonTargetNotFound, "%s %s not found.", t.kind, t.name), missing
	}
	if t.section != "" && !slices.Contains(parts, t.section) {
		return problemf(reasonTargetNotFound, "%s %s has no section %s.", t.kind, t.name, t.section), true
	}
	return nil, true
}

// chain returns the policies on the way to a rule.
func (s *policies[T]) chain(l *listener, r *route, u *rule) chain[T] {
	gw := l.gateway.name
	c := chain[T]{
		s.at[target{"Gateway", gw, ""}],
		s.at[target{"Gateway", gw, l.name}],
		s.at[target{"HTTPRoute", r.name, ""}],
	}
	if u.plan.Label != "" {
		c[3] = s.at[target{"HTTPRoute", r.name, u.plan.Label}]
	}
	return c
}

// compilePolicies compiles the policies, then every virtual host of every
// listener with the policy that is effective for each of its entries.
func (c *compiler) compilePolicies() []plan.Policy {
	b := &book{
		auth:   c.authPolicies(),
		calls:  c.ratePolicies(),
		tokens: c.tokenPolicies(),
		apart:  c.options.Apart,
		names:  map[chains]string{},
		plans:  map[string]plan.Policy{},
	}
	for _, g := range c.ours {
		for _, l := range g.listeners {
			if l.programmed() {
				l.vhosts = vhosts(l, b)
			}
		}
	}
	reportPolicies(c, b.auth)
	reportPolicies(c, b.calls)
	reportPolicies(c, b.tokens)
	return slices.SortedFunc(maps.Values(b.plans), func(a, b plan.Policy) int { return cmp.Compare(a.Name, b.Name) })
}

// chains are the chains of all kinds for one rule.
type chains struct {
	auth   chain[authRule]
	calls  chain[limitRule]
	tokens chain[limitRule]
}

// book finds the effective policy of a rule; rules with the same policies on
// their way share one.
type book struct {
	auth          *policies[authRule]
	calls, tokens *policies[limitRule]
	apart         map[string]int
	names         map[chains]string
	plans         map[string]plan.Policy
}

// policy returns the name of the policy for a rule on a listener, "" if it is
// open.
func (b *book) policy(l *listener, r *route, u *rule) string {
	at := chains{b.auth.chain(l, r, u), b.calls.chain(l, r, u), b.tokens.chain(l, r, u)}
	if at == (chains{}) {
		return ""
	}
	auth, calls, tokens := effective(at.auth), effective(at.calls), effective(at.tokens)
	at.auth.tally(auth)
	at.calls.tally(calls)
	at.tokens.tally(tokens)
	if pods := b.apart[l.gateway.String()]; pods > 1 {
		at.calls.divide(l.gateway.String(), pods)
		at.tokens.divide(l.gateway.String(), pods)
	}
	if known, ok := b.names[at]; ok {
		return known
	}
	p := plan.Policy{}
	p.Auth, p.Fault = planAuth(auth)
	var f1, f2 *plan.Fault
	p.Calls, f1 = planLimits(calls)
	p.Token, f2 = planLimits(tokens)
	if p.Fault = cmp.Or(p.Fault, f1, f2); p.Fault != nil {
		p = plan.Policy{Fault: p.Fault}
	}
	if p.Auth == nil && p.Fault == nil && len(p.Calls)+len(p.Token) == 0 {
		b.names[at] = ""
		return ""
	}
	p.Name = plan.Digest(p)
	b.names[at], b.plans[p.Name] = p.Name, p
	return p.Name
}

// reportPolicies reports on the policies of a kind (Kuadrant's conditions).
func reportPolicies[T any](c *compiler, s *policies[T]) {
	for _, p := range s.all {
		c.promise(p.subject, conditionAccepted, conditionAccepted, s.kind+" has been accepted", p.refused)
		if p.refused == nil {
			c.promise(p.subject, conditionEnforced, conditionEnforced, p.enforcement(), p.unenforced())
		}
	}
}

func (p *policy[T]) unenforced() *problem {
	switch {
	case p.broken != nil:
		return p.broken
	case len(p.rules) == 0:
		return problemf(reasonUnsupported, "Nothing of this %s is supported: %s.", p.kind, brief(p.left))
	case p.paths == 0:
		return problemf(reasonUnknown, "%s is not in the path of any route.", p.kind)
	case p.won == 0:
		return problemf(reasonOverridden, "%s is overridden by %s.", p.kind, strings.Join(slices.Sorted(maps.Keys(p.winners)), ", "))
	}
	return nil
}

func (p *policy[T]) enforcement() string {
	out := p.kind + " has been successfully enforced"
	if p.won < p.paths {
		out = fmt.Sprintf("%s has been partially enforced; elsewhere it is overridden by %s", p.kind, strings.Join(slices.Sorted(maps.Keys(p.winners)), ", "))
	}
	for _, gw := range slices.Sorted(maps.Keys(p.apart)) {
		out += fmt.Sprintf("; each of the %d pods of Gateway %s counts alone, so that up to %d times the limits may pass: give them shared counters", p.apart[gw], gw, p.apart[gw])
	}
	if len(p.left) > 0 {
		out += "; not supported and left out: " + brief(p.left)
	}
	return out
}

// scheme is where a policy may carry its rules; one of three.
type scheme int

const (
	bare scheme = iota
	defaults
	overrides
)

// choose says where the policy's rules are, given which places are filled.
// Two at once have no meaning, so neither counts.
func (p *policy[T]) choose(isBare, isDefaults, isOverrides bool) (scheme, *problem) {
	switch {
	case isBare && !isDefaults && !isOverrides:
		return bare, nil
	case isDefaults && !isBare && !isOverrides:
		return defaults, nil
	case isOverrides && !isBare && !isDefaults:
		return overrides, nil
	case !isBare && !isDefaults && !isOverrides:
		return bare, problemf(reasonInvalid, "%s has no rules; write some or remove it", p.kind)
	}
	return bare, problemf(reasonInvalid, "%s mixes rules, defaults and overrides; keep one of them", p.kind)
}
