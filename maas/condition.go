package maas

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/egret-gateway/egret/source"
)

// Conditions says what the API makes of its two ConfigMaps in a namespace, as
// compile does of other objects. One that is not there has no condition.
func Conditions(s *source.Snapshot, namespace string) []source.Condition {
	var out []source.Condition
	c := newCatalog(s, namespace)
	for _, m := range s.ConfigMaps {
		var err error
		switch {
		case m.Namespace != namespace:
			continue
		case m.Name == TiersConfigMap:
			err = c.tiersErr
		case m.Name == RegistryConfigMap:
			err = c.externalsErr
		default:
			continue
		}
		told := source.Condition{
			Kind: "ConfigMap", Namespace: m.Namespace, Name: m.Name, Generation: m.Generation,
			Type: "Accepted", Status: metav1.ConditionTrue, Reason: "Accepted", Message: "The MaaS API reads it.",
		}
		if err != nil {
			told.Status, told.Reason, told.Message = metav1.ConditionFalse, "Invalid", err.Error()
		}
		out = append(out, told)
	}
	return out
}
