package local

import (
	"fmt"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/egret-gateway/egret/policy/ident"
	"github.com/egret-gateway/egret/policy/ident/local/localtest"
	"github.com/egret-gateway/egret/source"
)

func TestAccess(t *testing.T) {
	snap, err := localtest.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	cases, err := localtest.Cases()
	if err != nil {
		t.Fatal(err)
	}
	r := &Realm{}
	r.Load(snap)
	for _, c := range cases {
		t.Run(c.Name, func(t *testing.T) {
			if (c.Resource == nil) == (c.Path == nil) {
				t.Fatal("a case asks about a resource or a path")
			}
			allowed, reason, err := r.Access(t.Context(), c.Access())
			if allowed != c.Allowed || reason != c.Reason || err != nil {
				t.Errorf("allowed %v, reason %q, error %v; want %v, %q", allowed, reason, err, c.Allowed, c.Reason)
			}
		})
	}
}

// Twenty roles that all aggregate each other are looked at once each.
func TestAggregationInCircles(t *testing.T) {
	var s source.Snapshot
	all := map[string]string{"all": "1"}
	for i := range 20 {
		s.ClusterRoles = append(s.ClusterRoles, &rbacv1.ClusterRole{
			ObjectMeta:      metav1.ObjectMeta{Name: fmt.Sprint("r", i), Labels: all},
			AggregationRule: &rbacv1.AggregationRule{ClusterRoleSelectors: []metav1.LabelSelector{{MatchLabels: all}}},
		})
	}
	s.ClusterRoles = append(s.ClusterRoles, &rbacv1.ClusterRole{
		ObjectMeta: metav1.ObjectMeta{Name: "leaf", Labels: all},
		Rules:      []rbacv1.PolicyRule{{Verbs: []string{"get"}, NonResourceURLs: []string{"/x"}}},
	})
	s.ClusterRoleBindings = []*rbacv1.ClusterRoleBinding{{
		RoleRef: rbacv1.RoleRef{Kind: "ClusterRole", Name: "r0"}, Subjects: []rbacv1.Subject{{Kind: "User", Name: "u"}},
	}}
	r := &Realm{}
	r.Load(&s)
	if ok, _, err := r.Access(t.Context(), ident.Access{User: "u", Verb: "get", Path: "/x"}); !ok || err != nil {
		t.Errorf("allowed %v, error %v", ok, err)
	}
}
