package kube

import (
	"regexp"
	"unicode/utf8"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/egret-gateway/egret/source"
)

// Bounds that the API server holds a status to (schema of metav1.Condition and
// of Gateway API). A status beyond them would be refused as a whole.
const (
	maxMessage    = 32768 // characters
	maxReason     = 1024
	maxConditions = 8
	maxParents    = 32
	maxAncestors  = 16
	maxControl    = 8 // controllers of one XBackendDestination
	maxListeners  = 64
	maxAddresses  = 16
	maxFeatures   = 64
	maxKinds      = 8
)

var reasonPattern = regexp.MustCompile(`^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$`)

// legal returns a condition that any API server takes: whatever it is made
// from, every field is filled and within its bounds (acceptance gateway 56).
func legal(c source.Condition) metav1.Condition {
	out := metav1.Condition{
		Type:               c.Type,
		Status:             c.Status,
		Reason:             c.Reason,
		Message:            cut(c.Message, maxMessage),
		ObservedGeneration: max(c.Generation, 0),
	}
	switch out.Status {
	case metav1.ConditionTrue, metav1.ConditionFalse, metav1.ConditionUnknown:
	default:
		out.Status = metav1.ConditionUnknown
	}
	if len(out.Reason) > maxReason || !reasonPattern.MatchString(out.Reason) {
		out.Reason = "Unknown"
	}
	return out
}

// cut shortens a text to a number of characters and marks that it did.
func cut(text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	if utf8.RuneCountInString(text) <= limit {
		return text
	}
	return string([]rune(text)[:limit-1]) + "…"
}
