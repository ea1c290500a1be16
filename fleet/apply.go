package fleet

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/egret-gateway/egret/source"
)

// Applier brings fleets to an API server. It may be used by several
// goroutines, but not for the same Gateway at once.
type Applier struct {
	// Client reads from the API server itself, never from a cache: what a
	// cache does not show yet would be taken for absent.
	Client client.Client
	// Controller is the name that the controller's classes have. It owns the
	// fields that are applied, as it did under the reference, so that fields
	// that only the reference set go when ours come.
	Controller string
	Log        *slog.Logger

	mu      sync.Mutex
	missing map[string]bool // kinds that were logged as not permitted
}

// attempts bounds how often an object is read and applied again when somebody
// else writes it at the same moment.
const attempts = 4

// errForeign says that an object is somebody else's.
var errForeign = errors.New("exists and lacks the label of this controller")

// Apply makes the API server's objects those of f and tells how they are. An
// object that is somebody else's is left as it is, one that may not be written
// is left out; both are told in the State, together with what else was done.
// An error is worth another attempt later.
func (a *Applier) Apply(ctx context.Context, f Fleet) (State, error) {
	var s State
	var errs []error
	p, err := a.phase(ctx, &f)
	if err != nil {
		return s, err
	}
	if s.Unsettled = p != settled; p == leaving {
		a.dismiss(ctx, &f)
	}
	for _, o := range f.Objects() {
		p.shape(o)
		want, err := encode(o)
		if err != nil {
			return s, err
		}
		live, err := a.put(ctx, want)
		switch {
		case errors.Is(err, errForeign):
			s.Conflicts = append(s.Conflicts, fmt.Sprintf("%s %s; rename or delete it, or label it %s=%s to hand it over",
				object(want), errForeign, source.LabelManaged, managed(a.Controller)))
		case optional[want.GetKind()] && unavailable(err):
			s.Missing = append(s.Missing, want.GetKind())
			if want.GetKind() == kindReviewers {
				s.ReviewersRefused = err.Error()
			}
			a.miss(ctx, want.GetKind(), err)
		case err != nil:
			errs = append(errs, fmt.Errorf("%s: %w", object(want), err))
		default:
			errs = append(errs, s.read(live))
		}
	}
	return s, errors.Join(errs...)
}

// put applies want where the live object differs from it, and returns the
// object as it then is.
func (a *Applier) put(ctx context.Context, want *unstructured.Unstructured) (*unstructured.Unstructured, error) {
	var err error
	for range attempts {
		live := &unstructured.Unstructured{}
		live.SetGroupVersionKind(want.GroupVersionKind())
		switch err = a.Client.Get(ctx, client.ObjectKeyFromObject(want), live); {
		case apierrors.IsNotFound(err):
			live = nil
		case err != nil:
			return nil, err
		case live.GetLabels()[source.LabelManaged] != managed(a.Controller):
			return nil, errForeign
		case live.GetDeletionTimestamp() != nil:
			return nil, errors.New("it is being deleted; it is made again when it is gone")
		case within(want.Object, live.Object, "") && !bereft(want, live):
			return live, nil
		}
		var out *unstructured.Unstructured
		if out, err = a.write(ctx, want, live); err == nil || !apierrors.IsConflict(err) {
			return out, err
		}
	}
	return nil, err
}

// bereft reports whether a live object has owners that it is to have no more:
// it would go with them, though its Gateway stays.
func bereft(want, live *unstructured.Unstructured) bool {
	return len(live.GetOwnerReferences()) > 0 && len(want.GetOwnerReferences()) == 0
}

// write applies want over live, which is nil where there is nothing yet. Only
// an object of ours is applied by force, and only as it was read; else the API
// server answers with a conflict.
func (a *Applier) write(ctx context.Context, want, live *unstructured.Unstructured) (*unstructured.Unstructured, error) {
	out := want.DeepCopy()
	options := []client.ApplyOption{client.FieldOwner(a.Controller)}
	if live != nil {
		if want.GetKind() == "Deployment" {
			if err := a.replace(ctx, want, live); err != nil {
				return nil, err
			}
			if err := a.keepScale(ctx, want, live); err != nil {
				return nil, err
			}
		}
		out.SetResourceVersion(live.GetResourceVersion())
		options = append(options, client.ForceOwnership)
	}
	if err := a.Client.Apply(ctx, client.ApplyConfigurationFromUnstructured(out), options...); err != nil {
		return nil, err
	}
	return out, nil
}

// replace deletes a Deployment whose selector is another than wanted, since a
// selector cannot be changed; the conflict that it then returns has the object
// read again. Pods that the new selector finds are left to the new Deployment,
// which replaces them one by one.
func (a *Applier) replace(ctx context.Context, want, live *unstructured.Unstructured) error {
	selector, _, err := unstructured.NestedMap(want.Object, "spec", "selector")
	if err != nil {
		return err
	}
	old, _, err := unstructured.NestedMap(live.Object, "spec", "selector")
	if err != nil || equality.Semantic.DeepEqual(selector, old) {
		return err
	}
	pods, _, err := unstructured.NestedMap(live.Object, "spec", "template", "metadata", "labels")
	if err != nil {
		return err
	}
	how := metav1.DeletePropagationBackground
	if found, _, _ := unstructured.NestedMap(selector, "matchLabels"); within(found, pods, "") {
		how = metav1.DeletePropagationOrphan
	}
	a.Log.InfoContext(ctx, "a Deployment of another selector is replaced", "deployment", object(live), "pods", how)
	err = a.Client.Delete(ctx, live, client.PropagationPolicy(how), only(live))
	if err != nil {
		return err
	}
	return apierrors.NewConflict(schema.GroupResource{Group: "apps", Resource: "deployments"}, live.GetName(),
		errors.New("it was deleted, since its selector cannot be changed"))
}

// keepScale holds the number of pods where it is when autoscaling is to decide
// about it from now on: a field that its owner drops would fall back to 1.
func (a *Applier) keepScale(ctx context.Context, want, live *unstructured.Unstructured) error {
	_, wanted, _ := unstructured.NestedInt64(want.Object, "spec", "replicas")
	replicas, found, err := unstructured.NestedInt64(live.Object, "spec", "replicas")
	if wanted || !found || err != nil {
		return err
	}
	hold := &unstructured.Unstructured{Object: map[string]any{"spec": map[string]any{"replicas": replicas}}}
	hold.SetGroupVersionKind(want.GroupVersionKind())
	hold.SetNamespace(want.GetNamespace())
	hold.SetName(want.GetName())
	return a.Client.Apply(ctx, client.ApplyConfigurationFromUnstructured(hold), client.FieldOwner(a.Controller+"-scale"), client.ForceOwnership)
}

// optional are the kinds that a fleet serves without.
var optional = map[string]bool{"PodDisruptionBudget": true, "HorizontalPodAutoscaler": true, kindReviewers: true}

// unavailable reports whether err says that the kind is not permitted to us or
// not known to the API server.
func unavailable(err error) bool {
	return apierrors.IsForbidden(err) && !apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause) || meta.IsNoMatchError(err)
}

// miss says once per kind what is missing.
func (a *Applier) miss(ctx context.Context, kind string, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.missing[kind] {
		return
	}
	if a.missing == nil {
		a.missing = map[string]bool{}
	}
	a.missing[kind] = true
	a.Log.WarnContext(ctx, "fleets are left without a kind of object; permit it to the controller's ServiceAccount", "kind", kind, "error", err)
}

func managed(controller string) string { return source.Class{Controller: controller}.ManagedLabel() }

// object names an object for people.
func object(o client.Object) string {
	kind := o.GetObjectKind().GroupVersionKind().Kind
	if o.GetNamespace() == "" {
		return kind + " " + o.GetName()
	}
	return kind + " " + o.GetNamespace() + "/" + o.GetName()
}

// only has a deletion concern this very object and not its successor.
func only(o client.Object) client.Preconditions {
	uid := o.GetUID()
	return client.Preconditions{UID: &uid}
}
