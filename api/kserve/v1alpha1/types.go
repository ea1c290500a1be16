package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// Group, version and kind as they stand in manifests.
const (
	Group   = "serving.kserve.io"
	Version = "v1alpha1"

	KindLLMInferenceService = "LLMInferenceService"
)

// Annotations of an LLMInferenceService that decide something.
const (
	// AnnotationTiers is a JSON array of the tiers that may use the model: []
	// means every tier, absence means none.
	AnnotationTiers = "alpha.maas.opendatahub.io/tiers"

	AnnotationUseCase     = "opendatahub.io/genai-use-case"
	AnnotationDescription = "openshift.io/description"
	AnnotationDisplayName = "openshift.io/display-name"
)

// LLMInferenceService is a model served by KServe.
//
// +kubebuilder:object:root=true
type LLMInferenceService struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec   LLMInferenceServiceSpec   `json:"spec,omitzero"`
	Status LLMInferenceServiceStatus `json:"status,omitzero"`
}

// LLMInferenceServiceSpec is the part of the spec that is read.
type LLMInferenceServiceSpec struct {
	Model Model `json:"model,omitzero"`
	// Router says which Gateways and routes lead to the model; nil means that
	// the model is not reachable through any.
	Router *Router `json:"router,omitempty"`
}

// Model names what is served.
type Model struct {
	URI string `json:"uri,omitempty"`
	// Name is the model's public name; nil means the resource's name.
	Name *string `json:"name,omitempty"`
}

// Router ties the model to Gateways and routes.
type Router struct {
	Gateway *RouterGateway `json:"gateway,omitempty"`
	Route   *RouterRoute   `json:"route,omitempty"`
}

// RouterGateway lists the Gateways that are named directly.
type RouterGateway struct {
	Refs []ObjectRef `json:"refs,omitempty"`
}

// ObjectRef names an object; an empty namespace means the service's own.
type ObjectRef struct {
	Name      string `json:"name"`
	Namespace string `json:"namespace,omitempty"`
}

// RouterRoute holds the HTTP part of the routing; nil means none.
type RouterRoute struct {
	HTTP *HTTPRoute `json:"http,omitempty"`
}

// HTTPRoute is an inline route, or references to routes; when it has neither,
// KServe manages the route itself.
type HTTPRoute struct {
	Spec *gwv1.HTTPRouteSpec `json:"spec,omitempty"`
	Refs []LocalRef          `json:"refs,omitempty"`
}

// LocalRef names an object of the service's own namespace.
type LocalRef struct {
	Name string `json:"name"`
}

// LLMInferenceServiceStatus is where the model answers and how it is.
type LLMInferenceServiceStatus struct {
	ObservedGeneration int64              `json:"observedGeneration,omitempty"`
	Conditions         []metav1.Condition `json:"conditions,omitempty"`
	URL                string             `json:"url,omitempty"`
	Address            *Address           `json:"address,omitempty"`
	Addresses          []Address          `json:"addresses,omitempty"`
}

// Address is one way to reach the model.
type Address struct {
	// Name tells external from internal addresses, which are tried later.
	Name *string `json:"name,omitempty"`
	URL  string  `json:"url,omitempty"`
}

// LLMInferenceServiceList is a list of LLMInferenceService.
//
// +kubebuilder:object:root=true
type LLMInferenceServiceList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []LLMInferenceService `json:"items"`
}
