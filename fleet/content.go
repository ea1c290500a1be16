package fleet

import (
	"encoding/json"
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// encode returns o as it is applied: without the fields that are the API
// server's, and with the hash of what remains, by which a field that is no
// longer wanted is noticed.
func encode(o client.Object) (*unstructured.Unstructured, error) {
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(o)
	if err != nil {
		return nil, err
	}
	delete(content, "status")
	unstructured.RemoveNestedField(content, "metadata", "creationTimestamp")
	unstructured.RemoveNestedField(content, "spec", "template", "metadata", "creationTimestamp")
	ports, _, _ := unstructured.NestedFieldNoCopy(content, "spec", "ports")
	for _, p := range elements(ports) {
		// Go's type has no absent target; the target is then the port itself.
		if p["targetPort"] == int64(0) {
			delete(p, "targetPort")
		}
	}
	text, err := json.Marshal(content)
	if err != nil {
		return nil, err
	}
	u := &unstructured.Unstructured{Object: content}
	annotations := u.GetAnnotations()
	annotations[annotationApplied] = hash(text)
	u.SetAnnotations(annotations)
	return u, nil
}

// keyed are the lists whose elements have owners of their own under server-side
// apply, as each has a key: what others add to them is none of our business.
var keyed = []string{"containers", "env", "ports", "volumes", "volumeMounts", "ownerReferences", "topologySpreadConstraints"}

// within reports whether the live value has all that is wanted; field is its
// name. Fields that only live has are the API server's defaults or somebody
// else's. An edit of a field of ours by hand is thus found.
func within(want, live any, field string) bool {
	switch want := want.(type) {
	case map[string]any:
		live, ok := live.(map[string]any)
		if !ok {
			return false
		}
		for name, v := range want {
			if !within(v, live[name], name) {
				return false
			}
		}
		return true
	case []any:
		live, ok := live.([]any)
		if !ok || len(live) < len(want) {
			return false
		}
		if slices.Contains(keyed, field) {
			return !slices.ContainsFunc(want, func(w any) bool {
				return !slices.ContainsFunc(live, func(l any) bool { return within(w, l, "") })
			})
		}
		return slices.EqualFunc(want, live, func(w, l any) bool { return within(w, l, "") })
	default:
		return want == live
	}
}

// elements returns the maps of a list.
func elements(list any) []map[string]any {
	var out []map[string]any
	all, _ := list.([]any)
	for _, e := range all {
		if m, ok := e.(map[string]any); ok {
			out = append(out, m)
		}
	}
	return out
}
