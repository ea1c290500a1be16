package v1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// Group, version and kinds as they stand in manifests.
const (
	Group   = "kuadrant.io"
	Version = "v1"

	KindAuthPolicy      = "AuthPolicy"
	KindRateLimitPolicy = "RateLimitPolicy"
)

// AuthPolicy says who may call a Gateway or a route, and what the backend is
// told about them.
//
// +kubebuilder:object:root=true
type AuthPolicy struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec   AuthPolicySpec `json:"spec"`
	Status PolicyStatus   `json:"status,omitzero"`
}

// AuthPolicySpec carries rules directly (implicit defaults), under Defaults or
// under Overrides: one of the three.
type AuthPolicySpec struct {
	TargetRef gwv1.LocalPolicyTargetReferenceWithSectionName `json:"targetRef"`

	Defaults  *AuthScheme `json:"defaults,omitempty"`
	Overrides *AuthScheme `json:"overrides,omitempty"`

	AuthRuleSet `json:",inline"`
}

// AuthScheme is a rule set with the way in which it meets the rule sets of
// more specific or more general policies.
type AuthScheme struct {
	Strategy    Strategy `json:"strategy,omitempty"`
	AuthRuleSet `json:",inline"`
}

// AuthRuleSet is what an AuthPolicy enforces.
type AuthRuleSet struct {
	// Patterns are named groups that a Pattern refers to by PatternRef.
	Patterns map[string]PatternGroup `json:"patterns,omitempty"`
	// When are CEL predicates that must all hold for the policy to apply.
	When  []Predicate `json:"when,omitempty"`
	Rules *AuthRules  `json:"rules,omitempty"`
}

// PatternGroup is a conjunction of patterns.
type PatternGroup struct {
	AllOf []PatternExpression `json:"allOf"`
}

// AuthRules are the phases of a policy, in the order in which they run. Within
// a phase, rules run by ascending priority.
type AuthRules struct {
	Authentication map[string]Authentication `json:"authentication,omitempty"`
	Metadata       map[string]Metadata       `json:"metadata,omitempty"`
	Authorization  map[string]Authorization  `json:"authorization,omitempty"`
	Response       *Response                 `json:"response,omitempty"`
	// Callbacks are not enforced.
	Callbacks map[string]runtime.RawExtension `json:"callbacks,omitempty"`
}

// Rule is what every rule of every phase has.
type Rule struct {
	// Priority orders the rules of a phase, lowest first; rules of one
	// priority have no order among them.
	Priority int `json:"priority,omitempty"`
	// Metrics asks for per-rule metrics.
	Metrics bool `json:"metrics,omitempty"`
	// When are the conditions under which the rule runs at all.
	When  []Pattern `json:"when,omitempty"`
	Cache *Cache    `json:"cache,omitempty"`
}

// Cache keeps a rule's outcome per key.
type Cache struct {
	Key ValueOrSelector `json:"key"`
	// TTL is in seconds, default 60.
	TTL int `json:"ttl,omitempty"`
}

// ValueOrSelector is a literal, a selector of the authorization JSON (a path
// with modifiers) or a CEL expression; the first that is set counts.
type ValueOrSelector struct {
	Value      *runtime.RawExtension `json:"value,omitempty"`
	Selector   string                `json:"selector,omitempty"`
	Expression string                `json:"expression,omitempty"`
}

// PatternExpression compares a selected value with a literal.
type PatternExpression struct {
	Selector string `json:"selector,omitempty"`
	// Operator is one of eq, neq, incl, excl and matches.
	Operator string `json:"operator,omitempty"`
	Value    string `json:"value,omitempty"`
}

// Pattern is one condition: a comparison, a reference to a named group, a CEL
// predicate, or a conjunction or disjunction of other patterns.
type Pattern struct {
	PatternExpression `json:",inline"`

	PatternRef string    `json:"patternRef,omitempty"`
	Predicate  string    `json:"predicate,omitempty"`
	All        []Pattern `json:"all,omitempty"`
	Any        []Pattern `json:"any,omitempty"`
}

// AuthPolicyList is a list of AuthPolicy.
//
// +kubebuilder:object:root=true
type AuthPolicyList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []AuthPolicy `json:"items"`
}
