package compile

import (
	"cmp"
	"encoding/json"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	kuadrantv1 "github.com/egret-gateway/egret/api/kuadrant/v1"
	"github.com/egret-gateway/egret/plan"
)

// apiKeyItem is where a Secret holds its API key (Authorino).
const apiKeyItem = "api_key"

// apiKeys finds the Secrets whose keys are accepted: those of the policy's
// namespace, or of all, that the selector selects. None at all is no mistake:
// every key is then refused.
func (t *authTranslation) apiKeys(spec *kuadrantv1.APIKey) (*plan.APIKey, *problem) {
	selector, err := metav1.LabelSelectorAsSelector(&spec.Selector)
	if err != nil {
		return nil, problemf(reasonInvalid, "apiKey.selector: %v", err)
	}
	out := &plan.APIKey{}
	for _, s := range t.snapshot.Secrets {
		if (s.Namespace != t.policy.ns && !spec.AllNamespaces) || len(s.Data[apiKeyItem]) == 0 ||
			!selector.Matches(labels.Set(s.Labels)) {
			continue
		}
		kept := t.keep(plan.SecretAPIKey, "secret/"+nameOf(s).String(), map[string][]byte{apiKeyItem: s.Data[apiKeyItem]})
		out.Keys = append(out.Keys, plan.APIKeyRef{Secret: kept, Identity: keyIdentity(s)})
	}
	slices.SortFunc(out.Keys, func(a, b plan.APIKeyRef) int { return cmp.Compare(a.Secret, b.Secret) })
	return out, nil
}

// keyIdentity is what a key's holder is known as: its Secret's metadata. The
// annotation in which kubectl keeps the manifest holds the key itself and is
// left out.
func keyIdentity(s *corev1.Secret) json.RawMessage {
	annotations := maps.Clone(s.Annotations)
	delete(annotations, corev1.LastAppliedConfigAnnotation)
	metadata := map[string]any{"name": s.Name, "namespace": s.Namespace}
	if len(s.Labels) > 0 {
		metadata["labels"] = s.Labels
	}
	if len(annotations) > 0 {
		metadata["annotations"] = annotations
	}
	out, err := json.Marshal(map[string]any{"metadata": metadata})
	if err != nil {
		panic("BUG: strings that JSON cannot express: " + err.Error())
	}
	return out
}

// sharedSecret resolves the secret that a metadata call signs in with.
func (t *authTranslation) sharedSecret(ref *kuadrantv1.SecretKeyRef) (string, *problem) {
	target := name{t.policy.ns, ref.Name}
	s := t.index.secrets[target]
	if s == nil || len(s.Data[ref.Key]) == 0 {
		return "", problemf(reasonMissingResource, "Secret %s has no item %q; create it", target, ref.Key)
	}
	return t.keep(plan.SecretOpaque, "secret/"+target.String(), map[string][]byte{ref.Key: s.Data[ref.Key]}), nil
}
