package fleet

import (
	"cmp"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/egret-gateway/egret/source"
)

// Fleet is what is known about what runs for one Gateway.
type Fleet struct {
	Gateway *gwv1.Gateway
	Class   source.Class
	// Parameters are those of the class with the Gateway's over them.
	Parameters source.Parameters

	// Files is what the ConfigMap holds for Envoy, by file name (envoy.Files);
	// the native plane has none.
	Files map[string]string
	// CA is the certificate authority of the controller's xDS server, PEM.
	CA []byte

	// Image is Egret's own; EnvoyImage is Envoy's.
	Image, EnvoyImage string
	// Pull is how Image is pulled; "" leaves it to Kubernetes.
	Pull corev1.PullPolicy
	// XDSAddress is host:port of the controller's xDS server.
	XDSAddress string
	// PullSecrets are the Secrets of the Gateway's namespace by which its pods
	// pull their images; the kubelet passes over one that is not there.
	PullSecrets []string
	// AssignsUser is set where the cluster chooses the users that pods run as,
	// as OpenShift does; else they run as 65532.
	AssignsUser bool
	// Reviews is set when a policy has the pods review tokens and access.
	Reviews bool
	// Guarded is set when a policy guards a route of the Gateway. It is marked
	// on the ConfigMap, so that a controller which may not read policies knows.
	Guarded bool
	// Env is set in the containers extproc and proxy, such as OTEL_* variables;
	// sorted by name it is part of the pods, so a change rolls them.
	Env map[string]string
}

// Defaults of what parameters may say.
const (
	defaultReplicas  = 1
	defaultDrain     = 180 // seconds
	defaultTargetCPU = 70  // percent
)

// Marks on objects and pods.
const (
	labelApp       = "app"
	labelComponent = "app.kubernetes.io/component"
	labelGateway   = "gateway.networking.k8s.io/gateway-name"
	labelClass     = "gateway.networking.k8s.io/gateway-class-name"
	component      = "proxy"

	// annotationBootstrap holds the hash of the Files that a pod began with.
	annotationBootstrap = "egret.dev/bootstrap"
	// annotationGuarded marks the ConfigMap of a fleet whose routes have
	// policies: see Guarded.
	annotationGuarded = "egret.dev/guarded"
	// annotationApplied holds the hash of what was applied last.
	annotationApplied = "egret.dev/applied"
)

// Name returns the name of the objects.
func (f *Fleet) Name() string {
	return source.ResourceName(f.Class, f.Gateway.Namespace, f.Gateway.Name)
}

// key returns namespace/name of the Gateway.
func (f *Fleet) key() string { return f.Gateway.Namespace + "/" + f.Gateway.Name }

// Plane returns the data plane: the parameters' choice, else Envoy for the
// class of the reference and the native plane for our own.
func (f *Fleet) Plane() string {
	if f.Parameters.Plane != "" {
		return f.Parameters.Plane
	}
	if f.Class.Controller == source.ControllerWG {
		return source.PlaneEnvoy
	}
	return source.PlaneNative
}

// Objects returns what f consists of, in the order in which it is applied:
// what pods need is there before them.
func (f *Fleet) Objects() []client.Object {
	out := []client.Object{f.configMap(), f.serviceAccount()}
	if f.Reviews {
		out = append(out, f.reviewers())
	}
	if s := f.service(); len(s.Spec.Ports) > 0 {
		out = append(out, s)
	}
	out = append(out, f.deployment(), f.disruptionBudget())
	if f.Parameters.Autoscaling != nil {
		out = append(out, f.autoscaler())
	}
	return out
}

// meta returns the metadata of an object in the Gateway's namespace, which
// goes with the Gateway.
func (f *Fleet) meta() metav1.ObjectMeta {
	return metav1.ObjectMeta{
		Namespace:   f.Gateway.Namespace,
		Name:        f.Name(),
		Labels:      f.labels(nil),
		Annotations: f.annotations(nil),
		OwnerReferences: []metav1.OwnerReference{{
			APIVersion: gwv1.GroupVersion.String(),
			Kind:       "Gateway",
			Name:       f.Gateway.Name,
			UID:        f.Gateway.UID,
		}},
	}
}

// labels returns those of an object: more, then those that the Gateway asks
// for, then our own, which nobody can replace (acceptance gateway 39, 47).
func (f *Fleet) labels(more map[string]string) map[string]string {
	out := f.sharedLabels(more)
	out[source.LabelManaged] = f.Class.ManagedLabel()
	return out
}

// sharedLabels returns the labels that objects and pods have alike.
func (f *Fleet) sharedLabels(more map[string]string) map[string]string {
	out := map[string]string{}
	maps.Copy(out, more)
	if i := f.Gateway.Spec.Infrastructure; i != nil {
		for k, v := range i.Labels {
			out[string(k)] = string(v)
		}
	}
	out[labelComponent] = component
	out[labelGateway] = source.GatewayLabel(f.Gateway.Name)
	out[labelClass] = source.GatewayLabel(f.Class.Name)
	delete(out, source.LabelManaged)
	return out
}

// podLabels returns the labels of pods. The reference's pods have the same
// label app, by which one Service and one selector cover both.
func (f *Fleet) podLabels() map[string]string {
	out := f.sharedLabels(f.Parameters.Pod.Labels)
	out[labelApp] = f.Name()
	return out
}

// annotations returns more, then those that the Gateway asks for, then our own.
func (f *Fleet) annotations(more map[string]string) map[string]string {
	out := f.sharedAnnotations(more)
	out[source.AnnotationGateway] = f.key()
	return out
}

func (f *Fleet) sharedAnnotations(more map[string]string) map[string]string {
	out := map[string]string{}
	maps.Copy(out, more)
	if i := f.Gateway.Spec.Infrastructure; i != nil {
		for k, v := range i.Annotations {
			out[string(k)] = string(v)
		}
	}
	return out
}

// drain returns for how many seconds a pod that ends waits for its streams.
func (f *Fleet) drain() int64 {
	if d := f.Parameters.DrainSeconds; d != nil {
		return int64(*d)
	}
	return defaultDrain
}

// pull is as the controller's own for its own image, so that what was loaded
// onto the nodes for the one serves the other.
func (f *Fleet) pull() corev1.PullPolicy {
	if f.image() != f.Image {
		return ""
	}
	return f.Pull
}

func (f *Fleet) image() string { return cmp.Or(f.Parameters.Images.Egret, f.Image) }

// env returns f.Env in the order of names.
func (f *Fleet) env() []corev1.EnvVar {
	var out []corev1.EnvVar
	for _, name := range slices.Sorted(maps.Keys(f.Env)) {
		out = append(out, corev1.EnvVar{Name: name, Value: f.Env[name]})
	}
	return out
}

// ptr returns a pointer to a copy of v.
func ptr[T any](v T) *T { return &v }
