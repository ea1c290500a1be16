package v0alpha0

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// Backend is the resource's former name and shape. Objects of it are read so
// that their presence can be told, and never take part in routing: a
// backendRef of kind Backend means an XBackendDestination (acceptance gateway 12).
//
// +kubebuilder:object:root=true
type Backend struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec   BackendSpec               `json:"spec"`
	Status XBackendDestinationStatus `json:"status,omitzero"`
}

// BackendSpec is the legacy counterpart of XBackendDestinationSpec.
type BackendSpec struct {
	Destination LegacyDestination `json:"destination"`
	Extensions  []Extension       `json:"extensions,omitempty"`
}

// LegacyDestination differs from Destination in a third member, Ip, and in
// the type names Fqdn, Ip and KubernetesService.
type LegacyDestination struct {
	Type    string              `json:"type"`
	Fqdn    *FqdnDestination    `json:"fqdn,omitempty"`
	Service *ServiceDestination `json:"service,omitempty"`
	IP      *IPDestination      `json:"ip,omitempty"`
	Ports   []Port              `json:"ports"`
}

// IPDestination is a literal address.
type IPDestination struct {
	Address string `json:"address"`
}

// BackendList is a list of Backend.
//
// +kubebuilder:object:root=true
type BackendList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []Backend `json:"items"`
}
