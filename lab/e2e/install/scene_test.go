//go:build cluster

package install

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

// open returns the test cluster with the kinds that manifests/crds brings.
func open(t *testing.T) *cluster.Cluster {
	c := cluster.Open(t)
	if !c.Own() {
		t.Fatal("this test installs and removes what belongs to a cluster as a whole; it runs in the test cluster only")
	}
	c.Kubectl(t, "apply", "--server-side", "--force-conflicts", "-f", "../../../manifests/crds")
	return c
}

// fixture is a file of testdata with pairs of strings replaced.
func fixture(t *testing.T, name string, pairs ...string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return strings.NewReplacer(pairs...).Replace(string(text))
}

// gateway is one that was made by a test.
type gateway struct{ namespace, name, address string }

// raise makes a Gateway of a class and returns it when it answers 200.
func raise(t *testing.T, c *cluster.Cluster, namespace, class string) gateway {
	t.Helper()
	g := gateway{namespace: namespace, name: class}
	c.Apply(t, fixture(t, "gateway.yaml", "NAMESPACE", namespace, "CLASS", class, "NAME", g.name))
	rolled(t, c, namespace, "answer")
	c.Kubectl(t, "wait", "gateway/"+g.name, "-n", namespace, "--for=condition=Programmed", "--timeout="+late.String())
	g.address = c.Kubectl(t, "get", "gateway", g.name, "-n", namespace, "-o", "jsonpath={.status.addresses[0].value}")
	for _, path := range []string{"/service", "/destination"} {
		g.answers(t, c, path)
	}
	return g
}

// get is the answer to a path.
func (g gateway) get(c *cluster.Cluster, path string) error {
	a, err := c.Get("http://" + g.address + path)
	return a.Want(200, err)
}

// answers waits until a path is answered with 200.
func (g gateway) answers(t *testing.T, c *cluster.Cluster, path string) {
	t.Helper()
	c.Eventually(t, soon, g.name+path, func() error { return g.get(c, path) })
}

// remove deletes a Gateway and waits until its objects are gone.
func (g gateway) remove(t *testing.T, c *cluster.Cluster) {
	t.Helper()
	c.Kubectl(t, "delete", "gateway", g.name, "-n", g.namespace)
	c.Eventually(t, soon, "what ran for "+g.name+" is gone", func() error {
		return is(c.Kubectl(t, "get", "deployments,services,serviceaccounts,configmaps", "-n", g.namespace,
			"-l", "gateway.networking.k8s.io/gateway-name="+g.name, "-o", "name"), "")
	})
}

func rolled(t *testing.T, c *cluster.Cluster, namespace, deployment string) {
	t.Helper()
	c.Kubectl(t, "rollout", "status", "deployment/"+deployment, "-n", namespace, "--timeout="+late.String())
}

// is says what is there in the place of what should be.
func is(got, want string) error {
	if got != want {
		return fmt.Errorf("%q, want %q", got, want)
	}
	return nil
}

// finally is Kubectl after a test has ended: what fails is logged.
func finally(t *testing.T, c *cluster.Cluster, args ...string) {
	t.Cleanup(func() {
		if out, err := c.Try(args...); err != nil {
			t.Logf("%s%v", out, err)
		}
	})
}
