package maas

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"
)

// TiersConfigMap is the ConfigMap that says which groups are in which tier,
// under the key "tiers".
const (
	TiersConfigMap = "tier-to-group-mapping"
	tiersKey       = "tiers"
	maxTiersBytes  = 1 << 20 // as much as a ConfigMap can hold
)

// Tier is one entry of the mapping.
type Tier struct {
	Name        string   `json:"name"`
	DisplayName string   `json:"displayName"`
	Description string   `json:"description"`
	Groups      []string `json:"groups"`
	Level       int      `json:"level"` // higher wins
}

// Tiers is a checked mapping, highest level first and otherwise in the order
// of the file.
type Tiers []Tier

var (
	errNoMapping = errors.New("tier mapping not found, provide configuration in " + TiersConfigMap)
	errNoTier    = errors.New("not found in any tier")
)

// ParseTiers reads the YAML list of tiers. One bad tier makes the whole
// mapping unusable (acceptance maas 65), so that no group falls into a lower
// tier unnoticed.
func ParseTiers(text string) (Tiers, error) {
	if len(text) > maxTiersBytes {
		return nil, fmt.Errorf("the tier list has %d bytes, %d are allowed", len(text), maxTiersBytes)
	}
	var tiers Tiers
	if err := yaml.Unmarshal([]byte(text), &tiers); err != nil {
		return nil, fmt.Errorf("the key %q holds no YAML list of tiers: %w", tiersKey, err)
	}
	seen := make(map[string]bool, len(tiers))
	for i, t := range tiers {
		switch {
		case t.Name == "":
			return nil, fmt.Errorf("tier %d has no name", i+1)
		case seen[t.Name]:
			return nil, fmt.Errorf("tier %q is there twice", t.Name)
		case t.DisplayName != "" && strings.TrimSpace(t.DisplayName) == "":
			return nil, fmt.Errorf("tier %q: displayName is blank; leave it out to show the name", t.Name)
		}
		seen[t.Name] = true
		if t.DisplayName == "" {
			tiers[i].DisplayName = t.Name
		}
	}
	slices.SortStableFunc(tiers, func(a, b Tier) int { return cmp.Compare(b.Level, a.Level) })
	return tiers, nil
}

// Of returns the highest tier that holds any of the groups. On top of its
// list each tier holds the ServiceAccounts of its own namespace, so that a
// MaaS token leads back to the tier it was made in (acceptance maas 38).
func (ts Tiers) Of(instance string, groups []string) (Tier, error) {
	for _, t := range ts {
		own := "system:serviceaccounts:" + tierNamespace(instance, t.Name)
		for _, g := range groups {
			if g == own || slices.Contains(t.Groups, g) {
				return t, nil
			}
		}
	}
	return Tier{}, fmt.Errorf("group groups [%s] %w", strings.Join(groups, ", "), errNoTier)
}

// Named returns the tier of that name.
func (ts Tiers) Named(name string) (Tier, error) {
	for _, t := range ts {
		if t.Name == name {
			return t, nil
		}
	}
	return Tier{}, fmt.Errorf("tier %q is no longer in %s", name, TiersConfigMap)
}
