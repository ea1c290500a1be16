package v1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// RateLimitPolicy limits requests to a Gateway or a route.
//
// +kubebuilder:object:root=true
type RateLimitPolicy struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec   RateLimitPolicySpec `json:"spec"`
	Status PolicyStatus        `json:"status,omitzero"`
}

// RateLimitPolicySpec carries limits directly (implicit defaults), under
// Defaults or under Overrides: one of the three.
type RateLimitPolicySpec struct {
	TargetRef gwv1.LocalPolicyTargetReferenceWithSectionName `json:"targetRef"`

	Defaults  *LimitScheme `json:"defaults,omitempty"`
	Overrides *LimitScheme `json:"overrides,omitempty"`

	LimitSet `json:",inline"`
}

// LimitScheme is a limit set with its merge strategy.
type LimitScheme struct {
	Strategy Strategy `json:"strategy,omitempty"`
	LimitSet `json:",inline"`
}

// LimitSet is what a RateLimitPolicy enforces.
type LimitSet struct {
	// When are CEL predicates that must all hold for any limit to apply.
	When   []Predicate      `json:"when,omitempty"`
	Limits map[string]Limit `json:"limits,omitempty"`
}

// Limit is a budget of requests.
type Limit struct {
	// When are CEL predicates that must all hold for this limit to apply.
	When []Predicate `json:"when,omitempty"`
	// Counters split the budget: one counter per combination of their values.
	Counters []Counter `json:"counters,omitempty"`
	// Rates all hold at once.
	Rates []Rate `json:"rates,omitempty"`
}

// Counter is a CEL expression whose value a budget is kept for.
type Counter struct {
	Expression string `json:"expression"`
}

// Rate is an amount per window.
type Rate struct {
	Limit int `json:"limit"`
	// Window is a duration such as 1m or 1h30m, of h, m, s and ms.
	Window string `json:"window"`
}

// Predicate is a CEL expression of type bool.
type Predicate struct {
	Predicate string `json:"predicate"`
}

// Strategy says how a rule set meets those of other policies.
type Strategy string

const (
	// StrategyAtomic replaces the other set as a whole; it is the default.
	StrategyAtomic Strategy = "atomic"
	// StrategyMerge combines the sets rule by rule.
	StrategyMerge Strategy = "merge"
)

// PolicyStatus is the status of every policy kind.
type PolicyStatus struct {
	ObservedGeneration int64              `json:"observedGeneration,omitempty"`
	Conditions         []metav1.Condition `json:"conditions,omitempty"`
}

// RateLimitPolicyList is a list of RateLimitPolicy.
//
// +kubebuilder:object:root=true
type RateLimitPolicyList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []RateLimitPolicy `json:"items"`
}
