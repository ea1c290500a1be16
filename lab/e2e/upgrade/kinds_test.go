//go:build cluster

package upgrade

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/egret-gateway/egret/lab/cluster"
	"github.com/egret-gateway/egret/lab/stage"
)

// taken is how long it may take until a kind that comes or goes is noticed:
// the controller looks for those that are missing every five to eight seconds,
// and believes that one is gone when it was told so twice.
const taken = 30 * time.Second

// TestKinds runs a controller on a cluster without any kind of its own, brings
// these one after the other, and takes them away again.
func TestKinds(t *testing.T) {
	c := cluster.Open(t)
	if !c.Own() {
		t.Fatal("this test removes custom resource definitions with all their objects; it runs in the test cluster only")
	}
	s := &scene{Stage: &stage.Stage{Cluster: c}, loads: map[string]*load{}}
	ns := c.Namespace(t)
	c.Logs(t, "ai-gateway-system")
	d := newDefinitions(t, c)
	t.Cleanup(func() {
		s.Finally(t, "delete", "--ignore-not-found", "-f", stage.Manifest("openshift/controller.yaml"))
	})
	d.remove(t, everything...)
	c.Apply(t, withoutClass(t))
	s.Rolled(t, "ai-gateway-system", "ai-gateway-controller")
	pod := s.controller(t)

	t.Run("gateway-28 without a single kind it is ready, and says what is missing", func(t *testing.T) {
		for _, path := range []string{"/healthz", "/readyz", "/metrics"} {
			a, err := c.Get("http://" + pod.Status.PodIP + ":8081" + path)
			if err := a.Want(200, err); err != nil {
				t.Errorf("%s: %v", path, err)
			}
			for _, kind := range []string{"Gateway", "HTTPRoute", "GRPCRoute", "BackendTLSPolicy", "AuthPolicy", "TokenRateLimitPolicy", "XBackendDestination"} {
				line := fmt.Sprintf(`egret_controller_missing_kind{kind=%q,why="NotInstalled"} 1`, kind)
				if path == "/metrics" && !strings.Contains(a.Body, line) {
					t.Errorf("metrics lack %s", line)
				}
			}
		}
		log := c.Kubectl(t, "logs", "-n", "ai-gateway-system", pod.Name)
		if n := strings.Count(log, `"kind cannot be read","kind":"HTTPRoute"`); n != 1 {
			t.Errorf("that HTTPRoutes are missing is said %d times", n)
		}
		security := pod.Spec.Containers[0].SecurityContext
		if !*security.RunAsNonRoot || !*security.ReadOnlyRootFilesystem {
			t.Errorf("it runs as %+v", security)
		}
	})

	url := ""
	answers := func(path, token string, want int) {
		t.Helper()
		c.Eventually(t, taken, fmt.Sprintf("%s answers %d", path, want), func() error {
			a, err := c.Get(url+path, "Authorization: Bearer "+token)
			return a.Want(want, err)
		})
	}
	t.Run("kinds that appear are taken up", func(t *testing.T) {
		d.add(t, "gatewayclasses"+gatewayAPI, "gateways"+gatewayAPI, "httproutes"+gatewayAPI)
		c.Apply(t, fixture(t, "kinds.yaml", "$NS", ns))
		url = "http://" + s.Programmed(t, ns, "g")
		answers("/service", "", 200)
		answers("/destination", "", 500)
		d.add(t, "xbackenddestinations"+own, "authpolicies"+kuadrant, "grpcroutes"+gatewayAPI, "backendtlspolicies"+gatewayAPI)
		c.Apply(t, destination(ns), lock(ns, "guarded"))
		answers("/destination", "", 200)
		answers("/guarded", "", 401)
	})
	if t.Failed() {
		return
	}
	token := c.Token(t, ns, "default", "models")
	answers("/guarded", token, 200)
	s.begin(t, "strangers", 401, stage.Steady{URL: url + "/guarded", Rate: 5})
	s.begin(t, "passers-by", 200, stage.Steady{URL: url + "/service", Rate: 5})

	t.Run("neither an API server that starts anew nor a permission that goes takes a policy away", func(t *testing.T) {
		permit := c.Kubectl(t, "get", "clusterrole", "ai-gateway-controller", "-o", "jsonpath={.rules}")
		allow := func(rules string) {
			c.Kubectl(t, "patch", "clusterrole", "ai-gateway-controller", "--type=json", "-p", `[{"op":"replace","path":"/rules","value":`+rules+`}]`)
		}
		allow(strings.ReplaceAll(permit, `"kuadrant.io"`, `"none.example.com"`))
		c.Kill(t, "kube-apiserver") // a watch that is open goes on
		s.missing(t, pod, `egret_controller_missing_kind{kind="AuthPolicy",why="Forbidden"} 1`, true)
		c.Kubectl(t, "annotate", "httproute", "guarded", "-n", ns, "touched=yes")
		answers("/guarded", token, 200)
		allow(permit)
		s.missing(t, pod, `egret_controller_missing_kind{kind="AuthPolicy",`, false)
		s.lossless(t)
	})
	t.Run("kinds that go take what they are about", func(t *testing.T) {
		s.loads["strangers"].Stop()
		d.remove(t, "authpolicies"+kuadrant, "grpcroutes"+gatewayAPI, "backendtlspolicies"+gatewayAPI)
		answers("/guarded", "", 200)
		d.remove(t, "xbackenddestinations"+own)
		answers("/destination", "", 500)
		answers("/service", "", 200)
		s.loads["passers-by"].Stop()
		s.lossless(t)
		d.remove(t, "httproutes"+gatewayAPI)
		answers("/service", "", 404)
		d.remove(t, "gateways"+gatewayAPI)
		s.nothingLeft(t, ns)
	})
	t.Run("it was one process all along", func(t *testing.T) {
		if now := s.controller(t); now.UID != pod.UID || now.Status.ContainerStatuses[0].RestartCount != 0 {
			t.Errorf("%s was restarted %d times", now.Name, now.Status.ContainerStatuses[0].RestartCount)
		}
	})
}

// missing waits until the metrics have a line or have it no longer.
func (s *scene) missing(t *testing.T, pod *corev1.Pod, line string, want bool) {
	t.Helper()
	s.Eventually(t, soon, "metrics with "+line, func() error {
		a, err := s.Get("http://" + pod.Status.PodIP + ":8081/metrics")
		if err := a.Want(200, err); err != nil {
			return err
		}
		if strings.Contains(a.Body, line) != want {
			return fmt.Errorf("have it: %v", !want)
		}
		return nil
	})
}

// controller is the pod of the controller of class wg-ai-gateway.
func (s *scene) controller(t *testing.T) *corev1.Pod {
	t.Helper()
	var pods corev1.PodList
	err := s.Client().List(t.Context(), &pods, client.InNamespace("ai-gateway-system"), client.MatchingLabels{"app.kubernetes.io/name": "ai-gateway-controller"})
	if err != nil || len(pods.Items) != 1 {
		t.Fatalf("%d pods of the controller, error %v", len(pods.Items), err)
	}
	return &pods.Items[0]
}

// managed selects what is that controller's.
const managed = "aigateway.networking.k8s.io/managed=sigs.k8s.io-wg-ai-gateway-envoy-controller"

// nothingLeft waits until the controller of class wg-ai-gateway has no object
// left in a namespace, nor one that is in none.
func (s *scene) nothingLeft(t *testing.T, namespace string) {
	t.Helper()
	const kinds = "deployments,services,serviceaccounts,configmaps,poddisruptionbudgets,horizontalpodautoscalers"
	s.Eventually(t, soon, "nothing is left", func() error {
		left, err := s.Try("get", kinds, "-n", namespace, "-l", managed, "-o", "name")
		if err != nil {
			return err
		}
		cluster, err := s.Try("get", "clusterrolebindings", "-l", managed, "-o", "name")
		if err == nil && left+cluster != "" {
			err = fmt.Errorf("%s%s", left, cluster)
		}
		return err
	})
}

// withoutClass is the controller's manifest without its GatewayClass.
func withoutClass(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile(stage.Manifest("openshift/controller.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	docs := strings.Split(string(b), "\n---\n")
	return strings.Join(slices.DeleteFunc(docs, func(d string) bool { return strings.Contains(d, "\nkind: GatewayClass\n") }), "\n---\n")
}

func destination(namespace string) string {
	return `
apiVersion: ainetworking.prototype.x-k8s.io/v0alpha0
kind: XBackendDestination
metadata: {name: answer, namespace: ` + namespace + `}
spec:
  destination: {type: Fqdn, fqdn: {hostname: answer.` + namespace + `.svc.cluster.local}, ports: [{number: 80, protocol: HTTP}]}
`
}

// lock lets in to a route who has a token for "models".
func lock(namespace, route string) string {
	return `
apiVersion: kuadrant.io/v1
kind: AuthPolicy
metadata: {name: lock, namespace: ` + namespace + `}
spec:
  targetRef: {group: gateway.networking.k8s.io, kind: HTTPRoute, name: ` + route + `}
  rules: {authentication: {tokens: {kubernetesTokenReview: {audiences: [models]}}}}
`
}
