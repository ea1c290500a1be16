package maas

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/egret-gateway/egret/store"
)

// How the deny-list travels on a cluster: as text in ConfigMaps, one denial a
// line, its subject and its end. Whoever reads it must take all ConfigMaps of
// the API's namespace with DenialsLabel together.
const (
	// DenialsConfigMap names the first ConfigMap; further ones have "-1", "-2"
	// and so on added.
	DenialsConfigMap = "maas-denials"
	// DenialsLabel is on every ConfigMap of the list, with the value "true".
	DenialsLabel = "egret.dev/denials"
	// DeliveredPrefix and a controller's name make the annotation by which the
	// controller says that its planes have what the ConfigMap says: its value
	// is DenialsHash.
	DeliveredPrefix = "egret.dev/delivered-"

	denialsKey = "denials"
)

// WriteDenials makes list, sorted by subject, what the ConfigMap says.
func WriteDenials(m *corev1.ConfigMap, list map[string]time.Time) {
	var text strings.Builder
	for _, subject := range slices.Sorted(maps.Keys(list)) {
		fmt.Fprintf(&text, "%s %s\n", subject, list[subject].UTC().Format(time.RFC3339))
	}
	m.Data = map[string]string{denialsKey: text.String()}
}

// ReadDenials returns what a ConfigMap of the deny-list says. A line that
// cannot be read is an error, and all the others are returned with it: one bad
// line must not let anybody in.
func ReadDenials(m *corev1.ConfigMap) (list []store.Denial, err error) {
	for line := range strings.Lines(m.Data[denialsKey]) {
		subject, end, _ := strings.Cut(strings.TrimSpace(line), " ")
		if subject == "" {
			continue
		}
		until, bad := time.Parse(time.RFC3339, end)
		if bad != nil {
			err = fmt.Errorf("ConfigMap %s/%s: the denial %.100q has no end like 2026-01-31T00:00:00Z", m.Namespace, m.Name, line)
			continue
		}
		list = append(list, store.Denial{Subject: subject, Until: until})
	}
	return list, err
}

// DenialsHash identifies what a ConfigMap of the deny-list says: 16 hex digits.
func DenialsHash(m *corev1.ConfigMap) string {
	sum := sha256.Sum256([]byte(m.Data[denialsKey]))
	return hex.EncodeToString(sum[:8])
}
