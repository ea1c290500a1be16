package compile

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"github.com/egret-gateway/egret/plan"
)

// candidate is an entry of a virtual host before it has its place.
type candidate struct {
	route *route
	rule  *rule
	match *ruleMatch
	order int // of the route: older ones first
	index int // of the rule
}

// vhosts lays out the routes of a listener by host name and precedence.
func vhosts(l *listener, b *book) []plan.VHost {
	byHost := map[string][]candidate{}
	for _, r := range slices.SortedFunc(maps.Keys(l.routes), func(a, b *route) int { return older(a.object, b.object) }) {
		for _, host := range l.routes[r] {
			for i, u := range r.rules {
				for j := range u.matches {
					byHost[host] = append(byHost[host], candidate{r, u, &u.matches[j], len(byHost[host]), i})
				}
			}
		}
	}
	policies := map[*rule]string{}
	var out []plan.VHost
	for _, host := range slices.SortedFunc(maps.Keys(byHost), moreSpecific) {
		found := byHost[host]
		slices.SortFunc(found, func(a, b candidate) int {
			return cmp.Or(byPrecedence(&a.match.Match, &b.match.Match), a.order-b.order)
		})
		out = append(out, plan.VHost{Domain: host, Entries: entries(l, b, found, policies)})
	}
	return out
}

func entries(l *listener, b *book, found []candidate, policies map[*rule]string) []plan.Entry {
	out := make([]plan.Entry, 0, len(found))
	taken := map[string]bool{}
	for _, f := range found {
		policy, known := policies[f.rule]
		if !known {
			policy = b.policy(l, f.route, f.rule)
			policies[f.rule] = policy
		}
		id := fmt.Sprintf("%s-%s-rule%d-match%d", f.route.ns, f.route.name.name, f.index, f.match.index)
		if taken[id] { // "a-b" in "c" and "b" in "c-a" make one name
			id += "-" + plan.Digest(f.route.String())[:8]
		}
		taken[id] = true
		f.rule.placed = true
		out = append(out, plan.Entry{ID: id, Match: f.match.Match, Rule: f.rule.plan.Name, Policy: policy})
	}
	return out
}
