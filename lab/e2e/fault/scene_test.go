//go:build cluster

package fault

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/egret-gateway/egret/lab/cluster"
	"github.com/egret-gateway/egret/lab/stage"
)

// scene is the quickstart with counters in Redis, and ledger and API keys in
// PostgreSQL.
type scene struct {
	*stage.Stage
	stores string    // namespace of Redis and PostgreSQL
	gone   []*person // whose tokens were revoked
	pods   int       // of the gateway in front
}

// system is what there is before the quickstart's manifests are applied.
const system = `
apiVersion: v1
kind: Namespace
metadata: {name: egret-system}
---
apiVersion: v1
kind: Namespace
metadata: {name: ai-gateway-system}
`

func prepare(t *testing.T, c *cluster.Cluster) *scene {
	t.Helper()
	stores := c.Namespace(t)
	empty := &stage.Stage{Cluster: c}
	redis, postgres := empty.Redis(t, stores), empty.Postgres(t, stores)
	c.Apply(t, system)
	empty.Settings(t, redis, postgres)
	s := &scene{Stage: stage.Quickstart(t, c), stores: stores, pods: 1}
	s.budget(t)
	s.Kubectl(t, "set", "env", "deployment/maas-api", "-n", "opendatahub", "STORAGE_MODE=external", "DB_CONNECTION_URL="+postgres)
	// Streams of some seconds, and no queue where nothing is under test.
	s.Kubectl(t, "patch", "deployment", "model-simulator", "-n", "external-models", "--type=json", "-p", `[
		{"op":"add","path":"/spec/template/spec/containers/0/args/-","value":"--inter-token-latency"},
		{"op":"add","path":"/spec/template/spec/containers/0/args/-","value":"20"},
		{"op":"add","path":"/spec/template/spec/containers/0/args/-","value":"--max-num-seqs"},
		{"op":"add","path":"/spec/template/spec/containers/0/args/-","value":"1000"},
		{"op":"remove","path":"/spec/template/spec/containers/0/resources/limits"}]`)
	// On a machine that others use as well a container gets what it asks for.
	asks := [][2]string{{"egret-system", "egret-controller"}, {"ai-gateway-system", "ai-gateway-controller"}, {"opendatahub", "maas-api"}, {"external-models", "model-simulator"}}
	for _, d := range asks {
		s.Kubectl(t, "set", "resources", "deployment/"+d[1], "-n", d[0], "--requests=cpu=100m")
	}
	for _, d := range asks {
		s.Rolled(t, d[0], d[1])
	}
	return s
}

// budget gives everybody of the free tier more tokens than the load takes, in a
// window that outlasts the test, so that the counter is a sum.
func (s *scene) budget(t *testing.T) {
	s.Kubectl(t, "patch", "tokenratelimitpolicy", "gateway-token-rate-limits", "-n", "openshift-ingress", "--type=json", "-p",
		`[{"op":"replace","path":"/spec/limits/free-user-tokens/rates/0","value":{"limit":1000000000,"window":"2h"}}]`)
}

const front = "egret-openshift-ingress-maas-default-gateway"

// scale gives the gateway in front so many pods.
func (s *scene) scale(t *testing.T, pods int) {
	t.Helper()
	if s.pods == pods {
		return
	}
	s.Apply(t, fmt.Sprintf(`
apiVersion: v1
kind: ConfigMap
metadata: {name: fleet, namespace: openshift-ingress}
data: {fleet.yaml: "replicas: %d"}
`, pods))
	s.Kubectl(t, "patch", "gateway", "maas-default-gateway", "-n", "openshift-ingress", "--type=merge", "-p",
		`{"spec":{"infrastructure":{"parametersRef":{"group":"","kind":"ConfigMap","name":"fleet"}}}}`)
	want := fmt.Sprintf("%d/%[1]d/%[1]d", pods)
	s.Eventually(t, time.Minute, "replicas", func() error {
		got := s.Kubectl(t, "get", "deployment", front, "-n", "openshift-ingress", "-o", "jsonpath={.spec.replicas}/{.status.replicas}/{.status.readyReplicas}")
		if got != want {
			return fmt.Errorf("wanted/there/ready are %s, not %s", got, want)
		}
		return nil
	})
	s.pods = pods
}

// kill ends a target with SIGKILL.
func (s *scene) kill(t *testing.T, what target) {
	t.Helper()
	if what.component != "" {
		if what.labels != "" {
			s.Signal(t, what.namespace, s.pod(t, what.namespace, what.labels), what.container, "SIGKILL")
		}
		s.Kill(t, what.component)
		return
	}
	ns := cmp.Or(what.namespace, s.stores)
	if what.lease != "" {
		holder := s.Kubectl(t, "get", "lease", what.lease, "-n", ns, "-o", "jsonpath={.spec.holderIdentity}")
		pod, _, _ := strings.Cut(holder, "_")
		s.KillContainer(t, ns, pod, what.container)
		return
	}
	s.KillContainer(t, ns, s.pod(t, ns, what.labels), what.container)
}

// pod names the one that has been restarted least.
func (s *scene) pod(t *testing.T, ns, labels string) string {
	t.Helper()
	pods := strings.Fields(s.Kubectl(t, "get", "pods", "-n", ns, "-l", labels, "--sort-by=.status.containerStatuses[0].restartCount", "-o", "jsonpath={.items[*].metadata.name}"))
	if len(pods) == 0 {
		t.Fatalf("no pod %s in %s", labels, ns)
	}
	return pods[0]
}

// ready says which pod is not.
func (s *scene) ready(t *testing.T) error {
	for _, ns := range append([]string{s.stores}, stage.Namespaces...) {
		var pods corev1.PodList
		if err := s.Client().List(t.Context(), &pods, client.InNamespace(ns)); err != nil {
			return err
		}
		for _, p := range pods.Items {
			if p.DeletionTimestamp != nil {
				continue
			}
			for _, c := range p.Status.ContainerStatuses {
				if !c.Ready || c.State.Running == nil {
					return fmt.Errorf("container %s of pod %s/%s is not ready", c.Name, ns, p.Name)
				}
			}
		}
	}
	return nil
}

// person is somebody with a login and a MaaS token.
type person struct {
	*scene
	login, token string
	user         string // as the gateway calls them
}

// person makes somebody new. That it works is part of every row.
func (s *scene) person(t *testing.T) *person {
	t.Helper()
	p := &person{scene: s, login: s.Person(t)}
	var minted struct{ Token string }
	s.Eventually(t, longest, "a token", func() error {
		a, err := s.Post(s.URL("/maas-api/v1/tokens"), `{"expiration": "1h"}`, "Authorization: Bearer "+p.login)
		if err := a.Want(http.StatusCreated, err); err != nil {
			return err
		}
		return json.Unmarshal([]byte(a.Body), &minted)
	})
	p.token = minted.Token
	var err error
	if p.user, err = subject(p.token); err != nil {
		t.Fatal(err)
	}
	s.Eventually(t, longest, "a completion", func() error { return p.calls(http.StatusOK) })
	return p
}

// subject reads the name of a token's ServiceAccount.
func subject(token string) (string, error) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return "", errors.New("the token has no three parts")
	}
	b, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return "", err
	}
	var claims struct{ Sub string }
	if err := json.Unmarshal(b, &claims); err != nil {
		return "", err
	}
	return claims.Sub[strings.LastIndexByte(claims.Sub, ':')+1:], nil
}

func (p *person) calls(want int) error {
	a, err := p.Post(p.URL(stage.ChatPath), stage.Chat, "Authorization: Bearer "+p.token)
	return a.Want(want, err)
}

// revoke ends all tokens of somebody, as soon as that can be done. They are
// refused at once, or, while something has just been killed, before it has
// recovered.
func (p *person) revoke(t *testing.T, within time.Duration) {
	t.Helper()
	s := p.scene
	s.Eventually(t, recovery, "a revocation", p.end)
	s.gone = append(s.gone, p)
	if within == 0 {
		if err := p.calls(http.StatusUnauthorized); err != nil {
			t.Errorf("just revoked: %v", err)
		}
		return
	}
	s.Eventually(t, within, "a refusal of what was revoked", func() error { return p.calls(http.StatusUnauthorized) })
}

func (p *person) end() error {
	r, err := http.NewRequest(http.MethodDelete, p.URL("/maas-api/v1/tokens"), nil)
	if err != nil {
		return err
	}
	r.Header.Set("Authorization", "Bearer "+p.login)
	resp, err := p.HTTP().Do(r)
	if err != nil {
		return err
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusNoContent {
		return fmt.Errorf("revoking answers %d", resp.StatusCode)
	}
	return nil
}

// refused sees that every token revoked so far still is.
func (s *scene) refused(t *testing.T) {
	t.Helper()
	for _, p := range s.gone {
		if err := p.calls(http.StatusUnauthorized); err != nil {
			t.Errorf("%s was revoked: %v", p.user, err)
		}
	}
}
