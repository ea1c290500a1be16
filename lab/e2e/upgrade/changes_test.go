//go:build cluster

package upgrade

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/egret-gateway/egret/source"
)

// parametersChange rolls both fleets with another request, a label, a third pod
// and the other plane: Envoy in front, the native plane behind.
func (s *scene) parametersChange(t *testing.T) {
	for i, plane := range []string{source.PlaneEnvoy, source.PlaneNative} {
		s.parameters(t, fleets[i], "plane: "+plane+"\nreplicas: 3\npod: {labels: {example.com/round: two}}\n"+
			"resources: {proxy: {requests: {cpu: 51m}}, extproc: {requests: {cpu: 51m}}}")
	}
	for i, containers := range []string{"envoy extproc", "proxy"} {
		s.await(t, fleets[i], "{.spec.template.spec.containers[*].name}", containers)
		s.await(t, fleets[i], `{.spec.template.metadata.labels.example\.com/round} {.status.readyReplicas}`, "two 3")
		s.await(t, fleets[i], `{.spec.template.spec.containers[?(@.name!="envoy")].resources.requests.cpu}`, "51m")
	}
	s.enforced(t, 24)
	s.lossless(t)
}

// evictions takes a pod of each fleet, as kubectl drain does, and is refused a
// second one meanwhile.
func (s *scene) evictions(t *testing.T) {
	for _, f := range fleets {
		pods := s.pods(t, f)
		for i, p := range pods[:2] {
			err := s.Client().SubResource("eviction").Create(t.Context(), p, &policyv1.Eviction{})
			if refused := apierrors.IsTooManyRequests(err); err != nil && !refused || refused != (i == 1) {
				t.Errorf("eviction %d of a pod of %s: %v", i+1, f.name, err)
			}
		}
	}
	for _, f := range fleets {
		s.Eventually(t, late, "the pods of "+f.name, func() error {
			got, err := s.Try("get", "deployment", f.name, "-n", f.namespace, "-o", "jsonpath={.status.availableReplicas}")
			if err == nil && got != "3" {
				err = fmt.Errorf("%s are available", got)
			}
			return err
		})
	}
	s.lossless(t)
}

// pods of a fleet that are not on their way out, the oldest first.
func (s *scene) pods(t *testing.T, f fleet) []*corev1.Pod {
	t.Helper()
	var list corev1.PodList
	if err := s.Client().List(t.Context(), &list, client.InNamespace(f.namespace), client.MatchingLabels{"app": f.name}); err != nil {
		t.Fatal(err)
	}
	var out []*corev1.Pod
	for i := range list.Items {
		if list.Items[i].DeletionTimestamp == nil {
			out = append(out, &list.Items[i])
		}
	}
	slices.SortFunc(out, func(a, b *corev1.Pod) int { return a.CreationTimestamp.Compare(b.CreationTimestamp.Time) })
	if len(out) < 2 {
		t.Fatalf("%s has %d pods", f.name, len(out))
	}
	return out
}

// shared is a route with a parent of each controller.
const shared = `
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: shared, namespace: default}
spec:
  parentRefs: [{name: poc-gateway}, {name: maas-default-gateway, namespace: openshift-ingress}]
  rules: [{matches: [{path: {value: /shared}}], backendRefs: [{name: envoy-poc-gateway, port: 80}]}]
`

// quiet is for how long nothing may be written when nothing changes.
const quiet = 10 * time.Second

func (s *scene) sideBySide(t *testing.T) {
	s.Apply(t, shared)
	defer s.Remove(t, shared)
	route := &gwv1.HTTPRoute{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "shared"}}
	entries := func(want ...string) {
		t.Helper()
		s.Eventually(t, soon, "entries of "+fmt.Sprint(want), func() error {
			err := s.Client().Get(t.Context(), client.ObjectKeyFromObject(route), route)
			var got []string
			for _, p := range route.Status.Parents {
				got = append(got, string(p.ControllerName))
			}
			if slices.Sort(got); err == nil && !slices.Equal(got, want) {
				err = fmt.Errorf("of %v", got)
			}
			return err
		})
	}
	entries(source.ControllerEgret, source.ControllerWG)
	foreign := gwv1.RouteParentStatus{ControllerName: "example.com/other", ParentRef: gwv1.ParentReference{Name: "theirs"}, Conditions: []metav1.Condition{{
		Type: "Accepted", Status: metav1.ConditionTrue, Reason: "Accepted", LastTransitionTime: metav1.Now(),
	}}}
	patch := client.MergeFrom(route.DeepCopy())
	route.Status.Parents = append(route.Status.Parents, foreign)
	if err := s.Client().Status().Patch(t.Context(), route, patch); err != nil {
		t.Fatal(err)
	}
	entries(source.ControllerEgret, "example.com/other", source.ControllerWG)
	s.Kubectl(t, "patch", "httproute", "shared", "-n", "default", "--type=json", "-p", `[{"op":"remove","path":"/spec/parentRefs/1"}]`)
	entries("example.com/other", source.ControllerWG)
	s.silent(t)
	s.lossless(t)
}

// silent shows that no object that has a status of ours, or is ours, is written.
func (s *scene) silent(t *testing.T) {
	t.Helper()
	versions := func() string {
		return s.Kubectl(t, "get", "gatewayclasses,gateways,httproutes,xbackenddestinations,authpolicies,tokenratelimitpolicies,configmaps,services,serviceaccounts",
			"-A", "-o", `jsonpath={range .items[*]}{.kind} {.metadata.namespace}/{.metadata.name} {.metadata.resourceVersion}{"\n"}{end}`)
	}
	// People who sign in make ServiceAccounts.
	mints := s.loads["mints"].Stop()
	before := versions()
	timer := time.NewTimer(quiet)
	defer timer.Stop()
	<-timer.C
	after := strings.Split(versions(), "\n")
	for line := range strings.SplitSeq(before, "\n") {
		if !slices.Contains(after, line) {
			t.Errorf("it was written within %s: %s", quiet, line)
		}
	}
	if len(mints) == 0 {
		t.Error("nobody signed in")
	}
}

// leaderDies ends the leading controller of class egret without a word.
func (s *scene) leaderDies(t *testing.T) {
	holder := func() (string, error) {
		return s.Try("get", "lease", "egret-egret-dev-gateway-controller", "-n", "egret-system", "-o", "jsonpath={.spec.holderIdentity}")
	}
	leader, err := holder()
	if err != nil || leader == "" {
		t.Fatalf("leader %q, error %v", leader, err)
	}
	s.Kubectl(t, "delete", "pod", leader, "-n", "egret-system", "--force", "--grace-period=0")
	s.Eventually(t, 30*time.Second, "another leader", func() error {
		now, err := holder()
		if err == nil && (now == leader || now == "") {
			err = errors.New("it is " + cmp.Or(now, "nobody"))
		}
		return err
	})
	s.Budget(t, 25)
	s.limited(t, s.mint(t, s.Person(t)), 25)
	s.lossless(t)
}
