package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"

	kuadrantv1 "github.com/egret-gateway/egret/api/kuadrant/v1"
)

// Group, version and kind as they stand in manifests.
const (
	Group   = "kuadrant.io"
	Version = "v1alpha1"

	KindTokenRateLimitPolicy = "TokenRateLimitPolicy"
)

// TokenRateLimitPolicy limits the tokens that AI calls may use.
//
// +kubebuilder:object:root=true
type TokenRateLimitPolicy struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec   TokenRateLimitPolicySpec `json:"spec"`
	Status kuadrantv1.PolicyStatus  `json:"status,omitzero"`
}

// TokenRateLimitPolicySpec carries limits directly (implicit defaults), under
// Defaults or under Overrides: one of the three.
type TokenRateLimitPolicySpec struct {
	TargetRef gwv1.LocalPolicyTargetReferenceWithSectionName `json:"targetRef"`

	Defaults  *TokenLimitScheme `json:"defaults,omitempty"`
	Overrides *TokenLimitScheme `json:"overrides,omitempty"`

	TokenLimitSet `json:",inline"`
}

// TokenLimitScheme is a limit set with its merge strategy.
type TokenLimitScheme struct {
	Strategy      kuadrantv1.Strategy `json:"strategy,omitempty"`
	TokenLimitSet `json:",inline"`
}

// TokenLimitSet is what a TokenRateLimitPolicy enforces.
type TokenLimitSet struct {
	// When are CEL predicates that must all hold for any limit to apply.
	When   []kuadrantv1.Predicate `json:"when,omitempty"`
	Limits map[string]TokenLimit  `json:"limits,omitempty"`
}

// TokenLimit is a budget of tokens.
type TokenLimit struct {
	// When are CEL predicates that must all hold for this limit to apply.
	When []kuadrantv1.Predicate `json:"when,omitempty"`
	// Counters split the budget: one counter per combination of their values.
	Counters []kuadrantv1.Counter `json:"counters,omitempty"`
	// Rates all hold at once.
	Rates []kuadrantv1.Rate `json:"rates,omitempty"`
	// Reservation holds tokens back from the moment a request starts; nil
	// means that tokens are charged only when they are known.
	Reservation *Reservation `json:"reservation,omitempty"`
}

// Reservation is what a request holds until its usage is known.
type Reservation struct {
	// Amount is a CEL expression of the tokens to hold, default 0 (none).
	Amount string `json:"amount,omitempty"`
	// TTL is the duration after which a reservation that was never settled
	// ends, such as 5m.
	TTL string `json:"ttl,omitempty"`
}

// TokenRateLimitPolicyList is a list of TokenRateLimitPolicy.
//
// +kubebuilder:object:root=true
type TokenRateLimitPolicyList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []TokenRateLimitPolicy `json:"items"`
}
