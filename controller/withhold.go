package controller

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	gwv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/egret-gateway/egret/fleet"
	"github.com/egret-gateway/egret/source"
)

// reasonUnread is that of a Gateway whose policies may not be read.
const reasonUnread = "PoliciesUnreadable"

// unserved says why a Gateway that is ours is not brought up to date: its pods,
// if there are any, go on with what they have. nil if it is.
func (c *Controller) unserved(o *gwv1.Gateway, class source.Class) *problem {
	for _, at := range about(c.conditions, source.Key{Kind: "Gateway", Namespace: o.Namespace, Name: o.Name}) {
		if at.Parent == (source.Ref{}) && at.Reason == string(gwv1.GatewayReasonInvalidParameters) {
			return &problem{at.Reason, at.Message}
		}
	}
	if p := c.egress.unruled(); p != nil {
		return p
	}
	if len(c.unread) == 0 || class.Controller == source.ControllerWG && !c.guarded(o, class) {
		return nil
	}
	kinds := strings.Join(c.unread, ", ")
	return &problem{reasonUnread, fmt.Sprintf("The controller may not read %s, so it cannot know who may use the Gateway's routes. "+
		"Pods that run go on with what they had; nothing new is served. "+
		"Permit get, list and watch of these kinds to the controller's ServiceAccount, or remove their definitions.", kinds)}
}

// guarded reports whether routes of a Gateway had policies when a controller
// that could read these applied its fleet. The reference's manifests permit
// nobody to read policies, and its routes have none: such a Gateway is served.
// One that was guarded is never opened by a permission that went.
func (c *Controller) guarded(o *gwv1.Gateway, class source.Class) bool {
	name := source.ResourceName(class, o.Namespace, o.Name)
	for _, m := range c.snapshot.ConfigMaps {
		if m.Namespace == o.Namespace && m.Name == name {
			return m.Labels[source.LabelManaged] == class.ManagedLabel() && fleet.WasGuarded(m)
		}
	}
	return false
}

// whole is the fleet that a Gateway may have, of which it is not known what it
// is to be: every object there can be, for none to be removed.
func whole(o *gwv1.Gateway, class source.Class) fleet.Fleet {
	return fleet.Fleet{Gateway: o, Class: class, Reviews: true, Parameters: source.Parameters{Autoscaling: &source.Autoscaling{Min: 1, Max: 1}}}
}

// about returns the conditions of one object and its parts. They are sorted by
// object, as compile returns them.
func about(cs []source.Condition, key source.Key) []source.Condition {
	from, _ := slices.BinarySearchFunc(cs, key, func(c source.Condition, k source.Key) int { return compareKeys(c.Key(), k) })
	to := from
	for to < len(cs) && cs[to].Key() == key {
		to++
	}
	return cs[from:to]
}

func compareKeys(a, b source.Key) int {
	return cmp.Or(strings.Compare(a.Kind, b.Kind), strings.Compare(a.Namespace, b.Namespace), strings.Compare(a.Name, b.Name))
}
