package source

import (
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// How the deny-list travels on a cluster. It is in ConfigMaps of the MaaS
// API's namespace that carry LabelDenials: maas-denials, maas-denials-1 and so
// on, all of which count together. Key "denials" of each holds one denial a
// line, its subject and its end:
//
//	jti:0b5e... 2026-03-01T12:00:00Z
//	uid:77aa... 2026-03-01T12:00:00Z
//
// The API writes them. Every controller hands them to its planes and, once
// those have them, says so in each of the ConfigMaps: annotation
// DeliveredAnnotation gets the version that Denials returned. A revocation
// waits for that (acceptance maas 42, 56).
const (
	// DenialsConfigMap names the first ConfigMap.
	DenialsConfigMap = "maas-denials"
	// LabelDenials is on every ConfigMap of the list, with the value "true".
	LabelDenials = "egret.dev/denials"

	denialsKey      = "denials"
	deliveredPrefix = "egret.dev/delivered-"
	// longestController is what an annotation's name leaves for a controller's.
	longestController = longest - len("delivered-")
)

// Denial refuses a token ("jti:…") or an identity ("uid:…") on every route
// until its end.
type Denial struct {
	Subject string
	Until   time.Time
}

// never is the end of a denial that has none which can be read: one bad
// character must not let anybody in.
var never = time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC)

// Denials returns what a ConfigMap of the deny-list says, and the version of
// it: 16 hex digits that change with the list.
func Denials(m *corev1.ConfigMap) (list []Denial, version string) {
	text := m.Data[denialsKey]
	for line := range strings.Lines(text) {
		subject, end, _ := strings.Cut(strings.TrimSpace(line), " ")
		if subject == "" {
			continue
		}
		until, err := time.Parse(time.RFC3339, end)
		if err != nil {
			until = never
		}
		list = append(list, Denial{Subject: subject, Until: until})
	}
	sum := sha256.Sum256([]byte(text))
	return list, hex.EncodeToString(sum[:8])
}

// SetDenials makes list, by subject, what the ConfigMap says. An end is
// rounded up to whole seconds.
func SetDenials(m *corev1.ConfigMap, list map[string]time.Time) {
	var text strings.Builder
	for _, subject := range slices.Sorted(maps.Keys(list)) {
		until := list[subject].Add(time.Second - time.Nanosecond)
		text.WriteString(subject + " " + until.UTC().Format(time.RFC3339) + "\n")
	}
	m.Data = map[string]string{denialsKey: text.String()}
}

// DeliveredAnnotation returns the annotation by which a controller says which
// version of a ConfigMap of the deny-list its planes have. controller is its
// controllerName: what tells it from every other and outlives a restart.
func DeliveredAnnotation(controller string) string {
	name := strings.ReplaceAll(controller, "/", "-")
	if len(name) > longestController {
		sum := sha256.Sum256([]byte(controller))
		name = name[:longestController-11] + "-" + hex.EncodeToString(sum[:5])
	}
	return deliveredPrefix + name
}

// Delivered returns which controllers have said that they deliver the
// ConfigMap, and which version each delivered last; "" is none yet.
func Delivered(m *corev1.ConfigMap) map[string]string {
	by := map[string]string{}
	for name, version := range m.Annotations {
		if controller, ours := strings.CutPrefix(name, deliveredPrefix); ours {
			by[controller] = version
		}
	}
	return by
}
