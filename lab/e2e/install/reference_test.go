//go:build cluster

package install

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/egret-gateway/egret/lab/cluster"
)

const system = "ai-gateway-system" // namespace of the reference's controller

// TestReference runs our image under the reference's name, in the manifest that
// its users have.
func TestReference(t *testing.T) {
	c := open(t)
	finally(t, c, "delete", "--ignore-not-found", "--timeout=90s", "-f", "testdata/reference.yaml")
	c.Kubectl(t, "apply", "-f", "testdata/reference.yaml")
	c.Logs(t, system)
	rolled(t, c, system, "ai-gateway-controller")
	other, ns := c.Namespace(t), c.Namespace(t)
	var g gateway
	t.Run("gateway-2 B-01 Programmed, and 200 from a Service and an XBackendDestination", func(t *testing.T) {
		g = raise(t, c, ns, "wg-ai-gateway")
	})
	if t.Failed() {
		t.FailNow()
	}
	finally(t, c, "delete", "gateway", g.name, "-n", ns, "--ignore-not-found")

	t.Run("what may not be read is said, and opens nothing", func(t *testing.T) {
		c.Apply(t, fixture(t, "foreign.yaml", "NAMESPACE", ns, "OTHER", other, "NAME", g.name))
		c.Eventually(t, soon, "the route across namespaces is refused", func() error {
			return is(c.Kubectl(t, "get", "httproute", "foreign", "-n", ns, "-o",
				`jsonpath={.status.parents[0].conditions[?(@.type=="ResolvedRefs")].reason}`), "RefNotPermitted")
		})
		if a, err := c.Get("http://" + g.address + "/foreign"); a.Status != 500 {
			t.Errorf("status %d: %v", a.Status, err)
		}
		log := c.Kubectl(t, "logs", "-n", system, "deployment/ai-gateway-controller")
		for _, kind := range []string{"ReferenceGrant", "BackendTLSPolicy", "AuthPolicy", "TokenRateLimitPolicy", "leases", "certificate authority"} {
			if !strings.Contains(log, kind) {
				t.Errorf("the log does not say that it has to do without %s:\n%s", kind, log)
			}
		}
	})
	t.Run("it lives in 128 MiB", func(t *testing.T) {
		pod := controller(t, c)
		ip := c.Kubectl(t, "get", "pod", pod, "-n", system, "-o", "jsonpath={.status.podIP}")
		a, err := c.Get("http://" + ip + ":8081/metrics")
		if err := a.Want(200, err); err != nil {
			t.Fatal(err)
		}
		m := regexp.MustCompile(`(?m)^process_resident_memory_bytes (\S+)$`).FindStringSubmatch(a.Body)
		if m == nil {
			t.Fatalf("no memory in\n%s", a.Body)
		}
		bytes, err := strconv.ParseFloat(m[1], 64)
		if err != nil || bytes > 112<<20 {
			t.Errorf("%.0f MiB are resident, of 128: %v", bytes/(1<<20), err)
		}
		t.Logf("%.0f MiB", bytes/(1<<20))
		if n := c.Kubectl(t, "get", "pod", pod, "-n", system, "-o", "jsonpath={.status.containerStatuses[0].restartCount}"); n != "0" {
			t.Errorf("%s restarts", n)
		}
	})
	t.Run("its restart is not noticed, and what changes later arrives", func(t *testing.T) {
		old := controller(t, c)
		c.Kubectl(t, "delete", "pod", old, "-n", system)
		steady := func(what string, done func() error) {
			c.Eventually(t, late, what, func() error {
				if err := g.get(c, "/service"); err != nil {
					t.Errorf("meanwhile: %v", err)
				}
				return done()
			})
		}
		steady("another controller leads", func() error {
			log, err := c.Try("logs", "-n", system, "deployment/ai-gateway-controller")
			if err == nil && (!strings.Contains(log, "controller started") || controller(t, c) == old) {
				err = fmt.Errorf("not started")
			}
			return err
		})
		c.Kubectl(t, "patch", "httproute", g.name, "-n", ns, "--type=json", "-p",
			`[{"op":"replace","path":"/spec/rules/1/matches/0/path/value","value":"/later"}]`)
		// Under these permissions the authority of the controller's certificate is a
		// new one. The kubelet brings it to the pods within a minute, or when they
		// change.
		authority := c.Kubectl(t, "get", "configmap", "envoy-"+ns+"-"+g.name, "-n", ns, "-o", "jsonpath={.metadata.resourceVersion}")
		c.Kubectl(t, "annotate", "pods", "-n", ns, "-l", "app=envoy-"+ns+"-"+g.name, "egret.dev/test="+authority)
		steady("the new route", func() error { return g.get(c, "/later") })
	})
}

// controller is the name of the controller's pod.
func controller(t *testing.T, c *cluster.Cluster) string {
	t.Helper()
	return c.Kubectl(t, "get", "pods", "-n", system, "-l", "app.kubernetes.io/name=ai-gateway-controller",
		"--field-selector=status.phase=Running", "--sort-by=.metadata.creationTimestamp", "-o", "jsonpath={.items[-1:].metadata.name}")
}
