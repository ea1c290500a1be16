package kube

import (
	"encoding/json"
	"fmt"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	kjson "sigs.k8s.io/json"

	"github.com/egret-gateway/egret/source"
)

// item is one object as it came from the API server. It never changes.
type item struct {
	key source.Key
	// object is what the snapshot gets: decoded and trimmed, without
	// resourceVersion. It is nil when it could not be decoded.
	object  metav1.Object
	problem *source.Problem
	// status is the status as written, of kinds whose status we write.
	status json.RawMessage
	owned  owned

	uid             types.UID
	generation      int64
	resourceVersion string
	annotations     map[string]string
}

// head is what is read of an object whatever its kind.
type head struct {
	Metadata struct {
		Name            string                      `json:"name"`
		Namespace       string                      `json:"namespace"`
		UID             types.UID                   `json:"uid"`
		Generation      int64                       `json:"generation"`
		ResourceVersion string                      `json:"resourceVersion"`
		Annotations     map[string]string           `json:"annotations"`
		ManagedFields   []metav1.ManagedFieldsEntry `json:"managedFields"`
	} `json:"metadata"`
	Status json.RawMessage `json:"status"`
}

// decode reads an object. What cannot be read is a problem of that object
// alone; an error means that not even its name can be told.
func (k *kind) decode(raw []byte, manager string) (*item, error) {
	var h head
	if err := json.Unmarshal(raw, &h); err != nil {
		return nil, fmt.Errorf("%s: read metadata: %w", k.name, err)
	}
	m := &h.Metadata
	i := &item{
		key:             source.Key{Kind: k.name, Namespace: m.Namespace, Name: m.Name},
		uid:             m.UID,
		generation:      m.Generation,
		resourceVersion: m.ResourceVersion,
	}
	if k.shape != shapeNone {
		i.status, i.owned = h.Status, ownedBy(manager, m.ManagedFields)
	}
	o := k.empty()
	if err := kjson.UnmarshalCaseSensitivePreserveInts(raw, o); err != nil {
		i.problem = &source.Problem{
			Object: i.key.String(),
			Why:    "cannot be read: " + strings.TrimPrefix(err.Error(), "json: "),
			Do:     "correct the field, or install the definition of " + k.plural + " that this version is made for",
		}
		o = k.stub(raw)
	}
	if o != nil {
		i.object = k.strip(o)
	}
	return i, nil
}

// strip takes off an object what nobody reads.
func (k *kind) strip(o metav1.Object) metav1.Object {
	o.SetManagedFields(nil)
	o.SetResourceVersion("")
	a := o.GetAnnotations()
	delete(a, "kubectl.kubernetes.io/last-applied-configuration")
	if len(a) == 0 {
		o.SetAnnotations(nil)
	}
	k.trim(o)
	return o
}

// stub stands for a policy that cannot be decoded: it says what the policy is
// about and is invalid in itself, so that its target is closed rather than
// left without the policy.
func (k *kind) stub(raw []byte) metav1.Object {
	if k.guard == "" {
		return nil
	}
	var broken struct {
		Metadata json.RawMessage            `json:"metadata"`
		Spec     map[string]json.RawMessage `json:"spec"`
	}
	if json.Unmarshal(raw, &broken) != nil {
		return nil
	}
	nothing := json.RawMessage("{}")
	broken.Spec = map[string]json.RawMessage{k.guard: broken.Spec[k.guard], "defaults": nothing, "overrides": nothing}
	raw, err := json.Marshal(broken)
	if err != nil {
		return nil
	}
	o := k.empty()
	if kjson.UnmarshalCaseSensitivePreserveInts(raw, o) != nil {
		return nil
	}
	return o
}

// An item is a runtime.Object as far as a reflector needs one.

func (i *item) GetObjectKind() schema.ObjectKind { return schema.EmptyObjectKind }
func (i *item) DeepCopyObject() runtime.Object   { return i }
func (i *item) GetObjectMeta() metav1.Object {
	return &metav1.ObjectMeta{
		Namespace:       i.key.Namespace,
		Name:            i.key.Name,
		ResourceVersion: i.resourceVersion,
		Annotations:     i.annotations,
	}
}

// page is a list of items.
type page struct {
	metav1.TypeMeta
	metav1.ListMeta
	Items []runtime.Object
}

func (p *page) DeepCopyObject() runtime.Object { return p }
