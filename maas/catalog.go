package maas

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"
	"sigs.k8s.io/yaml"

	kserve "github.com/egret-gateway/egret/api/kserve/v1alpha1"
	"github.com/egret-gateway/egret/source"
)

// RegistryConfigMap is the ConfigMap that names external models, under the
// key "models".
const (
	RegistryConfigMap = "external-model-registry"
	registryKey       = "models"
)

// external is one entry of the registry. Its backend is for routes
// (docs/decisions/015-models.md): the API does not use it.
type external struct {
	ID       string `json:"id"`
	Provider string `json:"provider"`
}

// catalog is what a snapshot means to this API. It never changes: a new
// snapshot makes a new one, which is swapped in whole, so that every request
// sees one state.
type catalog struct {
	tiers    Tiers
	tiersErr error // why there are none

	externals    []external
	externalsErr error // why there are none although there should be

	services []*kserve.LLMInferenceService // by namespace, then name
	routes   []*gwv1.HTTPRoute
}

func newCatalog(s *source.Snapshot, namespace string) *catalog {
	c := &catalog{tiersErr: errNoMapping, services: s.LLMInferenceServices, routes: s.HTTPRoutes}
	for _, m := range s.ConfigMaps {
		if m.Namespace != namespace {
			continue
		}
		switch m.Name {
		case TiersConfigMap:
			c.tiers, c.tiersErr = readTiers(m)
		case RegistryConfigMap:
			c.externals, c.externalsErr = readRegistry(m)
		}
	}
	return c
}

func readTiers(m *corev1.ConfigMap) (Tiers, error) {
	text, ok := m.Data[tiersKey]
	if !ok {
		return nil, fmt.Errorf("failed to load tier configuration: ConfigMap %s/%s has no key %q", m.Namespace, m.Name, tiersKey)
	}
	tiers, err := ParseTiers(text)
	if err != nil {
		return nil, fmt.Errorf("failed to load tier configuration: ConfigMap %s/%s: %w", m.Namespace, m.Name, err)
	}
	return tiers, nil
}

// readRegistry takes entries as they are: an entry without an id is listed
// without one, and what else it says is ignored (acceptance maas 76).
func readRegistry(m *corev1.ConfigMap) ([]external, error) {
	var list []external
	if err := yaml.Unmarshal([]byte(m.Data[registryKey]), &list); err != nil {
		return nil, fmt.Errorf("ConfigMap %s/%s: the key %q holds no YAML list of models: %w", m.Namespace, m.Name, registryKey, err)
	}
	return list, nil
}
