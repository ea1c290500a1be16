package source

import (
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"
	gwxv1alpha1 "sigs.k8s.io/gateway-api/apisx/v1alpha1"

	"github.com/egret-gateway/egret/api/ainetworking/v0alpha0"
	kservev1alpha1 "github.com/egret-gateway/egret/api/kserve/v1alpha1"
	kuadrantv1 "github.com/egret-gateway/egret/api/kuadrant/v1"
	kuadrantv1alpha1 "github.com/egret-gateway/egret/api/kuadrant/v1alpha1"
)

// Snapshot is everything a source knows at one moment. Every slice is sorted
// by namespace, then name; objects are decoded, defaulted and validated, and
// must not be changed by whoever reads them.
type Snapshot struct {
	GatewayClasses     []*gwv1.GatewayClass
	Gateways           []*gwv1.Gateway
	ListenerSets       []*gwv1.ListenerSet
	HTTPRoutes         []*gwv1.HTTPRoute
	GRPCRoutes         []*gwv1.GRPCRoute
	BackendTLSPolicies []*gwv1.BackendTLSPolicy
	ReferenceGrants    []*gwv1.ReferenceGrant
	XBackends          []*gwxv1alpha1.XBackend

	Backends       []*v0alpha0.XBackendDestination
	LegacyBackends []*v0alpha0.Backend

	AuthPolicies           []*kuadrantv1.AuthPolicy
	RateLimitPolicies      []*kuadrantv1.RateLimitPolicy
	TokenRateLimitPolicies []*kuadrantv1alpha1.TokenRateLimitPolicy

	Namespaces      []*corev1.Namespace
	Services        []*corev1.Service
	EndpointSlices  []*discoveryv1.EndpointSlice
	Secrets         []*corev1.Secret
	ConfigMaps      []*corev1.ConfigMap
	ServiceAccounts []*corev1.ServiceAccount
	Deployments     []*appsv1.Deployment

	Roles               []*rbacv1.Role
	ClusterRoles        []*rbacv1.ClusterRole
	RoleBindings        []*rbacv1.RoleBinding
	ClusterRoleBindings []*rbacv1.ClusterRoleBinding

	LLMInferenceServices []*kservev1alpha1.LLMInferenceService

	// Notices are things worth saying that are no mistakes, such as an object
	// of a kind that nothing here reads.
	Notices []Notice
	// Origins says where each object was read; see Origin.
	Origins map[Key]string
}

// Key identifies an object. Namespace is empty for cluster-scoped kinds.
type Key struct {
	Kind      string `json:"kind"`
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name"`
}

// String returns "Kind namespace/name", or "Kind name" without a namespace.
func (k Key) String() string {
	if k.Namespace == "" {
		return k.Kind + " " + k.Name
	}
	return k.Kind + " " + k.Namespace + "/" + k.Name
}

// Origin returns where an object was read, such as "routes.yaml:12", or ""
// when the source does not know or the object came from an API server.
func (s *Snapshot) Origin(kind, namespace, name string) string {
	return s.Origins[Key{kind, namespace, name}]
}

// Notice is a remark about an object that is not a mistake.
type Notice struct {
	Key
	Origin  string `json:"origin,omitempty"`
	Message string `json:"message"`
}

// String returns the notice as one line for a person.
func (n Notice) String() string {
	line := n.Key.String() + ": " + n.Message
	if n.Origin == "" {
		return line
	}
	return n.Origin + ": " + line
}
