// Package v1alpha1 holds the few fields of serving.kserve.io/v1alpha1
// LLMInferenceService that a model list is made of: the model's name, the
// routes it hangs on, its addresses, its conditions and its annotations.
// Every other field of the real resource is accepted and dropped.
//
// +kubebuilder:object:generate=true
// +groupName=serving.kserve.io
package v1alpha1
