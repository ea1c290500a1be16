package controller

import (
	"slices"

	gwv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/egret-gateway/egret/source"
)

// held returns what keeps its status while the Gateways (namespace/name) wait
// for their planes, so that a change neither shows as an outage nor is promised
// before it is in force: they themselves, what routes say about them, and the
// policies on their routes.
func held(s *source.Snapshot, cs []source.Condition, waiting map[string]bool) map[source.Key][]source.Ref {
	if len(waiting) == 0 {
		return nil
	}
	out := map[source.Key][]source.Ref{}
	sets := map[string]bool{} // ListenerSets of these Gateways
	for _, o := range s.Gateways {
		if waiting[keyOf(o)] {
			out[source.Key{Kind: "Gateway", Namespace: o.Namespace, Name: o.Name}] = nil
		}
	}
	for _, o := range s.ListenerSets {
		namespace := o.Namespace
		if ns := o.Spec.ParentRef.Namespace; ns != nil {
			namespace = string(*ns)
		}
		if waiting[namespace+"/"+string(o.Spec.ParentRef.Name)] {
			out[source.Key{Kind: "ListenerSet", Namespace: o.Namespace, Name: o.Name}] = nil
			sets[o.Namespace+"/"+o.Name] = true
		}
	}
	for i := range cs {
		to := cs[i].Parent
		parent := to.Namespace + "/" + to.Name
		if (to.Kind == "Gateway" && waiting[parent] || to.Kind == "ListenerSet" && sets[parent]) && !slices.Contains(out[cs[i].Key()], to) {
			out[cs[i].Key()] = append(out[cs[i].Key()], to)
		}
	}
	policy := func(kind, namespace, name string, target gwv1.LocalPolicyTargetReferenceWithSectionName) {
		if _, waits := out[source.Key{Kind: string(target.Kind), Namespace: namespace, Name: string(target.Name)}]; waits {
			out[source.Key{Kind: kind, Namespace: namespace, Name: name}] = nil
		}
	}
	for _, o := range s.AuthPolicies {
		policy("AuthPolicy", o.Namespace, o.Name, o.Spec.TargetRef)
	}
	for _, o := range s.RateLimitPolicies {
		policy("RateLimitPolicy", o.Namespace, o.Name, o.Spec.TargetRef)
	}
	for _, o := range s.TokenRateLimitPolicies {
		policy("TokenRateLimitPolicy", o.Namespace, o.Name, o.Spec.TargetRef)
	}
	return out
}
