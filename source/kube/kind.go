package kube

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"
	gwxv1alpha1 "sigs.k8s.io/gateway-api/apisx/v1alpha1"

	"github.com/egret-gateway/egret/api/ainetworking/v0alpha0"
	kservev1alpha1 "github.com/egret-gateway/egret/api/kserve/v1alpha1"
	kuadrantv1 "github.com/egret-gateway/egret/api/kuadrant/v1"
	kuadrantv1alpha1 "github.com/egret-gateway/egret/api/kuadrant/v1alpha1"
	"github.com/egret-gateway/egret/source"
)

// Kind asks for one kind of object.
type Kind struct {
	// Name is the kind's name, such as HTTPRoute.
	Name string
	// Namespace limits the kind to one namespace; empty means all. ConfigMaps
	// of one namespace are kept whole. Of all, those without a label of
	// egret.dev lose binaryData and, but for ca.crt and revocation lists, values
	// beyond 16 KiB.
	Namespace string
	// Labels is a label selector; empty means that of Controller, if any.
	Labels string
}

// Controller returns the kinds that a controller reads.
func Controller() []Kind {
	var out []Kind
	for _, k := range kinds() {
		if !k.extra {
			out = append(out, Kind{Name: k.name})
		}
	}
	return out
}

// shape is the form of a kind's status.
type shape int

const (
	shapeNone        shape = iota // nothing is written
	shapeClass                    // conditions, supportedFeatures
	shapeGateway                  // conditions, listeners, addresses
	shapeRoute                    // one entry per controller and parent
	shapeDestination              // one entry per controller
	shapePolicy                   // conditions, observedGeneration
	shapeAncestors                // one entry per controller and Gateway, in ancestors
	shapeParents                  // the same in parents
)

// kind is a kind of object that the snapshot has a place for.
type kind struct {
	name, group, plural string
	// versions are those that can be read, the preferred one first.
	versions []string
	// extra kinds are no controller's business.
	extra bool
	// trial kinds are on few clusters, whose others need not hear of it.
	trial  bool
	shape  shape
	labels string
	fields string // a field selector
	// guard is the field that says what objects of the kind protect. One that
	// cannot be read still protects it: see stub.
	guard string

	namespace string

	empty   func() metav1.Object
	trim    func(metav1.Object)
	collect func([]*item) func(*source.Snapshot)
	// sift leaves those objects in a snapshot that stay, and reports whether
	// any did not.
	sift func(s *source.Snapshot, stays func(metav1.Object) bool) bool
}

// admits reports whether objects of the kind say who may pass, and how much.
func (k *kind) admits() bool { return k.group == kuadrantv1.Group && k.guard != "" }

const (
	gateway = gwv1.GroupName
	own     = v0alpha0.Group
)

// unread are the types of Secrets that nothing in a snapshot can refer to.
// They are the most and the largest, and some are credentials of others.
const unread = "type!=kubernetes.io/service-account-token,type!=helm.sh/release.v1," +
	"type!=kubernetes.io/dockercfg,type!=kubernetes.io/dockerconfigjson,type!=bootstrap.kubernetes.io/token"

// kinds is every kind that can be read.
func kinds() []kind {
	return append(gatewayKinds(),
		into(kind{name: v0alpha0.KindXBackendDestination, group: own, plural: "xbackenddestinations", versions: []string{v0alpha0.Version}, shape: shapeDestination},
			func(s *source.Snapshot) *[]*v0alpha0.XBackendDestination { return &s.Backends },
			func(o *v0alpha0.XBackendDestination) { o.Status = v0alpha0.XBackendDestinationStatus{} }),
		into(kind{name: v0alpha0.KindBackend, group: own, plural: "backends", versions: []string{v0alpha0.Version}},
			func(s *source.Snapshot) *[]*v0alpha0.Backend { return &s.LegacyBackends },
			func(o *v0alpha0.Backend) { o.Status = v0alpha0.XBackendDestinationStatus{} }),

		into(kind{name: kuadrantv1.KindAuthPolicy, group: kuadrantv1.Group, plural: "authpolicies", versions: []string{kuadrantv1.Version}, shape: shapePolicy, guard: "targetRef"},
			func(s *source.Snapshot) *[]*kuadrantv1.AuthPolicy { return &s.AuthPolicies },
			func(o *kuadrantv1.AuthPolicy) { o.Status = kuadrantv1.PolicyStatus{} }),
		into(kind{name: kuadrantv1.KindRateLimitPolicy, group: kuadrantv1.Group, plural: "ratelimitpolicies", versions: []string{kuadrantv1.Version}, shape: shapePolicy, guard: "targetRef"},
			func(s *source.Snapshot) *[]*kuadrantv1.RateLimitPolicy { return &s.RateLimitPolicies },
			func(o *kuadrantv1.RateLimitPolicy) { o.Status = kuadrantv1.PolicyStatus{} }),
		into(kind{name: kuadrantv1alpha1.KindTokenRateLimitPolicy, group: kuadrantv1alpha1.Group, plural: "tokenratelimitpolicies", versions: []string{kuadrantv1alpha1.Version}, shape: shapePolicy, guard: "targetRef"},
			func(s *source.Snapshot) *[]*kuadrantv1alpha1.TokenRateLimitPolicy { return &s.TokenRateLimitPolicies },
			func(o *kuadrantv1alpha1.TokenRateLimitPolicy) { o.Status = kuadrantv1.PolicyStatus{} }),

		into(kind{name: "Namespace", plural: "namespaces", versions: []string{"v1"}},
			func(s *source.Snapshot) *[]*corev1.Namespace { return &s.Namespaces },
			func(o *corev1.Namespace) { o.Status, o.Spec = corev1.NamespaceStatus{}, corev1.NamespaceSpec{} }),
		into(kind{name: "Service", plural: "services", versions: []string{"v1"}},
			func(s *source.Snapshot) *[]*corev1.Service { return &s.Services },
			func(o *corev1.Service) { o.Status.Conditions = nil }),
		into(kind{name: "EndpointSlice", group: discoveryv1.GroupName, plural: "endpointslices", versions: []string{"v1"}},
			func(s *source.Snapshot) *[]*discoveryv1.EndpointSlice { return &s.EndpointSlices }, trimSlice),
		into(kind{name: "Secret", plural: "secrets", versions: []string{"v1"}, fields: unread},
			func(s *source.Snapshot) *[]*corev1.Secret { return &s.Secrets }, nil),
		into(kind{name: "ConfigMap", plural: "configmaps", versions: []string{"v1"}},
			func(s *source.Snapshot) *[]*corev1.ConfigMap { return &s.ConfigMaps }, trimConfigMap),
		into(kind{name: "Deployment", group: appsv1.GroupName, plural: "deployments", versions: []string{"v1"}, labels: source.LabelManaged},
			func(s *source.Snapshot) *[]*appsv1.Deployment { return &s.Deployments }, nil),
		into(kind{name: "ServiceAccount", plural: "serviceaccounts", versions: []string{"v1"}, labels: source.LabelManaged},
			func(s *source.Snapshot) *[]*corev1.ServiceAccount { return &s.ServiceAccounts },
			func(o *corev1.ServiceAccount) { o.Secrets, o.ImagePullSecrets = nil, nil }),

		into(kind{name: kservev1alpha1.KindLLMInferenceService, group: kservev1alpha1.Group, plural: "llminferenceservices", versions: []string{kservev1alpha1.Version}, extra: true},
			func(s *source.Snapshot) *[]*kservev1alpha1.LLMInferenceService { return &s.LLMInferenceServices }, nil),
	)
}

func gatewayKinds() []kind {
	both := []string{"v1", "v1beta1"} // of one form in every field
	return []kind{
		into(kind{name: "GatewayClass", group: gateway, plural: "gatewayclasses", versions: both, shape: shapeClass},
			func(s *source.Snapshot) *[]*gwv1.GatewayClass { return &s.GatewayClasses },
			func(o *gwv1.GatewayClass) { o.Status = gwv1.GatewayClassStatus{} }),
		into(kind{name: "Gateway", group: gateway, plural: "gateways", versions: both, shape: shapeGateway},
			func(s *source.Snapshot) *[]*gwv1.Gateway { return &s.Gateways },
			func(o *gwv1.Gateway) { o.Status = gwv1.GatewayStatus{} }),
		into(kind{name: "ListenerSet", group: gateway, plural: "listenersets", versions: []string{"v1"}, shape: shapeGateway},
			func(s *source.Snapshot) *[]*gwv1.ListenerSet { return &s.ListenerSets },
			func(o *gwv1.ListenerSet) { o.Status = gwv1.ListenerSetStatus{} }),
		into(kind{name: "HTTPRoute", group: gateway, plural: "httproutes", versions: both, shape: shapeRoute},
			func(s *source.Snapshot) *[]*gwv1.HTTPRoute { return &s.HTTPRoutes },
			func(o *gwv1.HTTPRoute) { o.Status = gwv1.HTTPRouteStatus{} }),
		into(kind{name: "GRPCRoute", group: gateway, plural: "grpcroutes", versions: []string{"v1"}, shape: shapeRoute},
			func(s *source.Snapshot) *[]*gwv1.GRPCRoute { return &s.GRPCRoutes },
			func(o *gwv1.GRPCRoute) { o.Status = gwv1.GRPCRouteStatus{} }),
		into(kind{name: "BackendTLSPolicy", group: gateway, plural: "backendtlspolicies", versions: []string{"v1"}, shape: shapeAncestors, guard: "targetRefs"},
			func(s *source.Snapshot) *[]*gwv1.BackendTLSPolicy { return &s.BackendTLSPolicies },
			func(o *gwv1.BackendTLSPolicy) { o.Status = gwv1.PolicyStatus{} }),
		into(kind{name: "ReferenceGrant", group: gateway, plural: "referencegrants", versions: both},
			func(s *source.Snapshot) *[]*gwv1.ReferenceGrant { return &s.ReferenceGrants }, nil),
		into(kind{name: "XBackend", group: gwxv1alpha1.GroupName, plural: "xbackends", versions: []string{"v1alpha1"}, shape: shapeParents, trial: true},
			func(s *source.Snapshot) *[]*gwxv1alpha1.XBackend { return &s.XBackends },
			func(o *gwxv1alpha1.XBackend) { o.Status = gwxv1alpha1.BackendStatus{} }),
	}
}

// into completes a kind with its place in the snapshot, from which the Go type
// of its objects follows, and with what is taken off each object.
func into[T any, P interface {
	*T
	metav1.Object
}](k kind, place func(*source.Snapshot) *[]P, trim func(P)) kind {
	k.empty = func() metav1.Object { return P(new(T)) }
	k.trim = func(o metav1.Object) {
		if trim != nil {
			trim(o.(P))
		}
	}
	k.collect = func(items []*item) func(*source.Snapshot) {
		list := make([]P, 0, len(items))
		for _, i := range items {
			if i.object != nil {
				list = append(list, i.object.(P))
			}
		}
		slices.SortFunc(list, func(a, b P) int {
			return cmp.Or(cmp.Compare(a.GetNamespace(), b.GetNamespace()), cmp.Compare(a.GetName(), b.GetName()))
		})
		return func(s *source.Snapshot) { *place(s) = list }
	}
	k.sift = func(s *source.Snapshot, stays func(metav1.Object) bool) bool {
		was := *place(s) // which may be in other snapshots, too
		*place(s) = slices.DeleteFunc(slices.Clone(was), func(o P) bool { return !stays(o) })
		return len(*place(s)) < len(was)
	}
	return k
}

// trimSlice leaves what an endpoint is reached by.
func trimSlice(o *discoveryv1.EndpointSlice) {
	for i := range o.Endpoints {
		e := &o.Endpoints[i]
		e.Hints, e.DeprecatedTopology = nil, nil
		if e.TargetRef != nil { // of which the controller wants to know which pod
			e.TargetRef = &corev1.ObjectReference{UID: e.TargetRef.UID}
		}
	}
}

// largeValue is how long a value of a ConfigMap may be, in bytes, unless it is
// a bundle of certificates, a revocation list, or the object has a label of ours, as the deny-list
// has: a cluster's ConfigMaps are mostly files of others.
const largeValue = 16 << 10

func trimConfigMap(o *corev1.ConfigMap) {
	o.BinaryData = nil
	for label := range o.Labels {
		if strings.HasPrefix(label, "egret.dev/") {
			return
		}
	}
	for key, value := range o.Data {
		if key != "ca.crt" && len(value) > largeValue && !strings.Contains(value, "-----BEGIN X509 CRL-----") {
			delete(o.Data, key)
		}
	}
}

// choose returns the kinds that were asked for.
func choose(wanted []Kind) ([]kind, error) {
	if wanted == nil {
		wanted = Controller()
	}
	known := kinds()
	var out []kind
	for _, w := range wanted {
		i := slices.IndexFunc(known, func(k kind) bool { return k.name == w.Name })
		if i < 0 {
			return nil, fmt.Errorf("kind %q has no place in a snapshot", w.Name)
		}
		if slices.ContainsFunc(out, func(k kind) bool { return k.name == w.Name }) {
			return nil, fmt.Errorf("kind %q is asked for twice", w.Name)
		}
		k := known[i]
		k.namespace = w.Namespace
		if w.Labels != "" {
			k.labels = w.Labels
		}
		if w.Namespace != "" && w.Name == "ConfigMap" {
			k.trim = func(metav1.Object) {}
		}
		out = append(out, k)
	}
	return out, nil
}
