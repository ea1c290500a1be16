package compile

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	gwv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/egret-gateway/egret/api/ainetworking/v0alpha0"
	"github.com/egret-gateway/egret/plan"
	"github.com/egret-gateway/egret/source"
)

// defaultMaaSNamespace is where the MaaS API has its ConfigMaps unless told
// otherwise.
const defaultMaaSNamespace = "opendatahub"

// registry is what the registry of external models says to routes. Of two
// entries for one model the first counts; one that cannot be read says nothing,
// and the MaaS API tells why.
type registry struct {
	source string
	models []source.Model
	routed map[name]bool // destinations that some route names itself
	told   bool          // some route matches on what gateways tell each other
}

func (c *compiler) readRegistry() *registry {
	at := name{cmp.Or(c.options.MaaSNamespace, defaultMaaSNamespace), source.RegistryConfigMap}
	r := &registry{source: "ConfigMap " + at.String()}
	m := c.configMaps[at]
	if m == nil {
		return r
	}
	list, err := source.ParseRegistry(m)
	if err != nil {
		return r
	}
	seen := map[string]bool{}
	for _, e := range list {
		if !seen[e.ID] {
			r.models = append(r.models, e)
		}
		seen[e.ID] = true
	}
	r.routed = map[name]bool{}
	for _, o := range c.snapshot.HTTPRoutes {
		for i := range o.Spec.Rules {
			for _, ref := range o.Spec.Rules[i].BackendRefs {
				if to, ok := destination(nameOf(o), &ref.BackendRef); ok {
					r.routed[to] = true
				}
			}
			r.told = r.told || slices.ContainsFunc(o.Spec.Rules[i].Matches, listens)
		}
	}
	return r
}

// listens reports whether a match is on a field that a gateway in front sets.
func listens(m gwv1.HTTPRouteMatch) bool {
	return slices.ContainsFunc(m.Headers, func(h gwv1.HTTPHeaderMatch) bool {
		return strings.EqualFold(string(h.Name), plan.HeaderProvider) || strings.EqualFold(string(h.Name), plan.HeaderModel)
	})
}

// destination is the XBackendDestination that a route's reference names.
func destination(route name, ref *gwv1.BackendRef) (name, bool) {
	kind := deref(ref.Kind, "Service")
	return name{string(deref(ref.Namespace, gwv1.Namespace(route.ns))), string(ref.Name)},
		kind == v0alpha0.KindXBackendDestination || kind == v0alpha0.KindBackend
}

// compileModels lets the model in a body decide: by the list that the rule
// names, or else by the registry.
func (c *compiler) compileModels(r *route, u *rule, spec *gwv1.HTTPRouteRule) {
	var out plan.Models
	var p *problem
	switch {
	case u.refused:
		return
	case u.models != "":
		out, p = c.listed(r, u, spec)
	default:
		out = c.registered(r, spec)
	}
	if p != nil {
		u.refuse(p)
		return
	}
	if len(out.List) == 0 {
		return
	}
	slices.SortFunc(out.List, func(a, b plan.Model) int { return cmp.Compare(a.Name, b.Name) })
	u.plan.Models = &out
}

// listed is what a ConfigMap of the route's namespace says, named by a filter
// of the rule. Whoever may write the route may name backends, so that these
// are references like backendRefs.
func (c *compiler) listed(r *route, u *rule, spec *gwv1.HTTPRouteRule) (plan.Models, *problem) {
	at := name{r.ns, u.models}
	out := plan.Models{Source: "ConfigMap " + at.String(), Strict: true}
	m := c.configMaps[at]
	if m == nil {
		return out, problemf(string(gwv1.RouteReasonUnsupportedValue), "ExtensionRef: ConfigMap %s not found", at)
	}
	list, err := source.ParseModels(m)
	if err != nil {
		return out, problemf(string(gwv1.RouteReasonUnsupportedValue), "ExtensionRef: %v", err)
	}
	for _, e := range list {
		to := plan.Model{Name: e.ID, Provider: e.Provider, Upstream: e.Model}
		switch {
		case e.Backend != "":
			backend, p := c.resolve(routeRef(r.ns), entryRef(&e, e.Port))
			if to.Target = (&plan.Target{Backend: backend, Weight: 1}); p != nil {
				p = problemf(p.reason, "model %s: %s", e.ID, p.message)
				u.refs = append(u.refs, p)
				to.Target = faulty(p)
			}
		case len(spec.BackendRefs) == 0:
			p := problemf(string(gwv1.RouteReasonUnsupportedValue), "model %s of %s has no backend, and the rule has no backendRefs", e.ID, out.Source)
			u.complain(p)
			to.Target = faulty(p)
		}
		out.List = append(out.List, to)
	}
	return out, nil
}

func faulty(p *problem) *plan.Target {
	return &plan.Target{Weight: 1, Fault: &plan.Fault{Status: 500, Reason: p.message}}
}

// registered is what the registry adds to a rule that names no list of its own:
// models are served that would else be listed and not callable. Calls that name
// no such model go where they went.
//
//   - A rule that sends to one of the registry's backends also serves the
//     entries whose backends exist and that no route names. The backend is of
//     the route's namespace, or one that a ReferenceGrant lets it use, so that
//     the registry opens nothing that the route could not. What credentials
//     came with the call were meant for the rule's own backends and stay behind.
//   - A rule that sends to another of our Gateways tells it the provider, where
//     there are routes that match on it.
func (c *compiler) registered(r *route, spec *gwv1.HTTPRouteRule) plan.Models {
	out := plan.Models{Source: c.registry.source}
	if len(c.registry.models) == 0 {
		return out
	}
	own, fronts := map[name]*gwv1.BackendRef{}, false
	for i := range spec.BackendRefs {
		ref := &spec.BackendRefs[i].BackendRef
		if to, ok := destination(r.name, ref); ok {
			own[to] = ref
		} else {
			fronts = fronts || c.registry.told && c.leadsOn(r, ref)
		}
	}
	sibling := c.registry.sibling(r, own)
	for _, e := range c.registry.models {
		to := plan.Model{Name: e.ID, Provider: e.Provider, Upstream: e.Model}
		at := entryName(r, &e)
		switch {
		case e.Backend != "" && own[at] != nil:
			to.Provider = ""
			if e.Model == "" {
				continue // the rule serves it as it is
			}
		case sibling != nil && !c.registry.routed[at] && c.destinations[at] != nil:
			backend, p := c.resolve(routeRef(r.ns), entryRef(&e, c.entryPort(at, &e, sibling)))
			if p != nil {
				continue
			}
			to.Target, to.Bare, to.Provider = &plan.Target{Backend: backend, Weight: 1}, true, ""
		case fronts && e.Provider != "":
			to.Upstream = "" // the next gateway's to say
		default:
			continue
		}
		out.List = append(out.List, to)
	}
	return out
}

// sibling is a reference of the rule to a backend of the registry, nil when
// there is none.
func (g *registry) sibling(r *route, own map[name]*gwv1.BackendRef) *gwv1.BackendRef {
	for i := range g.models {
		if ref := own[entryName(r, &g.models[i])]; g.models[i].Backend != "" && ref != nil {
			return ref
		}
	}
	return nil
}

// leadsOn reports whether a reference is to a Service before a Gateway of ours.
func (c *compiler) leadsOn(r *route, ref *gwv1.BackendRef) bool {
	backend, p := c.resolve(routeRef(r.ns), ref)
	if p != nil {
		return false
	}
	b := &c.backends[c.names[backend]].plan
	return b.Fronts != "" || len(b.Endpoints) > 0 && b.Endpoints[0].Gateway != ""
}

// entryName is the XBackendDestination of an entry, as seen from a route.
func entryName(r *route, e *source.Model) name {
	if ns, n, ok := strings.Cut(e.Backend, "/"); ok {
		return name{ns, n}
	}
	return name{r.ns, e.Backend}
}

// entryPort is the port of a registry's entry that does not say one: where the
// backend has several, the one that the rule uses of its own.
func (c *compiler) entryPort(at name, e *source.Model, sibling *gwv1.BackendRef) int32 {
	if e.Port == 0 && len(c.destinations[at].Spec.Destination.Ports) > 1 {
		return int32(deref(sibling.Port, 0))
	}
	return e.Port
}

// entryRef is an entry's backend as a reference.
func entryRef(e *source.Model, port int32) *gwv1.BackendRef {
	group, kind := gwv1.Group(v0alpha0.Group), gwv1.Kind(v0alpha0.KindXBackendDestination)
	out := &gwv1.BackendRef{BackendObjectReference: gwv1.BackendObjectReference{Group: &group, Kind: &kind, Name: gwv1.ObjectName(e.Backend)}}
	if ns, n, ok := strings.Cut(e.Backend, "/"); ok {
		space := gwv1.Namespace(ns)
		out.Namespace, out.Name = &space, gwv1.ObjectName(n)
	}
	if port != 0 {
		number := gwv1.PortNumber(port)
		out.Port = &number
	}
	return out
}

// added names the models that a rule serves by the registry alone.
func added(m *plan.Models) string {
	var names []string
	if m != nil && !m.Strict {
		for i := range m.List {
			if m.List[i].Target != nil {
				names = append(names, m.List[i].Name)
			}
		}
	}
	if len(names) > 5 {
		names = append(names[:5], fmt.Sprintf("%d more", len(names)-5))
	}
	return strings.Join(names, ", ")
}
