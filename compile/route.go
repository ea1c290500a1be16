package compile

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/egret-gateway/egret/plan"
	"github.com/egret-gateway/egret/source"
)

// route is an HTTPRoute with at least one parent that is ours.
type route struct {
	name
	object    *gwv1.HTTPRoute
	hostnames []string // lower case; one empty name when the route has none
	parents   []parent
	rules     []*rule
}

// parent is one parentRef of a route and what came of it.
type parent struct {
	ref     source.Ref
	problem *problem // why the route is not attached
}

func (c *compiler) compileRoutes() {
	spaces := namespaceLabels(c.namespaces)
	for _, o := range byAge(c.snapshot.HTTPRoutes) {
		r := &route{name: nameOf(o), object: o}
		for _, h := range o.Spec.Hostnames {
			r.hostnames = append(r.hostnames, strings.ToLower(string(h)))
		}
		if len(r.hostnames) == 0 {
			r.hostnames = []string{""}
		}
		for _, ref := range o.Spec.ParentRefs {
			c.attach(r, ref, spaces)
		}
		if len(r.parents) == 0 {
			continue
		}
		for i := range o.Spec.Rules {
			r.rules = append(r.rules, c.compileRule(r, i))
		}
		c.attached, c.routeOf[r.name] = append(c.attached, r), r
		c.reportRoute(r)
	}
}

// attach attaches a route through one parentRef to the listeners that it
// selects, that let it in and that share a host name with it.
func (c *compiler) attach(r *route, p gwv1.ParentReference, spaces map[string]map[string]string) {
	ref := source.Ref{
		Group:       string(deref(p.Group, gwv1.GroupName)),
		Kind:        string(deref(p.Kind, "Gateway")),
		Namespace:   string(deref(p.Namespace, gwv1.Namespace(r.ns))),
		Name:        string(p.Name),
		SectionName: string(deref(p.SectionName, "")),
		Port:        int32(deref(p.Port, 0)),
	}
	if ref.Group != gwv1.GroupName || ref.Kind != "Gateway" ||
		slices.ContainsFunc(r.parents, func(have parent) bool { return have.ref == ref }) {
		return
	}
	target := name{ref.Namespace, ref.Name}
	g := c.ours[target]
	if g == nil {
		if c.options.Alone && c.index.gateways[target] == nil {
			r.parents = append(r.parents, parent{ref, problemf(string(gwv1.RouteReasonNoMatchingParent), "Gateway %s not found.", target)})
		}
		return
	}
	r.parents = append(r.parents, parent{ref, g.take(r, ref, spaces)})
}

// take attaches the route to the listeners that ref selects, or says why none
// took it. The reason is that of the listener that came closest.
func (g *gateway) take(r *route, ref source.Ref, spaces map[string]map[string]string) *problem {
	selected, admitted, taken := false, false, false
	for _, l := range g.listeners {
		if (ref.SectionName != "" && ref.SectionName != l.name) || (ref.Port != 0 && ref.Port != l.port) {
			continue
		}
		selected = true
		if !l.admits("HTTPRoute", r.ns, spaces) {
			continue
		}
		admitted = true
		for _, h := range r.hostnames {
			if host, ok := intersect(l.host, h); ok {
				taken = true
				if !slices.Contains(l.routes[r], host) {
					l.routes[r] = append(l.routes[r], host)
				}
			}
		}
	}
	switch {
	case !selected:
		return problemf(string(gwv1.RouteReasonNoMatchingParent), "Gateway %s has no listener with %s.", g.name, wanted(ref))
	case !admitted:
		return problemf(string(gwv1.RouteReasonNotAllowedByListeners),
			"No listener of Gateway %s allows HTTPRoutes from namespace %s; see its allowedRoutes.", g.name, r.ns)
	case !taken:
		return problemf(string(gwv1.RouteReasonNoMatchingListenerHostname),
			"The route's hostnames (%s) do not match any listener hostnames of Gateway %s.", strings.Join(r.hostnames, ", "), g.name)
	}
	return nil
}

func wanted(ref source.Ref) string {
	var parts []string
	if ref.SectionName != "" {
		parts = append(parts, "name "+ref.SectionName)
	}
	if ref.Port != 0 {
		parts = append(parts, "port "+strconv.Itoa(int(ref.Port)))
	}
	if len(parts) == 0 {
		return "any name"
	}
	return strings.Join(parts, " and ")
}

// namespaceLabels returns the labels of the namespaces that are known. The
// name label is there even where a manifest left it to the API server.
func namespaceLabels(known map[string]*corev1.Namespace) map[string]map[string]string {
	out := make(map[string]map[string]string, len(known))
	for ns, o := range known {
		set := map[string]string{corev1.LabelMetadataName: ns}
		for k, v := range o.Labels {
			set[k] = v
		}
		out[ns] = set
	}
	return out
}

// reportRoute reports on a route, once per parent.
func (c *compiler) reportRoute(r *route) {
	accepted, partial := r.judge()
	refs := r.unresolved()
	for _, p := range r.parents {
		self := subject{"HTTPRoute", r.object, p.ref}
		c.promise(self, string(gwv1.RouteConditionAccepted), string(gwv1.RouteReasonAccepted), r.acceptance(), cmp.Or(p.problem, accepted))
		c.promise(self, string(gwv1.RouteConditionResolvedRefs), string(gwv1.RouteReasonResolvedRefs), "All references resolved", refs)
		if partial != nil && p.problem == nil {
			c.report(self, string(gwv1.RouteConditionPartiallyInvalid), metav1.ConditionTrue, partial.reason, partial.message)
		}
	}
}

// judge returns why the route as a whole is refused: every rule of it is
// invalid; or which of its rules are, when others are not.
func (r *route) judge() (refused, partial *problem) {
	var why []string
	var reason string
	bad := 0
	for i, u := range r.rules {
		if u.problem == nil {
			continue
		}
		bad++
		reason = cmp.Or(reason, u.problem.reason)
		why = append(why, fmt.Sprintf("rule %d: %s", i, u.problem.message))
	}
	switch {
	case bad == 0:
		return nil, nil
	case bad == len(r.rules) && !r.servesAny():
		return &problem{reason, brief(why)}, nil
	}
	return nil, &problem{reason, "Dropped Rule: " + brief(why)}
}

// servesAny reports whether a rule with a problem has matches that work still.
func (r *route) servesAny() bool {
	return slices.ContainsFunc(r.rules, func(u *rule) bool { return !u.refused && len(u.matches) > 0 })
}

// unresolved returns the first reference of the route that does not resolve,
// with the messages of all.
func (r *route) unresolved() *problem {
	var why []string
	var reason string
	for i, u := range r.rules {
		for _, p := range u.refs {
			reason = cmp.Or(reason, p.reason)
			why = append(why, fmt.Sprintf("rule %d: %s", i, p.message))
		}
	}
	if reason == "" {
		return nil
	}
	return &problem{reason, brief(why)}
}

// acceptance is the message of an accepted route. It names what is left out.
func (r *route) acceptance() string {
	for i, u := range r.object.Spec.Rules {
		if u.Retry != nil || u.SessionPersistence != nil {
			return fmt.Sprintf("Route is accepted. Rule %d: retry and sessionPersistence are not supported and left out.", i)
		}
	}
	for i, u := range r.rules {
		if names := added(u.plan.Models); names != "" {
			return fmt.Sprintf("Route is accepted. Rule %d also serves %s: %s names them, their backends exist, and no route leads there.", i, names, u.plan.Models.Source)
		}
	}
	return "Route is accepted."
}

// brief joins messages, the first ten of them.
func brief(messages []string) string {
	const most = 10
	if len(messages) <= most {
		return strings.Join(messages, "; ")
	}
	return fmt.Sprintf("%s; and %d more", strings.Join(messages[:most], "; "), len(messages)-most)
}

// rules returns the rules of the routes that are attached somewhere.
func (c *compiler) rules() []plan.Rule {
	var out []plan.Rule
	for _, r := range c.attached {
		for _, u := range r.rules {
			if u.placed {
				out = append(out, u.plan)
			}
		}
	}
	slices.SortFunc(out, func(a, b plan.Rule) int { return cmp.Compare(a.Name, b.Name) })
	return out
}
