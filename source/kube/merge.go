package kube

import (
	"encoding/json"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/egret-gateway/egret/source"
)

// entry is an element of a list in a status. What came from the API server is
// sent back byte by byte unless it was set anew, so that fields of others, and
// of versions that are not known here, survive.
type entry[T any] struct {
	value T
	raw   json.RawMessage
}

// UnmarshalJSON keeps the bytes. An element that is not understood has a zero
// value, which is nobody's.
func (e *entry[T]) UnmarshalJSON(raw []byte) error {
	e.raw = slices.Clone(raw)
	if json.Unmarshal(raw, &e.value) != nil {
		var none T
		e.value = none
	}
	return nil
}

// MarshalJSON returns the bytes as they came, or those of the new value.
func (e entry[T]) MarshalJSON() ([]byte, error) {
	if e.raw != nil {
		return e.raw, nil
	}
	return json.Marshal(e.value)
}

type condition = entry[metav1.Condition]

// vocabulary is every type of condition that compile and the controller may
// report. One of these that nobody asks for any more is taken away; any other
// is somebody else's.
var vocabulary = map[string]bool{
	"Accepted": true, "Programmed": true, "ResolvedRefs": true, "Conflicted": true,
	"OverlappingTLSConfig": true, "PartiallyInvalid": true, "SupportedVersion": true,
	"Available": true, "Progressing": true, "Degraded": true, "Enforced": true,
}

func vocabularyHas(typ string) bool { return vocabulary[typ] }

// mergeConditions returns have with the conditions that are wanted in their
// places. Of the others, those that are ours go and all else stays. A
// lastTransitionTime stays for as long as the status does.
func mergeConditions(have []condition, want []source.Condition, ours func(typ string) bool, now time.Time) []condition {
	left := map[string]metav1.Condition{}
	for _, c := range want {
		if c.Type != "" {
			left[c.Type] = legal(c)
		}
	}
	out := []condition{}
	for _, h := range have {
		w, wanted := left[h.value.Type]
		switch {
		case wanted:
			delete(left, h.value.Type)
			out = append(out, update(h, w, now))
		case !ours(h.value.Type):
			out = append(out, h)
		}
	}
	for _, c := range want {
		if w, ok := left[c.Type]; ok && len(out) < maxConditions {
			delete(left, c.Type)
			out = append(out, update(condition{}, w, now))
		}
	}
	return out
}

// update returns h if it says what w does, else w.
func update(h condition, w metav1.Condition, now time.Time) condition {
	w.LastTransitionTime = h.value.LastTransitionTime
	if h.raw != nil && h.value == w {
		return h
	}
	if h.value.Status != w.Status || w.LastTransitionTime.IsZero() {
		w.LastTransitionTime = metav1.NewTime(now.UTC().Truncate(time.Second))
	}
	return condition{value: w}
}

// parent is an entry of a route's status. Its conditions may be of several.
type parent struct {
	ParentRef      gwv1.ParentReference `json:"parentRef"`
	ControllerName string               `json:"controllerName"`
	Conditions     []condition          `json:"conditions"`
}

// ancestor is an entry of a policy's status (Gateway API): a parent by another
// name.
type ancestor struct {
	ParentRef      gwv1.ParentReference `json:"ancestorRef"`
	ControllerName string               `json:"controllerName"`
	Conditions     []condition          `json:"conditions"`
}

// parents are the entries by the names that routes use.
func parents(as []entry[ancestor]) []entry[parent] {
	out := make([]entry[parent], len(as))
	for i, a := range as {
		out[i] = entry[parent]{parent(a.value), a.raw}
	}
	return out
}

// ancestors is the reverse of parents, of as many as a status has room for.
func ancestors(ps []entry[parent]) []entry[ancestor] {
	out := make([]entry[ancestor], 0, len(ps))
	for _, p := range ps[:min(len(ps), maxAncestors)] {
		out = append(out, entry[ancestor]{ancestor(p.value), p.raw})
	}
	return out
}

// verdict is what is wanted for one parentRef.
type verdict struct {
	ref        gwv1.ParentReference // as the spec has it
	conditions []source.Condition
	held       bool // the entry stays as it is
}

// mergeParents returns have with one entry of ours for each verdict. Entries
// of other controllers stay as they are and where they are (acceptance
// gateway 32).
func mergeParents(have []entry[parent], want []verdict, namespace, controller string, now time.Time) []entry[parent] {
	left := map[source.Ref]verdict{}
	for _, v := range want {
		left[resolve(v.ref, namespace)] = v
	}
	out := []entry[parent]{}
	for _, h := range have {
		if h.value.ControllerName != controller {
			out = append(out, h)
			continue
		}
		ref := resolve(h.value.ParentRef, namespace)
		if v, wanted := left[ref]; wanted {
			delete(left, ref)
			if !v.held {
				h = h.value.updated(v, controller, now)
			}
			out = append(out, h)
		}
	}
	for _, v := range want {
		ref := resolve(v.ref, namespace)
		if _, missing := left[ref]; missing && !v.held && len(out) < maxParents {
			delete(left, ref)
			out = append(out, parent{}.updated(v, controller, now))
		}
	}
	return out
}

func (p parent) updated(v verdict, controller string, now time.Time) entry[parent] {
	return entry[parent]{value: parent{v.ref, controller, mergeConditions(p.Conditions, v.conditions, vocabularyHas, now)}}
}

// resolve fills in what a parentRef leaves to defaults.
func resolve(p gwv1.ParentReference, namespace string) source.Ref {
	return source.Ref{
		Group:       string(or(p.Group, gwv1.GroupName)),
		Kind:        string(or(p.Kind, "Gateway")),
		Namespace:   string(or(p.Namespace, gwv1.Namespace(namespace))),
		Name:        string(p.Name),
		SectionName: string(or(p.SectionName, "")),
		Port:        int32(or(p.Port, 0)),
	}
}

// or returns what p points to, or what stands for its absence.
func or[T any](p *T, absent T) T {
	if p == nil {
		return absent
	}
	return *p
}

// stake is an entry of an XBackendDestination's status.
type stake struct {
	Name       string      `json:"name"`
	Conditions []condition `json:"conditions,omitempty"`
}

// mergeStakes returns have with our entry saying what is wanted, or without
// one when nothing is (acceptance gateway 103, 104).
func mergeStakes(have []entry[stake], want []source.Condition, controller string, now time.Time) []entry[stake] {
	out := []entry[stake]{}
	done := len(want) == 0
	for _, h := range have {
		if h.value.Name != controller {
			out = append(out, h)
		} else if !done {
			out = append(out, entry[stake]{value: stake{controller, mergeConditions(h.value.Conditions, want, vocabularyHas, now)}})
			done = true
		}
	}
	if !done && len(out) < maxControl {
		out = append(out, entry[stake]{value: stake{controller, mergeConditions(nil, want, vocabularyHas, now)}})
	}
	return out
}

// listenerStatus is an entry of a Gateway's or ListenerSet's status.
type listenerStatus struct {
	Name           string                `json:"name"`
	SupportedKinds []gwv1.RouteGroupKind `json:"supportedKinds"`
	AttachedRoutes int32                 `json:"attachedRoutes"`
	Conditions     []condition           `json:"conditions"`
}

// mergeListeners returns the listeners that are wanted, in the order of names,
// which is that of the spec (acceptance gateway 53).
func mergeListeners(have []entry[listenerStatus], want map[string][]source.Condition, names []string, now time.Time) []entry[listenerStatus] {
	old := map[string]listenerStatus{}
	for _, h := range have {
		old[h.value.Name] = h.value
	}
	out := []entry[listenerStatus]{}
	for _, n := range names {
		cs := want[n]
		if len(cs) == 0 || len(out) == maxListeners {
			continue
		}
		out = append(out, entry[listenerStatus]{value: listenerStatus{
			Name:           n,
			SupportedKinds: routeKinds(cs[0].Kinds),
			AttachedRoutes: max(cs[0].Attached, 0),
			Conditions:     mergeConditions(old[n].Conditions, cs, vocabularyHas, now),
		}})
	}
	return out
}
