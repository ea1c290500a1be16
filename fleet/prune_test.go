//go:build cluster

package fleet

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/egret-gateway/egret/source"
)

// objects lists what the API server has of the fleets' kinds in a namespace,
// and the bindings of the controller.
func (w *world) objects(namespace string) []string {
	w.Helper()
	out := []string{}
	for _, kind := range kinds {
		var all metav1.PartialObjectMetadataList
		all.SetGroupVersionKind(kind)
		options := []client.ListOption{client.InNamespace(namespace)}
		if kind.Kind == "ClusterRoleBinding" {
			options = []client.ListOption{client.MatchingLabels{source.LabelManaged: managed(w.applier.Controller)}}
		}
		if err := w.client.List(w.Context(), &all, options...); err != nil {
			w.Fatal(err)
		}
		for _, o := range all.Items {
			out = append(out, kind.Kind+" "+o.Name)
		}
	}
	slices.Sort(out)
	return out
}

// named returns the objects of fleets as world.objects has them.
func named(fleets ...*Fleet) []string {
	out := []string{}
	for _, f := range fleets {
		for _, o := range f.Objects() {
			out = append(out, o.GetObjectKind().GroupVersionKind().Kind+" "+o.GetName())
		}
	}
	slices.Sort(out)
	return out
}

func TestPrune(t *testing.T) {
	// A controller of its own, since Prune sees all namespaces.
	of := func(name string) *Fleet {
		f := tuned(t, "wg-ai-gateway")
		f.Gateway.Namespace, f.Gateway.Name, f.Class.Controller = "prune", name, "example.com/prune"
		return f
	}
	w := newWorld(t, "prune", "example.com/prune", "")
	stays, goes := of("stays"), of("goes")
	w.apply(stays)
	w.apply(goes)
	f := func(test string, fleets []Fleet, want []string) {
		t.Run(test, func(t *testing.T) {
			if err := w.applier.Prune(t.Context(), func() []Fleet { return fleets }); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, w.objects("prune")); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	f("what is wanted stays", []Fleet{*stays, *goes}, named(stays, goes))
	f("gateway-45 B-07 all of a Gateway that is gone goes", []Fleet{*stays}, named(stays))

	t.Run("what is made for a new Gateway while it is looked stays", func(t *testing.T) {
		late := of("late")
		if err := w.applier.Prune(t.Context(), func() []Fleet { w.apply(late); return []Fleet{*stays} }); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(named(late, stays), w.objects("prune")); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
	f("until its Gateway is gone", []Fleet{*stays}, named(stays))

	without := of("stays")
	without.Reviews, without.Parameters.Autoscaling = false, nil
	f("gateway-45 B-07 kinds that are no longer wanted go", []Fleet{*without}, named(without))

	w.create(&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "prune", Name: "mine", Labels: map[string]string{source.LabelManaged: "example.com-prune"}}})
	w.create(&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "prune", Name: "theirs", Annotations: map[string]string{source.AnnotationGateway: "prune/goes"}}})
	f("B-07 what is not ours, or for no Gateway, stays", nil, []string{"ConfigMap mine", "ConfigMap theirs"})
}
