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
	s := &Stage{Cluster: c}
	t.Cleanup(func() { s.clear(t) })
	c.Logs(t, Namespaces...)
	s.Kubectl(t, "apply", "--server-side", "--force-conflicts", "-f", Manifest("crds"))
	s.Kubectl(t, "apply", "-k", Manifest("maas/kubernetes"))
	s.Kubectl(t, files("apply")...)
	s.Rolled(t, "egret-system", "egret-controller")
	s.Rolled(t, "ai-gateway-system", "ai-gateway-controller")
	s.Rolled(t, "opendatahub", "maas-api")
	s.Rolled(t, "external-models", "model-simulator")
	s.front = "http://" + s.Programmed(t, "openshift-ingress", "maas-default-gateway")
	s.Programmed(t, "default", "poc-gateway")
	s.people = c.Namespace(t)
	token := s.Mint(t)
	s.Eventually(t, soon, "a completion through both gateways", func() error {
		a, err := s.Post(s.front+ChatPath, Chat, "Authorization: Bearer "+token)
		return a.Want(200, err)
	})
	return s
}

// parts are the quickstart's own manifests, in its order.
var parts = []string{
	"openshift/controller.yaml", "common/gateway.yaml", "openshift/simulator.yaml", "openshift/external-model.yaml",
	"openshift/maas-bridge.yaml", "openshift/external-model-registry.yaml",
}

func files(verb string, more ...string) []string {
	args := append([]string{verb}, more...)
	for _, f := range parts {
		args = append(args, "-f", Manifest(f))
	}
	return args
}

// clear removes the quickstart: Gateways first, for their controllers to see
// them go.
func (s *Stage) clear(t testing.TB) {
	s.Finally(t, files("delete", "--ignore-not-found", "--timeout=60s")...)
	s.Finally(t, "delete", "--ignore-not-found", "--timeout=90s", "-k", Manifest("maas/kubernetes"))
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
