package compile

import (
	"cmp"
	"slices"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"
	gwxv1alpha1 "sigs.k8s.io/gateway-api/apisx/v1alpha1"

	"github.com/egret-gateway/egret/api/ainetworking/v0alpha0"
	"github.com/egret-gateway/egret/source"
)

// name is namespace and name of an object whose kind is known.
type name struct{ ns, name string }

func (n name) String() string { return n.ns + "/" + n.name }

func nameOf(o metav1.Object) name { return name{o.GetNamespace(), o.GetName()} }

// index finds the objects of a snapshot by name.
type index struct {
	gateways     map[name]*gwv1.Gateway
	routes       map[name]*gwv1.HTTPRoute
	destinations map[name]*v0alpha0.XBackendDestination
	xbackends    map[name]*gwxv1alpha1.XBackend
	services     map[name]*corev1.Service
	slices       map[name][]*discoveryv1.EndpointSlice // by Service
	secrets      map[name]*corev1.Secret
	configMaps   map[name]*corev1.ConfigMap
	namespaces   map[string]*corev1.Namespace
	grants       map[string][]*gwv1.ReferenceGrant // by namespace
}

func newIndex(s *source.Snapshot) *index {
	x := &index{
		gateways:     byName(s.Gateways),
		routes:       byName(s.HTTPRoutes),
		destinations: byName(s.Backends),
		xbackends:    byName(s.XBackends),
		services:     byName(s.Services),
		slices:       map[name][]*discoveryv1.EndpointSlice{},
		secrets:      byName(s.Secrets),
		configMaps:   byName(s.ConfigMaps),
		namespaces:   map[string]*corev1.Namespace{},
		grants:       map[string][]*gwv1.ReferenceGrant{},
	}
	for _, o := range s.EndpointSlices {
		service := name{o.Namespace, o.Labels[discoveryv1.LabelServiceName]}
		x.slices[service] = append(x.slices[service], o)
	}
	for _, o := range s.Namespaces {
		x.namespaces[o.Name] = o
	}
	for _, o := range s.ReferenceGrants {
		x.grants[o.Namespace] = append(x.grants[o.Namespace], o)
	}
	return x
}

func byName[T metav1.Object](objects []T) map[name]T {
	m := make(map[name]T, len(objects))
	for _, o := range objects {
		m[nameOf(o)] = o
	}
	return m
}

// byAge returns the objects from the oldest to the youngest. Objects without
// a creationTimestamp, as in files, come after all that have one; namespace
// and name decide what age does not.
func byAge[T metav1.Object](objects []T) []T {
	out := slices.Clone(objects)
	slices.SortStableFunc(out, func(a, b T) int { return older(a, b) })
	return out
}

func older(a, b metav1.Object) int {
	s, t := a.GetCreationTimestamp(), b.GetCreationTimestamp()
	switch {
	case s.IsZero() != t.IsZero():
		if t.IsZero() {
			return -1
		}
		return 1
	case !s.Time.Equal(t.Time):
		return s.Time.Compare(t.Time)
	}
	return cmp.Or(cmp.Compare(a.GetNamespace(), b.GetNamespace()), cmp.Compare(a.GetName(), b.GetName()))
}

// deref returns what p points to, or what stands for its absence.
func deref[T any](p *T, absent T) T {
	if p == nil {
		return absent
	}
	return *p
}
