package kube

import (
	"encoding/json"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// owned says which parts of a status were written by this controller and have
// not been changed by another since: what may be withdrawn, also by a process
// that knows nothing of the one that wrote them.
type owned struct {
	conditions map[string]bool // by type
	rest       bool            // listeners or addresses
}

func (o owned) any() bool { return len(o.conditions) > 0 || o.rest }

// ownedBy reads managedFields: field managers are kept by the API server.
func ownedBy(manager string, entries []metav1.ManagedFieldsEntry) owned {
	var out owned
	for _, e := range entries {
		if e.Manager != manager || e.Subresource != "status" || e.FieldsV1 == nil {
			continue
		}
		var set struct {
			Status struct {
				Conditions map[string]map[string]any `json:"f:conditions"`
				Listeners  any                       `json:"f:listeners"`
				Addresses  any                       `json:"f:addresses"`
			} `json:"f:status"`
		}
		if json.Unmarshal(e.FieldsV1.GetRawBytes(), &set) != nil {
			continue
		}
		out.rest = out.rest || set.Status.Listeners != nil || set.Status.Addresses != nil
		for key, fields := range set.Status.Conditions {
			if typ, ok := conditionKey(key); ok && fields["f:status"] != nil && fields["f:message"] != nil {
				if out.conditions == nil {
					out.conditions = map[string]bool{}
				}
				out.conditions[typ] = true
			}
		}
	}
	return out
}

// conditionKey reads the type out of k:{"type":"Accepted"}.
func conditionKey(key string) (string, bool) {
	text, ok := strings.CutPrefix(key, "k:")
	var k struct {
		Type string `json:"type"`
	}
	return k.Type, ok && json.Unmarshal([]byte(text), &k) == nil && k.Type != ""
}
