package compile

import "maps"

// policy is one policy of a kind whose rules are T, with what became of it.
type policy[T any] struct {
	subject
	name
	overrides bool // its rules win over more specific ones; otherwise they are defaults
	merge     bool // rule by rule; otherwise the set as a whole
	rules     map[string]T

	refused *problem // not accepted
	broken  *problem // accepted, but cannot be enforced as written
	left    []string // parts that are left out

	paths, won int             // routes' rules it is meant for, and those where it counts
	winners    map[string]bool // what counts elsewhere
	apart      map[string]int  // Gateways it limits that have several pods, each with counters of its own
}

// owned is a rule and the policy that it is from.
type owned[T any] struct {
	rule  T
	owner *policy[T]
}

// ruleset is a set of rules by name, from one policy or several.
type ruleset[T any] map[string]owned[T]

// chain holds the policies on the way to one rule of a route, from the least
// to the most specific: Gateway, listener, HTTPRoute, rule. Most are nil.
type chain[T any] [4]*policy[T]

// effective returns the rules that count for a chain (Kuadrant's defaults and
// overrides). Each policy meets what the more specific ones came to.
func effective[T any](c chain[T]) ruleset[T] {
	var out ruleset[T]
	for i := len(c) - 1; i >= 0; i-- {
		if c[i] != nil {
			out = c[i].meet(out)
		}
	}
	return out
}

// meet combines the policy with the rules of more specific ones.
func (p *policy[T]) meet(specific ruleset[T]) ruleset[T] {
	own := make(ruleset[T], len(p.rules))
	for k, r := range p.rules {
		own[k] = owned[T]{r, p}
	}
	switch {
	case len(specific) == 0:
		return own
	case len(own) == 0: // all of it is left out: it must not wipe out others
		return specific
	case p.overrides && p.merge:
		out := maps.Clone(specific)
		maps.Copy(out, own)
		return out
	case p.overrides:
		return own
	case p.merge:
		maps.Copy(own, specific)
		return own
	}
	return specific
}

// divide notes that the policies of a chain limit a Gateway whose pods do not
// count together.
func (c chain[T]) divide(gateway string, pods int) {
	for _, p := range c {
		if p == nil {
			continue
		}
		if p.apart == nil {
			p.apart = map[string]int{}
		}
		p.apart[gateway] = pods
	}
}

// tally counts what came of the policies of a chain on one path.
func (c chain[T]) tally(rules ruleset[T]) {
	counts := map[*policy[T]]bool{}
	for _, r := range rules {
		counts[r.owner] = true
	}
	for _, p := range c {
		if p == nil {
			continue
		}
		p.paths++
		if counts[p] {
			p.won++
			continue
		}
		if p.winners == nil {
			p.winners = map[string]bool{}
		}
		for w := range counts {
			p.winners[w.String()] = true
		}
	}
}
