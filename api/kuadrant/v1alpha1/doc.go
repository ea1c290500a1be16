// Package v1alpha1 holds TokenRateLimitPolicy of group kuadrant.io/v1alpha1.
// It shares predicates, counters, rates and strategies with package v1.
//
// +kubebuilder:object:generate=true
// +groupName=kuadrant.io
package v1alpha1
