package fleet

import (
	"context"
	"errors"
	"fmt"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/egret-gateway/egret/source"
)

// kinds are those of a fleet's objects, in the order in which they are removed.
var kinds = []schema.GroupVersionKind{
	{Group: "autoscaling", Version: "v2", Kind: "HorizontalPodAutoscaler"},
	{Group: "policy", Version: "v1", Kind: "PodDisruptionBudget"},
	{Version: "v1", Kind: "Service"},
	{Group: "apps", Version: "v1", Kind: "Deployment"},
	{Group: "rbac.authorization.k8s.io", Version: "v1", Kind: kindReviewers},
	{Version: "v1", Kind: "ServiceAccount"},
	{Version: "v1", Kind: "ConfigMap"},
}

// name is that of an object anywhere.
type name struct{ kind, namespace, name string }

// Prune deletes the objects of this controller that belong to none of the
// fleets to keep: of Gateways that are gone, were given to another class, or no longer
// want an object of that kind (acceptance gateway 45). What has the
// controller's label but was not made for a Gateway stays. The fleets must be
// those of every Gateway of the controller: nothing in the cluster tells one
// that was forgotten from one that is gone. They are asked for when it has been
// read what there is, so that nothing is taken for left over that was made
// meanwhile for a Gateway that is new.
func (a *Applier) Prune(ctx context.Context, keep func() []Fleet) error {
	var there []*metav1.PartialObjectMetadata
	var errs []error
	for _, kind := range kinds {
		all, err := a.managed(ctx, kind)
		if optional[kind.Kind] && unavailable(err) {
			a.miss(ctx, kind.Kind, err)
			continue
		}
		there, errs = append(there, all...), append(errs, err)
	}
	kept := map[name]bool{}
	for _, f := range keep() {
		for _, o := range f.Objects() {
			kept[name{o.GetObjectKind().GroupVersionKind().Kind, o.GetNamespace(), o.GetName()}] = true
		}
	}
	for _, o := range there {
		if kept[name{o.Kind, o.Namespace, o.Name}] || !forGateway(o) || o.DeletionTimestamp != nil {
			continue
		}
		err := a.Client.Delete(ctx, o, client.PropagationPolicy(metav1.DeletePropagationBackground), only(o))
		if optional[o.Kind] && unavailable(err) {
			a.miss(ctx, o.Kind, err)
			continue
		}
		if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
			errs = append(errs, fmt.Errorf("delete %s: %w", object(o), err))
			continue
		}
		a.Log.InfoContext(ctx, "deleted what no Gateway wants any more", "object", object(o))
	}
	return errors.Join(errs...)
}

// managed lists what of a kind has the controller's label.
func (a *Applier) managed(ctx context.Context, kind schema.GroupVersionKind) (out []*metav1.PartialObjectMetadata, err error) {
	var all metav1.PartialObjectMetadataList
	all.SetGroupVersionKind(kind.GroupVersion().WithKind(kind.Kind + "List"))
	if err := a.Client.List(ctx, &all, client.MatchingLabels{source.LabelManaged: managed(a.Controller)}); err != nil {
		return nil, fmt.Errorf("list %ss of this controller: %w", kind.Kind, err)
	}
	for i := range all.Items {
		all.Items[i].SetGroupVersionKind(kind)
		out = append(out, &all.Items[i])
	}
	return out, nil
}

// forGateway reports whether an object was made for a Gateway, by us or by the
// reference, which says so by the owner alone.
func forGateway(o *metav1.PartialObjectMetadata) bool {
	return o.Annotations[source.AnnotationGateway] != "" ||
		slices.ContainsFunc(o.OwnerReferences, func(r metav1.OwnerReference) bool { return r.Kind == "Gateway" })
}
