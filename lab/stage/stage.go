//go:build cluster

package stage

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/egret-gateway/egret/lab/cluster"
)

// Limits of waits: for what only has to start, and for what has to be pulled
// and started in turn.
const (
	soon = time.Minute
	late = 2 * time.Minute
)

// Stage is a cluster on which the quickstart stands: the MaaS gateway of class
// egret in front, poc-gateway of class wg-ai-gateway behind, a simulator as
// the external model.
type Stage struct {
	*cluster.Cluster
	people string // namespace
	front  string // http:// address of the MaaS gateway
}

// Namespaces are those whose pods make up the quickstart.
var Namespaces = []string{"egret-system", "ai-gateway-system", "openshift-ingress", "opendatahub", "default", "external-models"}

// Quickstart applies the quickstart's manifests and waits until a completion
// has come through both gateways.
func Quickstart(t testing.TB, c *cluster.Cluster) *Stage {
	t.Helper()
	return From(t, c, Manifest(""))
}

// From is Quickstart with the manifests of another folder, as of an earlier
// release.
func From(t testing.TB, c *cluster.Cluster, manifests string) *Stage {
	t.Helper()
	s := raise(t, c, manifests)
	// Before MaaS: Gateways go first, for their controllers to see them go.
	t.Cleanup(func() { s.Finally(t, append(files("delete", manifests), "--ignore-not-found", "--timeout=60s")...) })
	c.Logs(t, Namespaces...)
	s.Kubectl(t, files("apply", manifests)...)
	s.stand(t)
	s.Rolled(t, "ai-gateway-system", "ai-gateway-controller")
	s.Rolled(t, "external-models", "model-simulator")
	s.Programmed(t, "default", "poc-gateway")
	token := s.Mint(t)
	s.Eventually(t, soon, "a completion through both gateways", func() error {
		a, err := s.Post(s.front+ChatPath, Chat, "Authorization: Bearer "+token)
		return a.Want(200, err)
	})
	return s
}

// MaaS applies what the quickstart takes for granted, and that alone: the MaaS
// API behind its gateway, and the controller of class egret.
func MaaS(t testing.TB, c *cluster.Cluster) *Stage {
	t.Helper()
	s := raise(t, c, Manifest(""))
	c.Logs(t, Namespaces...)
	s.stand(t)
	return s
}

// raise applies MaaS and waits for nothing.
func raise(t testing.TB, c *cluster.Cluster, manifests string) *Stage {
	t.Helper()
	s := &Stage{Cluster: c}
	t.Cleanup(func() {
		s.Finally(t, "delete", "--ignore-not-found", "--timeout=90s", "-k", filepath.Join(manifests, "maas", "kubernetes"))
	})
	s.maas(t, manifests)
	return s
}

func (s *Stage) maas(t testing.TB, manifests string) {
	t.Helper()
	s.Kubectl(t, "apply", "--server-side", "--force-conflicts", "-f", filepath.Join(manifests, "crds"))
	s.Kubectl(t, "apply", "-k", filepath.Join(manifests, "maas", "kubernetes"))
}

// stand waits until MaaS serves.
func (s *Stage) stand(t testing.TB) {
	t.Helper()
	s.Rolled(t, "egret-system", "egret-controller")
	s.Rolled(t, "opendatahub", "maas-api")
	s.front = "http://" + s.Programmed(t, "openshift-ingress", "maas-default-gateway")
	s.people = s.Namespace(t)
}

// Upgrade applies another folder's custom resource definitions, MaaS and
// controllers over what stands, in this order, and waits for each to roll out:
// planes learn from a controller where the MaaS API has moved to. What users
// wrote stays as it is, except for what manifests/maas brings.
func (s *Stage) Upgrade(t testing.TB, manifests string) {
	t.Helper()
	s.maas(t, manifests)
	s.Rolled(t, "opendatahub", "maas-api")
	s.Kubectl(t, "apply", "-f", filepath.Join(manifests, parts[0]))
	s.Rolled(t, "egret-system", "egret-controller")
	s.Rolled(t, "ai-gateway-system", "ai-gateway-controller")
}

// parts are the quickstart's own manifests, in its order; its controller is
// the first.
var parts = []string{
	"openshift/controller.yaml", "common/gateway.yaml", "openshift/simulator.yaml", "openshift/external-model.yaml",
	"openshift/maas-bridge.yaml", "openshift/external-model-registry.yaml",
}

func files(verb, manifests string) []string {
	args := []string{verb}
	for _, f := range parts {
		args = append(args, "-f", filepath.Join(manifests, filepath.FromSlash(f)))
	}
	return args
}

// Finally is Kubectl after a test has ended: what fails is logged.
func (s *Stage) Finally(t testing.TB, args ...string) {
	if out, err := s.Try(args...); err != nil {
		t.Logf("%s%v", out, err)
	}
}

// Manifest is the path of a file or folder of manifests/.
func Manifest(name string) string {
	dir, err := os.Getwd()
	for err == nil {
		if _, gone := os.Stat(filepath.Join(dir, "go.mod")); gone == nil {
			return filepath.Join(dir, "manifests", filepath.FromSlash(name))
		}
		if dir == filepath.Dir(dir) {
			break
		}
		dir = filepath.Dir(dir)
	}
	panic("BUG: a test outside of the checkout")
}

// Rolled waits until a Deployment has rolled out.
func (s *Stage) Rolled(t testing.TB, namespace, name string) {
	t.Helper()
	s.Kubectl(t, "rollout", "status", "deployment/"+name, "-n", namespace, "--timeout="+late.String())
}

// Programmed waits until a Gateway is and returns its address.
func (s *Stage) Programmed(t testing.TB, namespace, name string) string {
	t.Helper()
	s.Kubectl(t, "wait", "gateway/"+name, "-n", namespace, "--for=condition=Programmed", "--timeout="+late.String())
	return s.Kubectl(t, "get", "gateway", name, "-n", namespace, "-o", "jsonpath={.status.addresses[0].value}")
}

// URL is an address of the MaaS gateway.
func (s *Stage) URL(path string) string { return s.front + path }

// Budget gives everybody of the free tier so many tokens a minute.
func (s *Stage) Budget(t testing.TB, tokens int) {
	t.Helper()
	s.Kubectl(t, "patch", "tokenratelimitpolicy", "gateway-token-rate-limits", "-n", "openshift-ingress", "--type=json", "-p",
		fmt.Sprintf(`[{"op":"replace","path":"/spec/limits/free-user-tokens/rates/0/limit","value":%d}]`, tokens))
	s.Kubectl(t, "wait", "tokenratelimitpolicy/gateway-token-rate-limits", "-n", "openshift-ingress", "--for=condition=Enforced", "--timeout="+soon.String())
}

// Person makes somebody of the free tier and returns the token of their login.
func (s *Stage) Person(t testing.TB) string {
	t.Helper()
	made := s.Kubectl(t, "create", "-n", s.people, "-o", "name", "-f", filepath.Join(Manifest(".."), "lab", "stage", "person.yaml"))
	return s.Token(t, s.people, strings.TrimPrefix(strings.TrimSpace(made), "serviceaccount/"), "https://kubernetes.default.svc")
}
