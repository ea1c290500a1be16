//go:build cluster

package fleet

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"
)

// permitted waits until the API server knows what the Applier may do, which is
// a moment after it was bound.
func (w *world) permitted() {
	w.Helper()
	for range 1000 {
		if err := w.applier.Client.List(w.Context(), &appsv1.DeploymentList{}); !apierrors.IsForbidden(err) {
			return
		}
	}
	w.Fatal("the binding of the Applier's role has no effect")
}

// The reference's own permissions are enough for a fleet that serves.
func TestPermissions(t *testing.T) {
	f := tuned(t, "wg-ai-gateway")
	f.Gateway.Namespace = "permissions"
	w := newWorld(t, "permissions", f.Class.Controller, "reference")
	all := []string{"get", "list", "watch", "create", "update", "patch", "delete"}
	w.create(&rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: "reference"}, Rules: []rbacv1.PolicyRule{
		{APIGroups: []string{""}, Resources: []string{"serviceaccounts", "services", "configmaps"}, Verbs: all},
		{APIGroups: []string{"apps"}, Resources: []string{"deployments"}, Verbs: all},
	}})
	w.create(&rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "reference"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "reference"},
		Subjects:   []rbacv1.Subject{{Kind: "User", APIGroup: rbacv1.GroupName, Name: "reference"}},
	})
	w.permitted()
	t.Run("what is not permitted is left out and said once", func(t *testing.T) {
		for range 2 {
			s := w.apply(f)
			want := []string{"ClusterRoleBinding", "PodDisruptionBudget", "HorizontalPodAutoscaler"}
			if diff := cmp.Diff(want, s.Missing); diff != "" {
				t.Errorf("missing (-want +got):\n%s", diff)
			}
			if !strings.Contains(s.ReviewersRefused, "forbidden") {
				t.Errorf("why the pods may have nothing reviewed is %q", s.ReviewersRefused)
			}
		}
		if err := w.applier.Prune(t.Context(), func() []Fleet { return []Fleet{*f} }); err != nil {
			t.Error(err)
		}
		if n := strings.Count(w.log.String(), "left without"); n != 3 {
			t.Errorf("%d warnings in\n%s", n, w.log.String())
		}
	})
}

// What our manifests permit is enough for all of a fleet, from the first to the
// last, and for no other role.
func TestManifests(t *testing.T) {
	f := func(file, class string) {
		t.Run(file, func(t *testing.T) {
			fleet := tuned(t, class)
			role, binding := &rbacv1.ClusterRole{}, &rbacv1.ClusterRoleBinding{}
			manifest(t, file, role)
			manifest(t, file, binding)
			account := binding.Subjects[0]
			fleet.Gateway.Namespace = "permits-" + class
			w := newWorld(t, fleet.Gateway.Namespace, fleet.Class.Controller, "system:serviceaccount:"+account.Namespace+":"+account.Name)
			w.create(role)
			w.create(binding)
			w.permitted()
			for range 2 {
				if s := w.apply(fleet); len(s.Missing) > 0 || s.ReviewersRefused != "" || len(s.Conflicts) > 0 {
					t.Errorf("state is %+v", s)
				}
			}
			fleet.Parameters.Service.Annotations = nil // something to patch
			w.apply(fleet)
			escalation := fleet.reviewers()
			escalation.Name, escalation.RoleRef.Name, escalation.ResourceVersion = "escalation-"+class, "cluster-admin", ""
			if err := w.applier.Client.Create(t.Context(), escalation); !apierrors.IsForbidden(err) {
				t.Errorf("a binding to cluster-admin: %v", err)
			}
			if err := w.applier.Prune(t.Context(), func() []Fleet { return nil }); err != nil {
				t.Error(err)
			}
			if diff := cmp.Diff([]string{}, w.objects(fleet.Gateway.Namespace)); diff != "" {
				t.Errorf("what is left (-want +got):\n%s", diff)
			}
		})
	}
	f("openshift/controller.yaml", "wg-ai-gateway")
	f("maas/controller/controller.yaml", "egret")
}

// manifest reads the document of a manifest that is of the kind of o.
func manifest(t *testing.T, file string, o any) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("../manifests", file))
	if err != nil {
		t.Fatal(err)
	}
	kind := reflect.TypeOf(o).Elem().Name()
	for part := range strings.SplitSeq(string(text), "\n---\n") {
		if strings.Contains(part, "\nkind: "+kind+"\n") {
			if err := yaml.UnmarshalStrict([]byte(part), o); err != nil {
				t.Fatal(err)
			}
			return
		}
	}
	t.Fatalf("%s has no %s", file, kind)
}
