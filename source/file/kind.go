package file

import (
	"cmp"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"
	gwxv1alpha1 "sigs.k8s.io/gateway-api/apisx/v1alpha1"

	"github.com/egret-gateway/egret/api/ainetworking/v0alpha0"
	kservev1alpha1 "github.com/egret-gateway/egret/api/kserve/v1alpha1"
	kuadrantv1 "github.com/egret-gateway/egret/api/kuadrant/v1"
	kuadrantv1alpha1 "github.com/egret-gateway/egret/api/kuadrant/v1alpha1"
	"github.com/egret-gateway/egret/source"
)

// kind is a kind of object that the snapshot has a place for.
type kind struct {
	name, group string
	// versions are those that are read, the preferred one first.
	versions []string
	// plural names the CustomResourceDefinition; empty means a core kind,
	// whose schema is its Go type.
	plural  string
	cluster bool
	// status keeps the object's status. Elsewhere it is dropped, as an API
	// server does on create: it is what controllers say, not what users ask.
	status bool

	empty func() metav1.Object
	add   func(*source.Snapshot, metav1.Object)
	sort  func(*source.Snapshot)
}

// kinds is every kind that is read. Any other is a notice.
func kinds() []kind {
	const gateway, own, rbac = "gateway.networking.k8s.io", v0alpha0.Group, rbacv1.GroupName
	return []kind{
		into(kind{name: "GatewayClass", group: gateway, versions: []string{"v1", "v1beta1"}, plural: "gatewayclasses", cluster: true},
			func(s *source.Snapshot) *[]*gwv1.GatewayClass { return &s.GatewayClasses }),
		into(kind{name: "Gateway", group: gateway, versions: []string{"v1", "v1beta1"}, plural: "gateways"},
			func(s *source.Snapshot) *[]*gwv1.Gateway { return &s.Gateways }),
		into(kind{name: "ListenerSet", group: gateway, versions: []string{"v1"}, plural: "listenersets"},
			func(s *source.Snapshot) *[]*gwv1.ListenerSet { return &s.ListenerSets }),
		into(kind{name: "HTTPRoute", group: gateway, versions: []string{"v1", "v1beta1"}, plural: "httproutes"},
			func(s *source.Snapshot) *[]*gwv1.HTTPRoute { return &s.HTTPRoutes }),
		into(kind{name: "GRPCRoute", group: gateway, versions: []string{"v1"}, plural: "grpcroutes"},
			func(s *source.Snapshot) *[]*gwv1.GRPCRoute { return &s.GRPCRoutes }),
		into(kind{name: "BackendTLSPolicy", group: gateway, versions: []string{"v1"}, plural: "backendtlspolicies"},
			func(s *source.Snapshot) *[]*gwv1.BackendTLSPolicy { return &s.BackendTLSPolicies }),
		into(kind{name: "ReferenceGrant", group: gateway, versions: []string{"v1", "v1beta1"}, plural: "referencegrants"},
			func(s *source.Snapshot) *[]*gwv1.ReferenceGrant { return &s.ReferenceGrants }),
		into(kind{name: "XBackend", group: gwxv1alpha1.GroupName, versions: []string{"v1alpha1"}, plural: "xbackends"},
			func(s *source.Snapshot) *[]*gwxv1alpha1.XBackend { return &s.XBackends }),

		into(kind{name: v0alpha0.KindXBackendDestination, group: own, versions: []string{v0alpha0.Version}, plural: "xbackenddestinations"},
			func(s *source.Snapshot) *[]*v0alpha0.XBackendDestination { return &s.Backends }),
		into(kind{name: v0alpha0.KindBackend, group: own, versions: []string{v0alpha0.Version}, plural: "backends"},
			func(s *source.Snapshot) *[]*v0alpha0.Backend { return &s.LegacyBackends }),

		into(kind{name: kuadrantv1.KindAuthPolicy, group: kuadrantv1.Group, versions: []string{kuadrantv1.Version}, plural: "authpolicies"},
			func(s *source.Snapshot) *[]*kuadrantv1.AuthPolicy { return &s.AuthPolicies }),
		into(kind{name: kuadrantv1.KindRateLimitPolicy, group: kuadrantv1.Group, versions: []string{kuadrantv1.Version}, plural: "ratelimitpolicies"},
			func(s *source.Snapshot) *[]*kuadrantv1.RateLimitPolicy { return &s.RateLimitPolicies }),
		into(kind{name: kuadrantv1alpha1.KindTokenRateLimitPolicy, group: kuadrantv1alpha1.Group, versions: []string{kuadrantv1alpha1.Version}, plural: "tokenratelimitpolicies"},
			func(s *source.Snapshot) *[]*kuadrantv1alpha1.TokenRateLimitPolicy { return &s.TokenRateLimitPolicies }),

		into(kind{name: "Namespace", versions: []string{"v1"}, cluster: true},
			func(s *source.Snapshot) *[]*corev1.Namespace { return &s.Namespaces }),
		into(kind{name: "Service", versions: []string{"v1"}},
			func(s *source.Snapshot) *[]*corev1.Service { return &s.Services }),
		into(kind{name: "EndpointSlice", group: discoveryv1.GroupName, versions: []string{"v1"}},
			func(s *source.Snapshot) *[]*discoveryv1.EndpointSlice { return &s.EndpointSlices }),
		into(kind{name: "Secret", versions: []string{"v1"}},
			func(s *source.Snapshot) *[]*corev1.Secret { return &s.Secrets }),
		into(kind{name: "ConfigMap", versions: []string{"v1"}},
			func(s *source.Snapshot) *[]*corev1.ConfigMap { return &s.ConfigMaps }),
		into(kind{name: "ServiceAccount", versions: []string{"v1"}},
			func(s *source.Snapshot) *[]*corev1.ServiceAccount { return &s.ServiceAccounts }),
		into(kind{name: "Deployment", group: appsv1.GroupName, versions: []string{"v1"}},
			func(s *source.Snapshot) *[]*appsv1.Deployment { return &s.Deployments }),

		into(kind{name: "Role", group: rbac, versions: []string{"v1"}},
			func(s *source.Snapshot) *[]*rbacv1.Role { return &s.Roles }),
		into(kind{name: "ClusterRole", group: rbac, versions: []string{"v1"}, cluster: true},
			func(s *source.Snapshot) *[]*rbacv1.ClusterRole { return &s.ClusterRoles }),
		into(kind{name: "RoleBinding", group: rbac, versions: []string{"v1"}},
			func(s *source.Snapshot) *[]*rbacv1.RoleBinding { return &s.RoleBindings }),
		into(kind{name: "ClusterRoleBinding", group: rbac, versions: []string{"v1"}, cluster: true},
			func(s *source.Snapshot) *[]*rbacv1.ClusterRoleBinding { return &s.ClusterRoleBindings }),

		into(kind{name: kservev1alpha1.KindLLMInferenceService, group: kservev1alpha1.Group, versions: []string{kservev1alpha1.Version}, plural: "llminferenceservices", status: true},
			func(s *source.Snapshot) *[]*kservev1alpha1.LLMInferenceService { return &s.LLMInferenceServices }),
	}
}

// into completes a kind with its place in the snapshot, from which the Go
// type of its objects follows.
func into[T any, P interface {
	*T
	metav1.Object
}](k kind, place func(*source.Snapshot) *[]P) kind {
	k.empty = func() metav1.Object { return P(new(T)) }
	k.add = func(s *source.Snapshot, o metav1.Object) {
		list := place(s)
		*list = append(*list, o.(P))
	}
	k.sort = func(s *source.Snapshot) { slices.SortFunc(*place(s), byName[P]) }
	return k
}

// byName orders objects by namespace, then name.
func byName[P metav1.Object](a, b P) int {
	return cmp.Or(cmp.Compare(a.GetNamespace(), b.GetNamespace()), cmp.Compare(a.GetName(), b.GetName()))
}

// groupKind is how a kind is looked up.
type groupKind struct{ group, kind string }

func index(ks []kind) map[groupKind]*kind {
	byID := make(map[groupKind]*kind, len(ks))
	for i := range ks {
		byID[groupKind{ks[i].group, ks[i].name}] = &ks[i]
	}
	return byID
}
