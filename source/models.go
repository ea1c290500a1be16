package source

import (
	"errors"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	kjson "sigs.k8s.io/json"
	"sigs.k8s.io/yaml"
)

// RegistryConfigMap is the ConfigMap in the MaaS API's namespace that names
// external models.
const RegistryConfigMap = "external-model-registry"

// ModelsKey is the key of a ConfigMap that lists models as YAML: the registry,
// or one that an HTTPRoute names in an ExtensionRef filter.
const ModelsKey = "models"

// Model is one entry of such a list.
type Model struct {
	// ID is the model as clients say it. A "*" at its end stands for any rest.
	ID string `json:"id"`
	// Provider is whose it is: owned_by in the list of models, and what the
	// next gateway is told in X-Target-Provider.
	Provider string `json:"provider,omitempty"`
	// Backend is the XBackendDestination that serves it, of the route's
	// namespace or, with a ReferenceGrant there, "namespace/name".
	Backend string `json:"backend,omitempty"`
	// Port is one of the Backend's; 0 = the only one that it has.
	Port int32 `json:"port,omitempty"`
	// Model is what the Backend calls it; "" = as clients do.
	Model string `json:"model,omitempty"`
}

// ParseRegistry reads the registry as the MaaS API does: what it does not know
// of an entry is nothing to it, and entries without an id are left out.
func ParseRegistry(cm *corev1.ConfigMap) ([]Model, error) {
	var list []Model
	if err := yaml.Unmarshal([]byte(cm.Data[ModelsKey]), &list); err != nil {
		return nil, fmt.Errorf("ConfigMap %s/%s: the key %q holds no YAML list of models: %w", cm.Namespace, cm.Name, ModelsKey, err)
	}
	var out []Model
	for _, m := range list {
		if m.check() == nil {
			out = append(out, m)
		}
	}
	return out, nil
}

// ParseModels reads the list that an HTTPRoute names. Its errors are for the
// author of the ConfigMap.
func ParseModels(cm *corev1.ConfigMap) ([]Model, error) {
	list, err := parseModels(cm)
	if err != nil {
		return nil, fmt.Errorf("ConfigMap %s/%s: %w", cm.Namespace, cm.Name, err)
	}
	return list, nil
}

func parseModels(cm *corev1.ConfigMap) ([]Model, error) {
	text, ok := cm.Data[ModelsKey]
	if !ok {
		return nil, fmt.Errorf("it has no key %s; list the models under it (one above 16 KiB is read only where the ConfigMap has a label that begins with egret.dev/)", ModelsKey)
	}
	data, err := yaml.YAMLToJSONStrict([]byte(text))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", ModelsKey, err)
	}
	if !strings.HasPrefix(string(data), "[") {
		return nil, fmt.Errorf("%s: it is no list; write entries such as \"- {id: gpt-4, backend: openai-backend}\"", ModelsKey)
	}
	var list []Model
	strict, err := kjson.UnmarshalStrict(data, &list)
	if err = errors.Join(append(strict, err)...); err != nil {
		return nil, fmt.Errorf("%s: %w", ModelsKey, err)
	}
	seen := map[string]bool{}
	for i, m := range list {
		if err := m.check(); err != nil {
			return nil, fmt.Errorf("%s: entry %d: %w", ModelsKey, i, err)
		}
		if seen[m.ID] {
			return nil, fmt.Errorf("%s: entry %d: model %q is there twice; keep one", ModelsKey, i, m.ID)
		}
		seen[m.ID] = true
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("%s: it lists no model, so every call would be refused", ModelsKey)
	}
	return list, nil
}

// longestName bounds the name of a model in bytes, as it is in bodies.
const longestName = 1024

func (m *Model) check() error {
	plain := func(s string) bool {
		return len(s) <= longestName && !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f })
	}
	switch {
	case m.ID == "":
		return errors.New("it has no id")
	case !plain(m.ID), !plain(m.Model), !plain(m.Provider):
		return fmt.Errorf("id, model and provider are at most %d bytes, without control characters", longestName)
	case strings.Contains(strings.TrimSuffix(m.ID, "*"), "*"):
		return fmt.Errorf("id %q: a * may stand at its end only", m.ID)
	case strings.HasSuffix(m.Model, "*"):
		return fmt.Errorf("model %q: a backend is asked for one model, not for a pattern", m.Model)
	case m.Port < 0 || m.Port > 65535:
		return fmt.Errorf("port %d is not between 1 and 65535", m.Port)
	}
	return nil
}
