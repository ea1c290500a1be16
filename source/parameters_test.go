package source

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func configMap(data map[string]string) *corev1.ConfigMap {
	return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "team", Name: "small"}, Data: data}
}

func parsed(t *testing.T, text string) Parameters {
	t.Helper()
	p, err := ParseParameters(configMap(map[string]string{ParametersKey: text}))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// A mistake in parameters is told with the place and with what would be right.
func TestParametersMistakes(t *testing.T) {
	f := func(test, text, want string) {
		t.Run(test, func(t *testing.T) {
			_, err := ParseParameters(configMap(map[string]string{ParametersKey: text}))
			if err == nil || !strings.HasPrefix(err.Error(), "ConfigMap team/small: fleet.yaml: ") || !strings.Contains(err.Error(), want) {
				t.Errorf("got %v, want %q", err, want)
			}
		})
	}
	f("a misspelt field", "replica: 2", `unknown field "replica"`)
	f("a misspelt field deeper down", "pod: {labls: {a: b}}", `unknown field "pod.labls"`)
	f("a field twice", "replicas: 2\nreplicas: 3", `already`)
	f("a wrong type", "replicas: many", "replicas")
	f("no YAML", "{", "yaml")
	f("no such plane", "plane: nginx", `plane "nginx" is unknown; say envoy or native`)
	f("no pods", "replicas: 0", "replicas 0 is not between 1 and 100")
	f("two numbers", "replicas: 1\nautoscaling: {min: 1, max: 2}", "exclude each other")
	f("upside down", "autoscaling: {min: 3, max: 2}", "min 3 and max 2")
	f("no percentage", "autoscaling: {min: 1, max: 2, targetCPU: -1}", "targetCPU -1")
	f("no such Service", "service: {type: ExternalName}", `"ExternalName"`)
	f("no such container", "resources: {sidecar: {}}", `"sidecar"; there are envoy, extproc, proxy`)
	f("a request above its limit", "resources: {proxy: {requests: {cpu: 2}, limits: {cpu: 1}}}", "resources.proxy: a request of 2 cpu")
	f("no limit at all", "resources: {proxy: {limits: {memory: 0}}}", "resources.proxy: a limit of 0 memory")
	f("no quantity", "resources: {proxy: {limits: {memory: much}}}", "quantit")
	f("a long drain", "drainSeconds: 7200", "drainSeconds 7200")
	f("no label", "pod: {labels: {'a b': c}}", `"a b"`)
	f("no label's value", "pod: {labels: {a: 'b c'}}", `"b c"`)

	t.Run("no key", func(t *testing.T) {
		_, err := ParseParameters(configMap(map[string]string{"fleet.yml": "replicas: 2"}))
		if err == nil || !strings.Contains(err.Error(), "has no key fleet.yaml") {
			t.Errorf("got %v", err)
		}
	})
}

// The Gateway's parameters win over those of its class, field by field.
func TestParametersWith(t *testing.T) {
	class := parsed(t, `
plane: envoy
autoscaling: {min: 2, max: 5}
service: {type: ClusterIP, annotations: {a: class, b: class}}
images: {egret: egret:1, envoy: envoy:1}
resources:
  envoy: {requests: {cpu: 100m, memory: 64Mi}}
pod:
  labels: {a: class}
  nodeSelector: {disk: fast}
  tolerations: [{operator: Exists}]
  spread: false
drainSeconds: 30
accessLog: true
`)
	gateway := parsed(t, `
plane: native
replicas: 3
service: {annotations: {b: gateway}}
images: {envoy: envoy:2}
resources:
  envoy: {requests: {cpu: 10m}}
  proxy: {limits: {cpu: 1}}
pod:
  labels: {b: gateway}
  spread: true
drainSeconds: 0
accessLog: false
`)
	yes, no, three, zero := true, false, int32(3), int32(0)
	q := resource.MustParse
	want := Parameters{
		Plane:    PlaneNative,
		Replicas: &three,
		Service:  ServiceParameters{Type: corev1.ServiceTypeClusterIP, Annotations: map[string]string{"a": "class", "b": "gateway"}},
		Images:   Images{Egret: "egret:1", Envoy: "envoy:2"},
		Resources: map[string]Resources{
			"envoy": {Requests: corev1.ResourceList{"cpu": q("10m"), "memory": q("64Mi")}},
			"proxy": {Limits: corev1.ResourceList{"cpu": q("1")}},
		},
		Pod: PodParameters{
			Labels:       map[string]string{"a": "class", "b": "gateway"},
			NodeSelector: map[string]string{"disk": "fast"},
			Tolerations:  []corev1.Toleration{{Operator: corev1.TolerationOpExists}},
			Spread:       &yes,
		},
		DrainSeconds: &zero,
		AccessLog:    &no,
	}
	t.Run("gateway-49 a lowered request keeps the others", func(t *testing.T) {
		if diff := cmp.Diff(want, class.With(gateway)); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
	t.Run("neither is changed", func(t *testing.T) {
		if class.Service.Annotations["b"] != "class" || len(class.Resources) != 1 {
			t.Errorf("the class's became %+v", class)
		}
	})
	t.Run("nothing over something", func(t *testing.T) {
		if diff := cmp.Diff(class, class.With(Parameters{})); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		if diff := cmp.Diff(class, Parameters{}.With(class)); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}
