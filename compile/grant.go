package compile

import (
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/egret-gateway/egret/api/ainetworking/v0alpha0"
)

// referrer is an object that refers to others, as a ReferenceGrant names it.
type referrer struct{ group, kind, namespace string }

// referent is an object that is referred to. Some have two names in manifests:
// an XBackendDestination is also called Backend.
type referent struct {
	group           string
	kinds           []string
	namespace, name string
}

func gatewayRef(ns string) referrer { return referrer{gwv1.GroupName, "Gateway", ns} }
func routeRef(ns string) referrer   { return referrer{gwv1.GroupName, "HTTPRoute", ns} }
func destinationRef(ns string) referrer {
	return referrer{v0alpha0.Group, v0alpha0.KindXBackendDestination, ns}
}

// granted reports whether from may refer to to: always within a namespace,
// else when a ReferenceGrant in the referent's namespace says so.
func (x *index) granted(from referrer, to referent) bool {
	if from.namespace == to.namespace {
		return true
	}
	for _, g := range x.grants[to.namespace] {
		if grantsFrom(g, from) && grantsTo(g, to) {
			return true
		}
	}
	return false
}

func grantsFrom(g *gwv1.ReferenceGrant, from referrer) bool {
	for _, f := range g.Spec.From {
		if string(f.Group) == from.group && string(f.Kind) == from.kind && string(f.Namespace) == from.namespace {
			return true
		}
	}
	return false
}

func grantsTo(g *gwv1.ReferenceGrant, to referent) bool {
	for _, t := range g.Spec.To {
		if string(t.Group) != to.group || (t.Name != nil && *t.Name != "" && string(*t.Name) != to.name) {
			continue
		}
		for _, k := range to.kinds {
			if string(t.Kind) == k {
				return true
			}
		}
	}
	return false
}
