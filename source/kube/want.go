package kube

import (
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/egret-gateway/egret/source"
)

// asked is what is wanted of the status of one object.
type asked struct {
	conditions []source.Condition
	// addresses of a Gateway, when they are known at all.
	addresses      []gwv1.GatewayStatusAddress
	knowsAddresses bool
	// features of a GatewayClass; nil leaves those that are there.
	features []gwv1.FeatureName
	// held leaves the object as it is, parents the entries of a route for these.
	held    bool
	parents []source.Ref
}

// equal reports whether two times the same is asked.
func (a asked) equal(b asked) bool {
	return a.held == b.held && a.knowsAddresses == b.knowsAddresses && slices.Equal(a.conditions, b.conditions) && slices.Equal(a.parents, b.parents) &&
		slices.Equal(a.features, b.features) && reflect.DeepEqual(a.addresses, b.addresses)
}

// patch is what is to be merged into a status (RFC 7396): fields with their
// new values, null for those that go.
type patch map[string]any

// patch returns what has to change for the item's status to say what is asked,
// or nil when it does already, or when the item is newer than what is asked.
// Nothing asked means that whatever is ours goes.
func (k *kind) patch(i *item, a asked, controller string, now time.Time) patch {
	if g := generation(a.conditions); a.held || g > 0 && i.generation > g {
		return nil // what is asked is about an older spec, or not yet so
	}
	if i.problem != nil {
		a.conditions = explained(a.conditions, i.problem)
	}
	var status map[string]json.RawMessage
	if json.Unmarshal(i.status, &status) != nil {
		status = nil
	}
	var want patch
	switch k.shape {
	case shapeRoute:
		want = patch{"parents": mergeParents(list[parent](status["parents"]), verdicts(i.object, a), i.key.Namespace, controller, now)}
	case shapeParents:
		want = patch{"parents": mergeParents(list[parent](status["parents"]), gateways(a), i.key.Namespace, controller, now)}
	case shapeAncestors:
		want = patch{"ancestors": ancestors(mergeParents(parents(list[ancestor](status["ancestors"])), gateways(a), i.key.Namespace, controller, now))}
	case shapeDestination:
		want = patch{"controllers": mergeStakes(list[stake](status["controllers"]), a.conditions, controller, now)}
	case shapeGateway, shapePolicy, shapeClass:
		if len(a.conditions) == 0 {
			want = k.withdraw(i, status)
		} else {
			want = k.assert(i, status, a, now)
		}
	}
	return want.against(status)
}

// assert wants conditions on an object that is ours.
func (k *kind) assert(i *item, status map[string]json.RawMessage, a asked, now time.Time) patch {
	self, parts := split(a.conditions)
	want := patch{"conditions": mergeConditions(list[metav1.Condition](status["conditions"]), self, vocabularyHas, now)}
	switch k.shape {
	case shapePolicy:
		want["observedGeneration"] = generation(a.conditions)
	case shapeGateway:
		want["listeners"] = mergeListeners(list[listenerStatus](status["listeners"]), parts, sections(i.object, parts), now)
		if a.knowsAddresses {
			want["addresses"] = a.addresses[:min(len(a.addresses), maxAddresses)]
		}
	case shapeClass:
		if a.features != nil {
			want["supportedFeatures"] = features(a.features)
		}
	}
	return want
}

// withdraw wants what we wrote to be gone. A class always belongs to the one
// controller that it names, so that nothing is ever to be withdrawn from it.
func (k *kind) withdraw(i *item, status map[string]json.RawMessage) patch {
	if k.shape == shapeClass || !i.owned.any() {
		return nil
	}
	want := patch{}
	mine := func(typ string) bool { return i.owned.conditions[typ] }
	left := mergeConditions(list[metav1.Condition](status["conditions"]), nil, mine, time.Time{})
	want["conditions"] = left
	if len(left) == 0 {
		want["conditions"] = nil // a schema's defaults are back
	}
	if k.shape == shapePolicy && len(left) == 0 {
		want["observedGeneration"] = nil
	}
	if k.shape == shapeGateway && i.owned.rest {
		want["listeners"], want["addresses"] = nil, nil
	}
	return want
}

// against returns what of p the status does not say already.
func (p patch) against(status map[string]json.RawMessage) patch {
	out := patch{}
	for field, value := range p {
		if !same(status[field], value) {
			out[field] = value
		}
	}
	if len(out) == 0 {
		return nil
	}
	return out
}

// same reports whether two JSON values say the same; an empty list says
// nothing.
func same(have json.RawMessage, want any) bool {
	raw, err := json.Marshal(want)
	if err != nil {
		return true
	}
	return reflect.DeepEqual(plain(have), plain(raw))
}

func plain(raw json.RawMessage) any {
	var v any
	if json.Unmarshal(raw, &v) != nil {
		return nil
	}
	if l, ok := v.([]any); ok && len(l) == 0 {
		return nil
	}
	return v
}

// list reads a list of a status. What is no list is taken for none.
func list[T any](raw json.RawMessage) []entry[T] {
	var out []entry[T]
	if json.Unmarshal(raw, &out) != nil {
		return nil
	}
	return out
}

// generation is the newest that the conditions are about, 0 when they do not
// say.
func generation(cs []source.Condition) int64 {
	newest := int64(0)
	for _, c := range cs {
		newest = max(newest, c.Generation)
	}
	return newest
}

// split separates the conditions of an object from those of its parts.
func split(cs []source.Condition) (self []source.Condition, parts map[string][]source.Condition) {
	parts = map[string][]source.Condition{}
	for _, c := range cs {
		if c.Parent == (source.Ref{}) {
			self = append(self, c)
		} else {
			parts[c.Parent.SectionName] = append(parts[c.Parent.SectionName], c)
		}
	}
	return self, parts
}

// verdicts brings the conditions of a route to its parentRefs. Conditions for
// a parent that the spec does not name any more are dropped.
func verdicts(o metav1.Object, a asked) []verdict {
	byRef := map[source.Ref][]source.Condition{}
	for _, c := range a.conditions {
		byRef[c.Parent] = append(byRef[c.Parent], c)
	}
	var out []verdict
	for _, p := range parentRefs(o) {
		ref := resolve(p, o.GetNamespace())
		if found := byRef[ref]; len(found) > 0 {
			out = append(out, verdict{p, found, slices.Contains(a.parents, ref)})
			delete(byRef, ref)
		}
	}
	return out
}

// gateways are the verdicts on an object whose spec names no parents: one for
// each Gateway that it has to do with.
func gateways(a asked) []verdict {
	var out []verdict
	at := map[source.Ref]int{}
	for _, c := range a.conditions {
		if c.Parent == (source.Ref{}) {
			continue
		}
		i, known := at[c.Parent]
		if !known {
			i = len(out)
			at[c.Parent] = i
			out = append(out, verdict{ref: spelled(c.Parent), held: slices.Contains(a.parents, c.Parent)})
		}
		out[i].conditions = append(out[i].conditions, c)
	}
	return out
}

// spelled is the reverse of resolve: a parentRef with nothing left to defaults.
func spelled(r source.Ref) gwv1.ParentReference {
	group, kind, namespace := gwv1.Group(r.Group), gwv1.Kind(r.Kind), gwv1.Namespace(r.Namespace)
	return gwv1.ParentReference{Group: &group, Kind: &kind, Namespace: &namespace, Name: gwv1.ObjectName(r.Name)}
}

func parentRefs(o metav1.Object) []gwv1.ParentReference {
	switch o := o.(type) {
	case *gwv1.HTTPRoute:
		return o.Spec.ParentRefs
	case *gwv1.GRPCRoute:
		return o.Spec.ParentRefs
	}
	return nil
}

// sections returns the names of an object's listeners as the spec orders them.
func sections(o metav1.Object, parts map[string][]source.Condition) []string {
	var out []string
	switch o := o.(type) {
	case *gwv1.Gateway:
		for _, l := range o.Spec.Listeners {
			out = append(out, string(l.Name))
		}
	case *gwv1.ListenerSet:
		for _, l := range o.Spec.Listeners {
			out = append(out, string(l.Name))
		}
	default:
		out = slices.Sorted(maps.Keys(parts))
	}
	return out
}

// routeKinds reads the kinds that a condition of a listener carries.
func routeKinds(names string) []gwv1.RouteGroupKind {
	out := []gwv1.RouteGroupKind{}
	for n := range strings.SplitSeq(names, ",") {
		if n != "" && len(out) < maxKinds {
			group := gwv1.Group(gwv1.GroupName)
			out = append(out, gwv1.RouteGroupKind{Group: &group, Kind: gwv1.Kind(n)})
		}
	}
	return out
}

func features(names []gwv1.FeatureName) []gwv1.SupportedFeature {
	out := []gwv1.SupportedFeature{}
	for _, n := range slices.Compact(slices.Sorted(slices.Values(names))) {
		if len(out) < maxFeatures {
			out = append(out, gwv1.SupportedFeature{Name: n})
		}
	}
	return out
}

// explained returns the conditions of an object that could not be read, with
// the reason for it in place of what compile makes of the remainder.
func explained(cs []source.Condition, p *source.Problem) []source.Condition {
	out := slices.Clone(cs)
	for i := range out {
		if out[i].Status == metav1.ConditionFalse {
			out[i].Message = p.Why + "; " + p.Do
		}
	}
	return out
}
