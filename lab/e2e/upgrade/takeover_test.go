//go:build cluster

package upgrade

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/egret-gateway/egret/lab/cluster"
	"github.com/egret-gateway/egret/lab/stage"
)

// TestTakeover installs the controller where the reference's was: its fleets
// become ours, and no call notices.
func TestTakeover(t *testing.T) {
	c := cluster.Open(t)
	s := &scene{Stage: &stage.Stage{Cluster: c}, loads: map[string]*load{}}
	ns := c.Namespace(t)
	name := "envoy-" + ns + "-models"
	t.Cleanup(func() {
		s.Finally(t, "delete", "gateway", "models", "-n", ns, "--ignore-not-found")
		s.Finally(t, "delete", "--ignore-not-found", "-f", stage.Manifest("openshift/controller.yaml"))
	})
	c.Logs(t, "ai-gateway-system")
	c.Apply(t, fixture(t, "users.yaml", "$NS", ns))
	sum := sha256.Sum256([]byte(ns + "/models"))
	uid := c.Kubectl(t, "get", "gateway", "models", "-n", ns, "-o", "jsonpath={.metadata.uid}")
	cmd := fixture(t, "reference.yaml", "$NS", ns, "$UID", uid, "$NODE", "envoy-proxy-"+hex.EncodeToString(sum[:6]))
	file := filepath.Join(t.TempDir(), "reference.yaml")
	if err := os.WriteFile(file, []byte(cmd), 0o600); err != nil {
		t.Fatal(err)
	}
	c.Kubectl(t, "apply", "--server-side", "--field-manager=sigs.k8s.io/wg-ai-gateway-envoy-controller", "-f", file)
	s.Rolled(t, ns, name)
	s.Rolled(t, ns, "simulator")
	before := s.objects(t, ns, name)
	url := ""
	s.Eventually(t, soon, "the reference's Envoy serves", func() error {
		ip, err := c.Try("get", "service", name, "-n", ns, "-o", "jsonpath={.status.loadBalancer.ingress[0].ip}")
		if err != nil {
			return err
		}
		url = "http://" + ip + "/v1/chat/completions"
		a, err := c.Post(url, stage.Chat)
		return a.Want(200, err)
	})
	s.begin(t, "calls", 200, stage.Steady{URL: url, Rate: 20})
	s.begin(t, "streams", 200, stage.Steady{URL: url, Streams: 4, Stream: words(40)})

	c.Kubectl(t, "apply", "-f", stage.Manifest("openshift/controller.yaml"))
	s.Rolled(t, "ai-gateway-system", "ai-gateway-controller")
	s.await(t, fleet{ns, "models", name}, "{.spec.template.spec.containers[*].name}", "envoy extproc")
	s.Programmed(t, ns, "models")

	t.Run("the objects are those that there were", func(t *testing.T) {
		for kind, was := range before {
			if now := s.objects(t, ns, name)[kind]; now != was {
				t.Errorf("%s was %s and is %s", kind, was, now)
			}
		}
	})
	t.Run("B-31 nothing of the reference's is left", func(t *testing.T) {
		text := c.Kubectl(t, "get", "configmap,deployment,service,serviceaccount", name, "-n", ns, "-o", "yaml", "--show-managed-fields")
		for _, old := range []string{"0.0.0.0", "15000", "trace", "listener-80"} {
			if strings.Contains(text, old) {
				t.Errorf("%s is still there:\n%s", old, text)
			}
		}
	})
	t.Run("its pods are gone when what they did has ended", func(t *testing.T) {
		s.Eventually(t, late, "the reference's Envoys are gone", func() error {
			var pods corev1.PodList
			err := c.Client().List(t.Context(), &pods, client.InNamespace(ns), client.MatchingLabels{"app": name})
			for _, p := range pods.Items {
				if len(p.Spec.Containers) == 1 {
					err = fmt.Errorf("%s is there", p.Name)
				}
			}
			return err
		})
	})
	t.Run("no call fails", s.lossless)
	for _, l := range s.loads {
		l.Stop()
	}
	t.Run("gateway-45 B-07 a Gateway that goes leaves nothing", func(t *testing.T) {
		c.Kubectl(t, "delete", "gateway", "models", "-n", ns)
		s.nothingLeft(t, ns)
		s.unsaid(t, ns)
	})
	again := func(t *testing.T) {
		t.Helper()
		c.Apply(t, fixture(t, "users.yaml", "$NS", ns), lock(ns, "models"))
		s.Eventually(t, soon, "a fleet that may review tokens", func() error {
			_, err := c.Try("get", "deployment", name, "-n", ns)
			if err != nil {
				return err
			}
			bound, err := c.Try("get", "clusterrolebindings", "-l", managed, "-o", "name")
			if err == nil && bound == "" {
				err = errors.New("it has no binding")
			}
			return err
		})
	}
	leave := func(t *testing.T) {
		t.Helper()
		c.Kubectl(t, "scale", "deployment", "ai-gateway-controller", "-n", "ai-gateway-system", "--replicas=0")
		c.Kubectl(t, "wait", "pods", "-n", "ai-gateway-system", "--all", "--for=delete", "--timeout=60s")
	}
	t.Run("gateway-45 a class that goes takes nothing from its Gateway, which leaves nothing", func(t *testing.T) {
		again(t)
		uid := s.objects(t, ns, name)["deployment"]
		c.Kubectl(t, "delete", "gatewayclass", "wg-ai-gateway")
		s.Eventually(t, soon, "a binding without the class", func() error {
			bound, err := c.Try("get", "clusterrolebindings", "-l", managed, "-o", "jsonpath={range .items[*]}{.metadata.name} of {.metadata.ownerReferences[*].kind}{end}")
			if err == nil && !strings.HasSuffix(bound, " of ") {
				err = fmt.Errorf("there is %q", bound)
			}
			return err
		})
		if now := s.objects(t, ns, name)["deployment"]; now != uid {
			t.Errorf("the Deployment was %s and is %s", uid, now)
		}
		c.Kubectl(t, "delete", "gateway", "models", "-n", ns)
		s.nothingLeft(t, ns)
	})
	t.Run("gateway-45 what goes while the controller is away is cleaned up when it is back", func(t *testing.T) {
		again(t)
		leave(t)
		c.Kubectl(t, "delete", "gateway", "models", "-n", ns)
		c.Kubectl(t, "scale", "deployment", "ai-gateway-controller", "-n", "ai-gateway-system", "--replicas=1")
		s.nothingLeft(t, ns)
		s.unsaid(t, ns)
	})
	t.Run("gateway-45 where it does not come back the cluster does, with the class", func(t *testing.T) {
		again(t)
		leave(t)
		c.Kubectl(t, "delete", "gateway", "models", "-n", ns)
		c.Kubectl(t, "delete", "gatewayclass", "wg-ai-gateway")
		s.nothingLeft(t, ns)
	})
}

// unsaid waits until no route of a namespace has an entry.
func (s *scene) unsaid(t *testing.T, namespace string) {
	t.Helper()
	s.Eventually(t, soon, "routes without entries", func() error {
		said, err := s.Try("get", "httproutes", "-n", namespace, "-o", "jsonpath={.items[*].status.parents[*].controllerName}")
		if err == nil && said != "" {
			err = fmt.Errorf("entries of %s", said)
		}
		return err
	})
}

// objects are the identities of a fleet's objects, and the Service's addresses.
func (s *scene) objects(t *testing.T, namespace, name string) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, kind := range []string{"configmap", "deployment", "service", "serviceaccount"} {
		out[kind] = s.Kubectl(t, "get", kind, name, "-n", namespace, "-o", "jsonpath={.metadata.uid} {.spec.clusterIP} {.status.loadBalancer.ingress[0].ip}")
	}
	return out
}

// fixture is a file of testdata with names replaced.
func fixture(t *testing.T, file string, names ...string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", file))
	if err != nil {
		t.Fatal(err)
	}
	return strings.NewReplacer(names...).Replace(string(b))
}

// words is a stream that says so many words.
func words(n int) string {
	return `{"model": "gpt-4-external", "stream": true, "stream_options": {"include_usage": true},
		"messages": [{"role": "user", "content": "` + strings.Repeat("word ", n) + `"}]}`
}
