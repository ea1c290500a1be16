package source

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	kjson "sigs.k8s.io/json"
	"sigs.k8s.io/yaml"
)

// ParametersKey is the key of a ConfigMap that holds Parameters as YAML.
const ParametersKey = "fleet.yaml"

// Data planes.
const (
	PlaneEnvoy  = "envoy"
	PlaneNative = "native"
)

// Containers of a fleet's pods: envoy and extproc on the Envoy plane, proxy on
// the native one.
const (
	ContainerEnvoy   = "envoy"
	ContainerExtProc = "extproc"
	ContainerProxy   = "proxy"
)

// Parameters is how a Gateway's fleet runs. The parametersRef of a
// GatewayClass and that of a Gateway's spec.infrastructure name a ConfigMap
// that holds some; what neither says has the fleet's default.
type Parameters struct {
	// Plane is PlaneEnvoy or PlaneNative; "" leaves it to the class.
	Plane string `json:"plane,omitempty"`
	// Replicas is the number of pods, 1 to 100; not with Autoscaling.
	Replicas *int32 `json:"replicas,omitempty"`
	// Autoscaling lets the cluster choose the number of pods.
	Autoscaling *Autoscaling `json:"autoscaling,omitempty"`
	// Service is about the Service before the pods.
	Service ServiceParameters `json:"service,omitzero"`
	// Images replace those that the controller was started with.
	Images Images `json:"images,omitzero"`
	// Resources are by container; a single request or limit replaces just the
	// default of its own name (acceptance gateway 49).
	Resources map[string]Resources `json:"resources,omitempty"`
	// Pod is about the pods.
	Pod PodParameters `json:"pod,omitzero"`
	// DrainSeconds is how long a pod that ends waits for its streams, 0 to 3600.
	DrainSeconds *int32 `json:"drainSeconds,omitempty"`
	// AccessLog writes a line per request to standard output of the pods.
	AccessLog *bool `json:"accessLog,omitempty"`
}

// Autoscaling is between Min and Max pods, as many as keep the mean use of the
// CPU at TargetCPU percent of what is requested.
type Autoscaling struct {
	Min int32 `json:"min"`
	Max int32 `json:"max"`
	// TargetCPU is in percent, 0 means 70.
	TargetCPU int32 `json:"targetCPU,omitempty"`
}

// ServiceParameters are about a fleet's Service.
type ServiceParameters struct {
	// Type is LoadBalancer, ClusterIP or NodePort; "" leaves it to the class.
	Type        corev1.ServiceType `json:"type,omitempty"`
	Annotations map[string]string  `json:"annotations,omitempty"`
}

// Images are those of the containers: Egret's of extproc and proxy.
type Images struct {
	Egret string `json:"egret,omitempty"`
	Envoy string `json:"envoy,omitempty"`
}

// Resources are the requests and limits of one container.
type Resources struct {
	Requests corev1.ResourceList `json:"requests,omitempty"`
	Limits   corev1.ResourceList `json:"limits,omitempty"`
}

// PodParameters are about a fleet's pods.
type PodParameters struct {
	Labels       map[string]string   `json:"labels,omitempty"`
	Annotations  map[string]string   `json:"annotations,omitempty"`
	NodeSelector map[string]string   `json:"nodeSelector,omitempty"`
	Tolerations  []corev1.Toleration `json:"tolerations,omitempty"`
	// Spread has the scheduler prefer different nodes; nil is true.
	Spread *bool `json:"spread,omitempty"`
}

// ParseParameters reads the parameters that a ConfigMap holds. Its errors are
// for the author of the ConfigMap: they name it, the field and what may stand
// there.
func ParseParameters(cm *corev1.ConfigMap) (Parameters, error) {
	p, err := parseParameters(cm)
	if err != nil {
		return Parameters{}, fmt.Errorf("ConfigMap %s/%s: %w", cm.Namespace, cm.Name, err)
	}
	return p, nil
}

func parseParameters(cm *corev1.ConfigMap) (Parameters, error) {
	text, ok := cm.Data[ParametersKey]
	if !ok {
		return Parameters{}, fmt.Errorf("it has no key %s; put the parameters under it, or remove the reference", ParametersKey)
	}
	data, err := yaml.YAMLToJSONStrict([]byte(text))
	if err != nil {
		return Parameters{}, fmt.Errorf("%s: %w", ParametersKey, err)
	}
	var p Parameters
	strict, err := kjson.UnmarshalStrict(data, &p)
	if err == nil {
		err = errors.Join(strict...)
	}
	if err == nil {
		err = p.check()
	}
	if err != nil {
		return Parameters{}, fmt.Errorf("%s: %w", ParametersKey, err)
	}
	return p, nil
}

// check returns all that is wrong with the values.
func (p Parameters) check() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if p.Plane != "" && p.Plane != PlaneEnvoy && p.Plane != PlaneNative {
		bad("plane %q is unknown; say %s or %s", p.Plane, PlaneEnvoy, PlaneNative)
	}
	if p.Replicas != nil && (*p.Replicas < 1 || *p.Replicas > 100) {
		bad("replicas %d is not between 1 and 100", *p.Replicas)
	}
	if a := p.Autoscaling; a != nil {
		if p.Replicas != nil {
			bad("replicas and autoscaling exclude each other; keep one")
		}
		if a.Min < 1 || a.Max < a.Min || a.Max > 100 {
			bad("autoscaling wants 1 ≤ min ≤ max ≤ 100, not min %d and max %d", a.Min, a.Max)
		}
		if a.TargetCPU < 0 || a.TargetCPU > 1000 {
			bad("autoscaling.targetCPU %d is no percentage between 1 and 1000", a.TargetCPU)
		}
	}
	switch p.Service.Type {
	case "", corev1.ServiceTypeLoadBalancer, corev1.ServiceTypeClusterIP, corev1.ServiceTypeNodePort:
	default:
		bad("service.type %q is not LoadBalancer, ClusterIP or NodePort", p.Service.Type)
	}
	if d := p.DrainSeconds; d != nil && (*d < 0 || *d > 3600) {
		bad("drainSeconds %d is not between 0 and 3600", *d)
	}
	errs = append(errs, p.checkResources()...)
	errs = append(errs, p.Pod.check()...)
	return errors.Join(errs...)
}

func (p Parameters) checkResources() (errs []error) {
	containers := []string{ContainerEnvoy, ContainerExtProc, ContainerProxy}
	for _, name := range slices.Sorted(maps.Keys(p.Resources)) {
		if !slices.Contains(containers, name) {
			errs = append(errs, fmt.Errorf("resources: no container is called %q; there are %s", name, strings.Join(containers, ", ")))
		}
		r := p.Resources[name]
		for _, resource := range slices.Sorted(maps.Keys(r.Requests)) {
			request, limit := r.Requests[resource], r.Limits[resource]
			if request.Sign() < 0 || !limit.IsZero() && request.Cmp(limit) > 0 {
				errs = append(errs, fmt.Errorf("resources.%s: a request of %s %s is below 0 or above its limit", name, request.String(), resource))
			}
		}
		for _, resource := range slices.Sorted(maps.Keys(r.Limits)) {
			if limit := r.Limits[resource]; limit.Sign() <= 0 {
				errs = append(errs, fmt.Errorf("resources.%s: a limit of %s %s is not above 0", name, limit.String(), resource))
			}
		}
	}
	return errs
}

func (p PodParameters) check() (errs []error) {
	for _, key := range slices.Sorted(maps.Keys(p.Labels)) {
		if why := validation.IsQualifiedName(key); why != nil {
			errs = append(errs, fmt.Errorf("pod.labels: %q: %s", key, why[0]))
		}
		if why := validation.IsValidLabelValue(p.Labels[key]); why != nil {
			errs = append(errs, fmt.Errorf("pod.labels: %s: %q: %s", key, p.Labels[key], why[0]))
		}
	}
	return errs
}

// With returns p with every field replaced that over sets; maps are merged key
// by key. A fixed number of replicas and autoscaling replace each other. It is
// how a Gateway's parameters win over those of its class.
func (p Parameters) With(over Parameters) Parameters {
	set(&p.Plane, over.Plane)
	if over.Replicas != nil || over.Autoscaling != nil {
		p.Replicas, p.Autoscaling = over.Replicas, over.Autoscaling
	}
	set(&p.Service.Type, over.Service.Type)
	p.Service.Annotations = merged(p.Service.Annotations, over.Service.Annotations)
	set(&p.Images.Egret, over.Images.Egret)
	set(&p.Images.Envoy, over.Images.Envoy)
	resources := maps.Clone(p.Resources)
	for name, r := range over.Resources {
		below := resources[name]
		resources = merged(resources, map[string]Resources{name: {
			Requests: merged(below.Requests, r.Requests),
			Limits:   merged(below.Limits, r.Limits),
		}})
	}
	p.Resources = resources
	p.Pod.Labels = merged(p.Pod.Labels, over.Pod.Labels)
	p.Pod.Annotations = merged(p.Pod.Annotations, over.Pod.Annotations)
	p.Pod.NodeSelector = merged(p.Pod.NodeSelector, over.Pod.NodeSelector)
	if over.Pod.Tolerations != nil {
		p.Pod.Tolerations = over.Pod.Tolerations
	}
	set(&p.Pod.Spread, over.Pod.Spread)
	set(&p.DrainSeconds, over.DrainSeconds)
	set(&p.AccessLog, over.AccessLog)
	return p
}

// set replaces what to points at by over, unless that is the zero value.
func set[T comparable](to *T, over T) {
	var zero T
	if over != zero {
		*to = over
	}
}

// merged returns a new map of both, in which over wins; nil when both are empty.
func merged[M ~map[K]V, K comparable, V any](below, over M) M {
	if len(below)+len(over) == 0 {
		return nil
	}
	out := make(M, len(below)+len(over))
	maps.Copy(out, below)
	maps.Copy(out, over)
	return out
}
