package controller

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"

	kuadrantv1 "github.com/egret-gateway/egret/api/kuadrant/v1"
	"github.com/egret-gateway/egret/plan"
	"github.com/egret-gateway/egret/source"
)

func TestHeld(t *testing.T) {
	meta := func(name string) metav1.ObjectMeta { return metav1.ObjectMeta{Namespace: "ns", Name: name} }
	policy := func(name, kind, target string) *kuadrantv1.AuthPolicy {
		p := &kuadrantv1.AuthPolicy{ObjectMeta: meta(name)}
		p.Spec.TargetRef.Kind, p.Spec.TargetRef.Name = gwv1.Kind(kind), gwv1.ObjectName(target)
		return p
	}
	s := &source.Snapshot{
		Gateways:     []*gwv1.Gateway{{ObjectMeta: meta("slow")}, {ObjectMeta: meta("quick")}},
		ListenerSets: []*gwv1.ListenerSet{{ObjectMeta: meta("more"), Spec: gwv1.ListenerSetSpec{ParentRef: gwv1.ParentGatewayReference{Name: "slow"}}}},
		AuthPolicies: []*kuadrantv1.AuthPolicy{policy("of-slow", "Gateway", "slow"), policy("of-quick", "Gateway", "quick"), policy("of-both", "HTTPRoute", "both"), policy("of-q", "HTTPRoute", "q")},
	}
	parent := func(kind, name string) source.Ref {
		return source.Ref{Group: gwv1.GroupName, Kind: kind, Namespace: "ns", Name: name}
	}
	at := func(route, kind, name string) source.Condition {
		return source.Condition{Kind: "HTTPRoute", Namespace: "ns", Name: route, Parent: parent(kind, name), Type: "Accepted"}
	}
	cs := []source.Condition{at("both", "Gateway", "slow"), at("both", "Gateway", "slow"), at("both", "Gateway", "quick"), at("q", "Gateway", "quick"), at("set", "ListenerSet", "more")}
	key := func(kind, name string) source.Key { return source.Key{Kind: kind, Namespace: "ns", Name: name} }
	t.Run("B-34 what is held is the Gateway's own and no other's", func(t *testing.T) {
		want := map[source.Key][]source.Ref{
			key("Gateway", "slow"): nil, key("ListenerSet", "more"): nil,
			key("HTTPRoute", "both"): {parent("Gateway", "slow")}, key("HTTPRoute", "set"): {parent("ListenerSet", "more")},
			key("AuthPolicy", "of-slow"): nil, key("AuthPolicy", "of-both"): nil,
		}
		if diff := cmp.Diff(want, held(s, cs, map[string]bool{"ns/slow": true})); diff != "" {
			t.Errorf("(-want +got): %s", diff)
		}
	})
	t.Run("nothing when no Gateway is waited for", func(t *testing.T) {
		if got := held(s, cs, nil); len(got) != 0 {
			t.Errorf("held are %v", got)
		}
	})
}

func TestReviewing(t *testing.T) {
	token := []plan.Authentication{{TokenReview: &plan.TokenReview{}}}
	access := []plan.Authorization{{Access: &plan.AccessReview{}}}
	p := &plan.Plan{Policies: []plan.Policy{
		{Auth: &plan.Auth{Source: "ns/b+ns/a", Authentication: token}},
		{Auth: &plan.Auth{Source: "ns/c", Authorization: access}},
		{Auth: &plan.Auth{Source: "ns/a", Authentication: token, Authorization: access}},
		{Auth: &plan.Auth{Source: "ns/keys", Authentication: []plan.Authentication{{APIKey: &plan.APIKey{}}}, Authorization: []plan.Authorization{{}}}},
		{Token: []plan.Limit{{}}},
	}}
	t.Run("the policies that have tokens or access reviewed, and no others", func(t *testing.T) {
		if diff := cmp.Diff([]string{"ns/a", "ns/b", "ns/c"}, reviewing(p)); diff != "" {
			t.Errorf("(-want +got): %s", diff)
		}
	})
}
