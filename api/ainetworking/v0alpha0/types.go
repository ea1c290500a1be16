package v0alpha0

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// Group, Version and the kinds of this package as they stand in manifests.
const (
	Group   = "ainetworking.prototype.x-k8s.io"
	Version = "v0alpha0"

	KindXBackendDestination = "XBackendDestination"
	// KindBackend is both the legacy kind, which has no effect, and the name
	// by which a backendRef reaches an XBackendDestination.
	KindBackend = "Backend"
)

// XBackendDestination is a place outside the gateway that routes may send
// traffic to: an external host or a Service, the ports it offers and how each
// of them is spoken to.
//
// +kubebuilder:object:root=true
type XBackendDestination struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec   XBackendDestinationSpec   `json:"spec"`
	Status XBackendDestinationStatus `json:"status,omitzero"`
}

// XBackendDestinationSpec is what the user asks for.
type XBackendDestinationSpec struct {
	Destination Destination `json:"destination"`
	// Extensions are per-backend processors in the order in which they run.
	Extensions []Extension `json:"extensions,omitempty"`
}

// DestinationType discriminates the union in Destination.
type DestinationType string

const (
	// DestinationFqdn means that Destination.Fqdn is set.
	DestinationFqdn DestinationType = "Fqdn"
	// DestinationService means that Destination.Service is set.
	DestinationService DestinationType = "Service"
)

// Destination is where the traffic goes. Exactly one of Fqdn and Service is
// set, and Type names it.
type Destination struct {
	Type    DestinationType     `json:"type"`
	Fqdn    *FqdnDestination    `json:"fqdn,omitempty"`
	Service *ServiceDestination `json:"service,omitempty"`
	// Ports are the ports the destination offers; a backendRef selects one by
	// its number.
	Ports []Port `json:"ports"`
}

// FqdnDestination is an external host.
type FqdnDestination struct {
	Hostname string `json:"hostname"`
}

// ServiceDestination is a Service of this cluster, in any namespace: the
// resource belongs to the consumer, so no ReferenceGrant is asked for.
type ServiceDestination struct {
	Name      string `json:"name"`
	Namespace string `json:"namespace"`
}

// Protocol is the application protocol spoken towards the destination.
type Protocol string

// Protocols that a Port may name.
const (
	ProtocolHTTP  Protocol = "HTTP"
	ProtocolHTTP2 Protocol = "HTTP2"
	ProtocolTCP   Protocol = "TCP"
	ProtocolMCP   Protocol = "MCP"
)

// Port is one port of a destination.
type Port struct {
	// Number is the port that is dialled, 1 to 65535.
	Number   uint32   `json:"number"`
	Protocol Protocol `json:"protocol"`
	// TLS describes the connection to this port; nil means plaintext.
	TLS             *TLS             `json:"tls,omitempty"`
	ProtocolOptions *ProtocolOptions `json:"protocolOptions,omitempty"`
}

// TLSMode says who encrypts the connection to a destination, and how.
type TLSMode string

const (
	// TLSSimple originates TLS and verifies the server.
	TLSSimple TLSMode = "Simple"
	// TLSMutual is TLSSimple plus a client certificate.
	TLSMutual TLSMode = "Mutual"
	// TLSNone leaves the connection alone: something else, such as a mesh, encrypts it.
	TLSNone TLSMode = "None"
)

// TLS is the client side of a TLS connection to one port.
type TLS struct {
	Mode TLSMode `json:"mode"`
	// SNI is the server name sent; empty means the destination's host name.
	SNI string `json:"sni,omitempty"`
	// CABundleRef names the CA bundles (ConfigMaps or Secrets) to trust; none
	// means the system's.
	CABundleRef []gwv1.ObjectReference `json:"caBundleRef,omitempty"`
	// InsecureSkipVerify accepts any server certificate.
	InsecureSkipVerify *bool `json:"insecureSkipVerify,omitempty"`
	// ClientCertificateRef names the key pair presented in mode Mutual.
	ClientCertificateRef *gwv1.SecretObjectReference `json:"clientCertificateRef,omitempty"`
	// SubjectAltNames are DNS names of which the server certificate must carry
	// one; empty means that the SNI is verified.
	SubjectAltNames []string `json:"subjectAltNames,omitempty"`
}

// ProtocolOptions carries options of single protocols.
type ProtocolOptions struct {
	MCP *MCPOptions `json:"mcp,omitempty"`
}

// MCPOptions are the options of protocol MCP.
type MCPOptions struct {
	// Version is an MCP protocol version, such as 2025-06-18.
	Version string `json:"version,omitempty"`
	// Path is the URL path of the MCP endpoint, default /mcp.
	Path string `json:"path,omitempty"`
}

// Extension is one processor of a backend.
type Extension struct {
	Name string `json:"name"`
	// Type names the processor, such as gateway.networking.k8s.io/CredentialInjector:v1.
	Type string `json:"type"`
	// RawConfig is the processor's own configuration, kept byte for byte in meaning.
	RawConfig *runtime.RawExtension `json:"rawConfig,omitempty"`
}

// XBackendDestinationStatus has one entry per controller with a stake.
type XBackendDestinationStatus struct {
	Controllers []ControllerStatus `json:"controllers,omitempty"`
}

// ControllerStatus is what one controller says about the resource.
type ControllerStatus struct {
	// Name is the controllerName of the GatewayClass the controller serves.
	Name       gwv1.GatewayController `json:"name"`
	Conditions []metav1.Condition     `json:"conditions,omitempty"`
}

// XBackendDestinationList is a list of XBackendDestination.
//
// +kubebuilder:object:root=true
type XBackendDestinationList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []XBackendDestination `json:"items"`
}
