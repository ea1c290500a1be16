//go:build cluster

package fleet

import (
	"log/slog"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"
	"sigs.k8s.io/yaml"

	"github.com/egret-gateway/egret/source"
)

// world is a namespace on the API server and an Applier for it.
type world struct {
	*testing.T
	client  client.Client
	applier *Applier
	log     strings.Builder
	patches atomic.Int64
}

type counting struct {
	http.RoundTripper
	patches *atomic.Int64
}

func (c counting) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Method == http.MethodPatch {
		c.patches.Add(1)
	}
	return c.RoundTripper.RoundTrip(r)
}

// newWorld makes the namespace; the Applier acts as the user, "" is one who
// may do everything.
func newWorld(t *testing.T, namespace, controller, user string) *world {
	w := &world{T: t}
	var err error
	if w.client, err = client.New(server.Config(), client.Options{}); err != nil {
		t.Fatal(err)
	}
	as := server.As(user)
	as.Wrap(func(next http.RoundTripper) http.RoundTripper { return counting{next, &w.patches} })
	c, err := client.New(as, client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	w.applier = &Applier{Client: c, Controller: controller, Log: slog.New(slog.NewTextHandler(&w.log, nil))}
	w.create(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}})
	return w
}

func (w *world) create(o client.Object) {
	w.Helper()
	if err := w.client.Create(w.Context(), o); err != nil {
		w.Fatal(err)
	}
}

func (w *world) apply(f *Fleet) State {
	w.Helper()
	s, err := w.applier.Apply(w.Context(), *f)
	if err != nil {
		w.Fatal(err)
	}
	return s
}

// merge edits an object by hand.
func (w *world) merge(o client.Object, patch string) {
	w.Helper()
	if err := w.client.Patch(w.Context(), o, client.RawPatch("application/merge-patch+json", []byte(patch))); err != nil {
		w.Fatal(err)
	}
}

// get reads an object of the fleet; o has its type.
func get[T client.Object](w *world, f *Fleet, o T) T {
	w.Helper()
	if err := w.client.Get(w.Context(), client.ObjectKey{Namespace: f.Gateway.Namespace, Name: f.Name()}, o); err != nil {
		w.Fatal(err)
	}
	return o
}

func TestApply(t *testing.T) {
	for _, class := range []string{"wg-ai-gateway", "egret"} {
		t.Run("gateway-33 gateway-47 nothing is written twice, "+class, func(t *testing.T) {
			f := tuned(t, class)
			f.Gateway.Namespace = "twice-" + class
			w := newWorld(t, f.Gateway.Namespace, f.Class.Controller, "")
			w.apply(f)
			if first := w.patches.Swap(0); first != int64(len(f.Objects())) {
				t.Errorf("%d patches for %d objects", first, len(f.Objects()))
			}
			w.apply(f)
			if again := w.patches.Load(); again != 0 {
				t.Errorf("%d patches although nothing differs", again)
			}
		})
	}

	t.Run("gateway-33 an edit of our fields by hand is repaired, others stay", func(t *testing.T) {
		f := plain("egret", "edited", "g")
		w := newWorld(t, "edited", f.Class.Controller, "")
		w.apply(f)
		w.merge(get(w, f, &appsv1.Deployment{}), `{"metadata":{"labels":{"team":"theirs"}},"spec":{"minReadySeconds":3,"template":{"spec":{"automountServiceAccountToken":true}}}}`)
		w.merge(get(w, f, &corev1.ConfigMap{}), `{"data":{"ca.crt":"forged"}}`)
		w.apply(f)
		d := get(w, f, &appsv1.Deployment{})
		if *d.Spec.Template.Spec.AutomountServiceAccountToken || d.Labels["team"] != "theirs" || d.Spec.MinReadySeconds != 3 {
			t.Errorf("the Deployment is %+v", d)
		}
		if ca := get(w, f, &corev1.ConfigMap{}).Data["ca.crt"]; ca != string(f.CA) {
			t.Errorf("the certificate authority is %q", ca)
		}
	})

	t.Run("a field that is no longer wanted goes", func(t *testing.T) {
		f := plain("egret", "fewer", "g")
		w := newWorld(t, "fewer", f.Class.Controller, "")
		f.Parameters = parameters(t, "pod: {nodeSelector: {disk: fast}}\nservice: {annotations: {a: b}}")
		w.apply(f)
		f.Parameters = source.Parameters{}
		w.apply(f)
		if s := get(w, f, &appsv1.Deployment{}).Spec.Template.Spec.NodeSelector; s != nil {
			t.Errorf("the selector of nodes is %v", s)
		}
		if _, ok := get(w, f, &corev1.Service{}).Annotations["a"]; ok {
			t.Error("the Service's annotation is there")
		}
	})

	t.Run("gateway-44 B-35 an object of somebody else is not touched", func(t *testing.T) {
		f := plain("wg-ai-gateway", "foreign", "g")
		w := newWorld(t, "foreign", f.Class.Controller, "")
		theirs := &corev1.Service{
			ObjectMeta: metav1.ObjectMeta{Namespace: "foreign", Name: f.Name(), Labels: map[string]string{source.LabelManaged: "another-controller"}},
			Spec:       corev1.ServiceSpec{Ports: []corev1.ServicePort{{Port: 9000}}},
		}
		w.create(theirs)
		s := w.apply(f)
		if len(s.Conflicts) != 1 || !strings.HasPrefix(s.Conflicts[0], "Service foreign/envoy-foreign-g exists and lacks the label") {
			t.Errorf("state is %+v", s)
		}
		if diff := cmp.Diff(theirs, get(w, f, &corev1.Service{})); diff != "" {
			t.Errorf("it was changed (-before +after):\n%s", diff)
		}
		get(w, f, &appsv1.Deployment{}) // the rest is made all the same
	})

	t.Run("gateway-48 a port more changes the Service and no pod", func(t *testing.T) {
		f := plain("wg-ai-gateway", "ports", "g")
		w := newWorld(t, "ports", f.Class.Controller, "")
		w.apply(f)
		before := get(w, f, &appsv1.Deployment{})
		f.Gateway.Spec.Listeners = append(f.Gateway.Spec.Listeners, listener("https", 443, gwv1.HTTPSProtocolType))
		w.apply(f)
		if after := get(w, f, &appsv1.Deployment{}); after.Generation != before.Generation {
			t.Errorf("the Deployment's generation went from %d to %d", before.Generation, after.Generation)
		}
		if ports := get(w, f, &corev1.Service{}).Spec.Ports; len(ports) != 2 || ports[1].Port != 443 || ports[1].TargetPort.IntVal != 443 {
			t.Errorf("the Service's ports are %+v", ports)
		}
	})

	t.Run("gateway-49 a lowered request is kept", func(t *testing.T) {
		f := plain("wg-ai-gateway", "rosa", "g")
		w := newWorld(t, "rosa", f.Class.Controller, "")
		w.apply(f)
		f.Parameters = parameters(t, "resources: {envoy: {requests: {cpu: 10m}}}")
		w.apply(f)
		f.CA = []byte("another, which has everything applied again")
		w.apply(f)
		r := get(w, f, &appsv1.Deployment{}).Spec.Template.Spec.Containers[0].Resources
		if r.Requests.Cpu().String() != "10m" || r.Requests.Memory().String() != "128Mi" || r.Limits.Cpu().String() != "2" {
			t.Errorf("resources are %+v", r)
		}
	})

	t.Run("gateway-46 B-36 long names work", func(t *testing.T) {
		f := plain("wg-ai-gateway", strings.Repeat("n", 63), strings.Repeat("g.", 100)+"g")
		w := newWorld(t, f.Gateway.Namespace, f.Class.Controller, "")
		w.apply(f)
	})
}

func TestReplicas(t *testing.T) {
	f := plain("egret", "replicas", "g")
	w := newWorld(t, "replicas", f.Class.Controller, "")
	f.Parameters = parameters(t, "replicas: 4")
	w.apply(f)
	t.Run("autoscaling begins with the pods that there are", func(t *testing.T) {
		f.Parameters = parameters(t, "autoscaling: {min: 2, max: 9}")
		if s := w.apply(f); s.Replicas != 4 {
			t.Errorf("%d replicas", s.Replicas)
		}
	})
	t.Run("what autoscaling says stays", func(t *testing.T) {
		w.merge(get(w, f, &appsv1.Deployment{}), `{"spec":{"replicas":7}}`)
		f.CA = []byte("another")
		f.Parameters.AccessLog = ptr(true)
		if s := w.apply(f); s.Replicas != 7 {
			t.Errorf("%d replicas", s.Replicas)
		}
	})
	t.Run("a fixed number is the number again", func(t *testing.T) {
		f.Parameters = parameters(t, "replicas: 2")
		if s := w.apply(f); s.Replicas != 2 {
			t.Errorf("%d replicas", s.Replicas)
		}
	})
}

// What the reference left becomes ours, field by field, under the same
// selector, so that its pods serve until ours do.
func TestTakeOver(t *testing.T) {
	f := plain("wg-ai-gateway", "takeover", "poc-gateway")
	f.Gateway.Namespace = "takeover"
	w := newWorld(t, "takeover", f.Class.Controller, "")
	text, err := os.ReadFile("testdata/reference.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var list struct{ Items []map[string]any }
	if err := yaml.Unmarshal([]byte(strings.ReplaceAll(string(text), "envoy-poc-gateway", f.Name())), &list); err != nil {
		t.Fatal(err)
	}
	for _, item := range list.Items {
		o := &unstructured.Unstructured{Object: item}
		err := w.client.Apply(t.Context(), client.ApplyConfigurationFromUnstructured(o), client.FieldOwner(source.ControllerWG), client.ForceOwnership)
		if err != nil {
			t.Fatal(err)
		}
	}
	service := get(w, f, &corev1.Service{})
	// status sets what the controller of Deployments would, and applies again.
	status := func(all, updated, ready int32) State {
		d := get(w, f, &appsv1.Deployment{})
		d.Status = appsv1.DeploymentStatus{ObservedGeneration: d.Generation, Replicas: all, UpdatedReplicas: updated, ReadyReplicas: ready}
		if err := w.client.Status().Update(t.Context(), d); err != nil {
			t.Fatal(err)
		}
		return w.apply(f)
	}
	step := func(name string, s State, unsettled bool, ready int32, selector map[string]string) {
		t.Run(name, func(t *testing.T) {
			if s.Unsettled != unsettled || len(s.Conflicts) > 0 {
				t.Errorf("state is %+v", s)
			}
			if got := get(w, f, &appsv1.Deployment{}).Spec.MinReadySeconds; got != ready {
				t.Errorf("minReadySeconds is %d", got)
			}
			if diff := cmp.Diff(selector, get(w, f, &corev1.Service{}).Spec.Selector); diff != "" {
				t.Errorf("the Service's selector (-want +got):\n%s", diff)
			}
		})
	}
	both := map[string]string{"app": f.Name()}
	ours := map[string]string{"app": f.Name(), "app.kubernetes.io/component": "proxy"}
	step("B-31 the reference's pods stay beside ours", w.apply(f), true, 20, both)
	step("B-31 they serve until ours are ready", status(2, 1, 1), true, 20, both)
	step("B-31 then they get no new connection, and end what they do", status(2, 1, 2), true, 20, ours)
	step("B-31 and when they are gone all is as if they had never been", status(1, 1, 1), false, 0, both)
	t.Run("B-07 B-35 B-31 nothing of the reference's stays", func(t *testing.T) {
		fresh := plain("wg-ai-gateway", "takeover", "poc-gateway")
		fresh.Gateway.Name = "fresh"
		w.apply(fresh)
		got, want := get(w, f, &appsv1.Deployment{}).Spec, get(w, fresh, &appsv1.Deployment{}).Spec
		names := strings.NewReplacer(fresh.Name(), f.Name(), `"fresh"`, `"poc-gateway"`, "takeover/fresh", "takeover/poc-gateway",
			source.NodeID(f.Class, "takeover", "fresh"), source.NodeID(f.Class, "takeover", "poc-gateway"))
		g, _ := yaml.Marshal(got)
		n, _ := yaml.Marshal(want)
		n = []byte(names.Replace(strings.ReplaceAll(string(n), "gateway-name: fresh", "gateway-name: poc-gateway")))
		if diff := cmp.Diff(string(n), string(g)); diff != "" {
			t.Errorf("(-made afresh +taken over):\n%s", diff)
		}
	})
	t.Run("gateway-41 the Service is the same, before pods of both", func(t *testing.T) {
		if diff := cmp.Diff(service.Spec, get(w, f, &corev1.Service{}).Spec); diff != "" {
			t.Errorf("(-before +after):\n%s", diff)
		}
	})
}

func TestSelector(t *testing.T) {
	deployment := func(f *Fleet, labels map[string]string) *appsv1.Deployment {
		return &appsv1.Deployment{
			ObjectMeta: metav1.ObjectMeta{Namespace: f.Gateway.Namespace, Name: f.Name(), Labels: map[string]string{source.LabelManaged: f.Class.ManagedLabel()}},
			Spec: appsv1.DeploymentSpec{
				Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"old": "yes"}},
				Template: corev1.PodTemplateSpec{
					ObjectMeta: metav1.ObjectMeta{Labels: labels},
					Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "i"}}},
				},
			},
		}
	}
	t.Run("a Deployment of another selector is replaced", func(t *testing.T) {
		f := plain("egret", "selector", "g")
		w := newWorld(t, "selector", f.Class.Controller, "")
		w.create(deployment(f, map[string]string{"old": "yes"}))
		w.apply(f)
		if s := get(w, f, &appsv1.Deployment{}).Spec.Selector.MatchLabels; s["app"] != f.Name() {
			t.Errorf("selector is %v", s)
		}
	})
	t.Run("pods that the new selector finds are left to it", func(t *testing.T) {
		f := plain("egret", "orphans", "g")
		w := newWorld(t, "orphans", f.Class.Controller, "")
		w.create(deployment(f, map[string]string{"old": "yes", "app": f.Name()}))
		_, err := w.applier.Apply(t.Context(), *f) // no garbage collector runs here to end the deletion
		if err == nil || !strings.Contains(err.Error(), "being deleted") {
			t.Errorf("error is %v", err)
		}
		if d := get(w, f, &appsv1.Deployment{}); len(d.Finalizers) != 1 || d.Finalizers[0] != metav1.FinalizerOrphanDependents {
			t.Errorf("finalizers are %v", d.Finalizers)
		}
	})
}
