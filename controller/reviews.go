package controller

import (
	"slices"
	"strings"

	"github.com/egret-gateway/egret/feed"
	"github.com/egret-gateway/egret/plan"
	"github.com/egret-gateway/egret/source"
)

// Reasons why an AuthPolicy is not enforced that compile cannot know.
const (
	reasonReviewsForbidden = "ReviewsForbidden"
	reasonReviewsPending   = "ReviewsPending"
)

// reviewing returns the AuthPolicies (namespace/name, sorted) of a plan that
// have the pods of its Gateway review tokens or access.
func reviewing(p *plan.Plan) (names []string) {
	for i := range p.Policies {
		if a := p.Policies[i].Auth; reviews(a) {
			names = append(names, strings.Split(a.Source, "+")...)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// reviews reports whether a step asks the API server about a token or access.
func reviews(a *plan.Auth) bool {
	return a != nil && (slices.ContainsFunc(a.Authentication, func(s plan.Authentication) bool { return s.TokenReview != nil }) ||
		slices.ContainsFunc(a.Authorization, func(s plan.Authorization) bool { return s.Access != nil }))
}

// unreviewed says why a Gateway's pods cannot have tokens and access reviewed
// though its policies have them do so; nil when they can. pending is set when
// it is not known yet.
func (g *gateway) unreviewed() (p *problem, pending bool) {
	switch {
	case len(g.reviewing) == 0:
		return nil, false
	case g.bound && g.state.ReviewersRefused != "":
		return &problem{reasonReviewsForbidden, "The pods of Gateway " + keyOf(g.fleet.Gateway) + " may not have tokens and access reviewed, so they refuse every request that needs it. " +
			"Permit the controller's ServiceAccount to get, create and patch clusterrolebindings and to bind ClusterRole system:auth-delegator. The API server said: " +
			brief(g.state.ReviewersRefused)}, false
	case g.bound && g.failed == nil:
		return nil, false
	}
	return &problem{reasonReviewsPending, "The pods of Gateway " + keyOf(g.fleet.Gateway) + " are not permitted yet to have tokens and access reviewed."}, g.failed == nil
}

// unbind takes from pods the permission to have tokens reviewed, once all that
// are connected have a plan that does not need it.
func (c *Controller) unbind(g *gateway) {
	if !g.fleet.Reviews || len(g.reviewing) > 0 || len(g.keep) > 0 || g.set == nil {
		return
	}
	for _, s := range c.xds.Streams(g.node) {
		for _, sub := range s.Types {
			if sub.Type == feed.TypeHead && sub.Acked != g.set.ID {
				return
			}
		}
	}
	f := *g.fleet
	f.Reviews = false
	g.fleet, g.bound, c.stale = &f, false, true
	c.fleets.know(keyOf(f.Gateway), f)
}

// unenforced turns the promise that the AuthPolicies are enforced, which their
// Gateway's pods cannot keep, into what is true.
func unenforced(cs []source.Condition, policies []string, p *problem) {
	for _, name := range policies {
		namespace, name, _ := strings.Cut(name, "/")
		retract(about(cs, source.Key{Kind: "AuthPolicy", Namespace: namespace, Name: name}), "Enforced", p)
	}
}
