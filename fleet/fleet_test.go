package fleet

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"
	"sigs.k8s.io/yaml"

	"github.com/egret-gateway/egret/source"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func listener(name string, port int32, protocol gwv1.ProtocolType) gwv1.Listener {
	return gwv1.Listener{Name: gwv1.SectionName(name), Port: port, Protocol: protocol}
}

// plain is the fleet of a Gateway that says nothing about it.
func plain(class, namespace, name string) *Fleet {
	c, _ := (&source.Snapshot{}).Class(class)
	return &Fleet{
		Gateway: &gwv1.Gateway{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, UID: "11111111-2222-3333-4444-555555555555"},
			Spec:       gwv1.GatewaySpec{Listeners: []gwv1.Listener{listener("http", 80, gwv1.HTTPProtocolType)}},
		},
		Class:      c,
		Files:      map[string]string{"envoy.yaml": "node: {id: some}\n", "xds-ca.yaml": "resources: []\n"},
		CA:         []byte("-----BEGIN CERTIFICATE-----\n"),
		Image:      "ghcr.io/egret-gateway/egret:v1",
		Pull:       corev1.PullIfNotPresent,
		EnvoyImage: "docker.io/envoyproxy/envoy:v1.37-latest",
		XDSAddress: "ai-gateway-controller.ai-gateway-system.svc.cluster.local:15001",
	}
}

// tuned is the fleet of a Gateway that says all that can be said.
func tuned(t *testing.T, class string) *Fleet {
	f := plain(class, "team-a", "models")
	f.Gateway.Spec.Listeners = append(f.Gateway.Spec.Listeners, listener("https.public", 443, gwv1.HTTPSProtocolType), listener("more", 80, gwv1.HTTPProtocolType))
	f.Gateway.Spec.Infrastructure = &gwv1.GatewayInfrastructure{
		Labels:      map[gwv1.LabelKey]gwv1.LabelValue{"cost-center": "42", "app": "taken", source.LabelManaged: "taken"},
		Annotations: map[gwv1.AnnotationKey]gwv1.AnnotationValue{"example.com/owner": "team-a"},
	}
	f.Gateway.Spec.Addresses = []gwv1.GatewaySpecAddress{{Value: "192.0.2.7"}}
	f.Parameters = parameters(t, `
autoscaling: {min: 2, max: 5}
service: {annotations: {example.com/lb: internal}}
images: {egret: registry.example/egret:2, envoy: registry.example/envoy:2}
resources:
  envoy: {requests: {cpu: 10m}}
  extproc: {limits: {cpu: 1500m, memory: 512Mi}}
  proxy: {requests: {cpu: 3}}
pod:
  labels: {sidecar.istio.io/inject: "false"}
  annotations: {example.com/scrape: "true"}
  nodeSelector: {disk: fast}
  tolerations: [{key: gpu, operator: Exists, effect: NoSchedule}]
  spread: false
drainSeconds: 30
`)
	f.AssignsUser, f.Reviews = true, true
	f.PullSecrets = []string{"registry"}
	f.Env = map[string]string{"OTEL_SERVICE_NAME": "egret", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://otel:4317"}
	return f
}

func parameters(t *testing.T, text string) source.Parameters {
	t.Helper()
	p, err := source.ParseParameters(&corev1.ConfigMap{Data: map[string]string{source.ParametersKey: text}})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// text returns the objects of f as they are applied.
func text(t *testing.T, f *Fleet) []byte {
	t.Helper()
	var out [][]byte
	for _, o := range f.Objects() {
		u, err := encode(o)
		if err != nil {
			t.Fatal(err)
		}
		y, err := yaml.Marshal(u.Object)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, y)
	}
	return bytes.Join(out, []byte("---\n"))
}

// What is applied, to the letter: plain and tuned, on both planes.
func TestObjects(t *testing.T) {
	f := func(test, file string, fleet *Fleet) {
		t.Run(test, func(t *testing.T) {
			file := filepath.Join("testdata", file)
			got := text(t, fleet)
			if *update {
				if err := os.WriteFile(file, got, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), string(got)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	f("gateway-39 gateway-41 gateway-42 gateway-50 B-31 envoy, plain", "envoy.yaml", plain("wg-ai-gateway", "default", "poc-gateway"))
	f("gateway-40 gateway-47 gateway-49 envoy, tuned", "envoy-tuned.yaml", tuned(t, "wg-ai-gateway"))
	f("gateway-120 native, plain and internal", "native.yaml", plain("egret-internal", "default", "poc-gateway"))
	f("gateway-47 gateway-49 native, tuned", "native-tuned.yaml", tuned(t, "egret"))
}

// find returns the object of f that is a T.
func find[T any](t *testing.T, f *Fleet) T {
	t.Helper()
	for _, o := range f.Objects() {
		if found, ok := o.(T); ok {
			return found
		}
	}
	t.Fatalf("%s has no such object", f.Name())
	panic("unreachable")
}

func TestPodTemplate(t *testing.T) {
	template := func(change func(*Fleet)) corev1.PodTemplateSpec {
		f := plain("wg-ai-gateway", "default", "poc-gateway")
		change(f)
		return find[*appsv1.Deployment](t, f).Spec.Template
	}
	before := template(func(*Fleet) {})
	f := func(test string, rolls bool, change func(*Fleet)) {
		t.Run(test, func(t *testing.T) {
			if diff := cmp.Diff(before, template(change)); (diff != "") != rolls {
				t.Errorf("rolls the pods: %v, want %v\n%s", diff != "", rolls, diff)
			}
		})
	}
	f("gateway-48 a listener's port rolls no pod", false, func(f *Fleet) {
		f.Gateway.Spec.Listeners = append(f.Gateway.Spec.Listeners, listener("alt", 8080, gwv1.HTTPProtocolType))
	})
	f("gateway-48 no port below 1024 any more rolls no pod", false, func(f *Fleet) { f.Gateway.Spec.Listeners[0].Port = 8080 })
	f("a new certificate authority rolls no pod", false, func(f *Fleet) { f.CA = []byte("another") })
	f("more replicas roll no pod", false, func(f *Fleet) { f.Parameters.Replicas = ptr[int32](3) })
	f("a new bootstrap rolls the pods", true, func(f *Fleet) { f.Files["xds-ca.yaml"] = "another" })
	f("gateway-49 a lowered request rolls the pods", true, func(f *Fleet) {
		f.Parameters = parameters(t, "resources: {envoy: {requests: {cpu: 10m}}}")
	})
}

// B-31: what a hardened pod is, for each container of both planes.
func TestHardened(t *testing.T) {
	for _, class := range []string{"wg-ai-gateway", "egret"} {
		pod := find[*appsv1.Deployment](t, plain(class, "default", "g")).Spec.Template.Spec
		for _, c := range pod.Containers {
			t.Run("B-31 gateway-42 "+class+" "+c.Name, func(t *testing.T) {
				s := c.SecurityContext
				if !*s.RunAsNonRoot || !*s.ReadOnlyRootFilesystem || *s.AllowPrivilegeEscalation || s.Privileged != nil ||
					len(s.Capabilities.Add) > 0 || s.Capabilities.Drop[0] != "ALL" || s.SeccompProfile.Type != corev1.SeccompProfileTypeRuntimeDefault {
					t.Errorf("security context is %+v", s)
				}
				hook, last := c.Lifecycle.PreStop.HTTPGet.Path, pod.Containers[len(pod.Containers)-1]
				if !slices.ContainsFunc(last.Env, func(e corev1.EnvVar) bool {
					return e.Name == source.DrainWord && len(e.Value) == 32 && hook == "/drain?word="+e.Value
				}) {
					t.Errorf("gateway-50 nothing waits for the streams: hook %s", hook)
				}
				if strings.Contains(strings.Join(c.Command, " "), "trace") {
					t.Error("it logs everything")
				}
				for _, m := range c.VolumeMounts {
					if c.Name == source.ContainerEnvoy && m.Name == volumeKube {
						t.Error("Envoy has access to the API server")
					}
				}
			})
		}
		t.Run("B-31 "+class+" is told when it serves", func(t *testing.T) {
			last := pod.Containers[len(pod.Containers)-1]
			if last.ReadinessProbe == nil || last.LivenessProbe == nil || last.StartupProbe == nil {
				t.Errorf("container %s lacks a probe", last.Name)
			}
			if want := int64(defaultDrain + 15); *pod.TerminationGracePeriodSeconds != want {
				t.Errorf("grace period is %d s, want %d", *pod.TerminationGracePeriodSeconds, want)
			}
		})
	}
}

func TestPlane(t *testing.T) {
	f := func(class, parameter, want string) {
		t.Helper()
		fleet := plain(class, "default", "g")
		fleet.Parameters.Plane = parameter
		if got := fleet.Plane(); got != want {
			t.Errorf("class %s with plane %q: %s, want %s", class, parameter, got, want)
		}
	}
	f("wg-ai-gateway", "", source.PlaneEnvoy)
	f("egret", "", source.PlaneNative)
	f("egret-internal", source.PlaneEnvoy, source.PlaneEnvoy)
	f("wg-ai-gateway", source.PlaneNative, source.PlaneNative)
}

// The binding outlives no class: a controller that goes before its Gateways
// cannot remove it.
func TestReviewersOwner(t *testing.T) {
	f := plain("egret", "team-a", "models")
	if owners := f.reviewers().OwnerReferences; len(owners) != 0 {
		t.Errorf("without a GatewayClass there are owners %v", owners)
	}
	f.Class.UID = "22222222-2222-3333-4444-555555555555"
	want := []metav1.OwnerReference{{APIVersion: "gateway.networking.k8s.io/v1", Kind: "GatewayClass", Name: "egret", UID: f.Class.UID}}
	if diff := cmp.Diff(want, f.reviewers().OwnerReferences); diff != "" {
		t.Errorf("owners (-want +got):\n%s", diff)
	}
}
