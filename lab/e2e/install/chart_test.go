//go:build cluster

package install

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/egret-gateway/egret/lab/cluster"
)

// helm builds Helm's own program, of the version whose library lab/chart tests
// with, unless it is there already.
func helm(t *testing.T) string {
	t.Helper()
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(cache, "egret", "helm", "helm")
	build := exec.Command("go", "build", "-trimpath", "-o", program, "helm.sh/helm/v4/cmd/helm")
	build.Dir, build.Env = "../../chart", append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return program
}

// TestChart installs, upgrades and uninstalls the chart with Helm, by the
// commands of its README.
func TestChart(t *testing.T) {
	c := open(t)
	before := inventory(t, c)
	finally(t, c, "delete", "namespace", "maas-default-gateway-tier-free", "--ignore-not-found", "--wait=false")
	program := helm(t)
	run := func(t *testing.T, script string) string {
		t.Helper()
		out := c.Script(t, nil, "helm() { "+program+` "$@"; }`+"\n(set -e\n"+script+"\n)")
		if out.Code != 0 {
			t.Fatalf("%s\n%s%s", script, out.Stdout, out.Stderr)
		}
		return out.Stdout
	}
	defer func() {
		if t.Failed() {
			c.Script(t, nil, program+" uninstall egret -n egret-system --ignore-not-found --wait")
			c.Try("delete", "namespace", "egret-system", "opendatahub", "openshift-ingress", "--ignore-not-found", "--wait=false")
		}
	}()
	c.Logs(t, "egret-system", "opendatahub", "openshift-ingress")
	ns := c.Namespace(t)

	said := run(t, readme(t)+" --set wg.enabled=true --wait --timeout=2m")
	if !strings.Contains(said, "kubectl rollout status deployment/egret-controller -n egret-system") {
		t.Errorf("the notes do not say what comes next:\n%s", said)
	}
	gateways := map[string]gateway{}
	for _, class := range []string{"egret", "wg-ai-gateway"} {
		t.Run("class "+class+" serves", func(t *testing.T) { gateways[class] = raise(t, c, ns, class) })
	}
	t.Run("MaaS serves", func(t *testing.T) {
		c.Kubectl(t, "wait", "gateway/maas-default-gateway", "-n", "openshift-ingress", "--for=condition=Programmed", "--timeout="+late.String())
		out := run(t, maas)
		if !strings.HasSuffix(out, "\n200") {
			t.Errorf("the notes' commands end with %s", out)
		}
	})
	if t.Failed() {
		t.FailNow()
	}

	t.Run("an upgrade rolls the controllers and the pods of gateways, which serve on", func(t *testing.T) {
		c.Apply(t, "apiVersion: v1\nkind: Secret\nmetadata: {name: team.redis, namespace: egret-system}\nstringData: {counters: \"redis://nowhere.invalid:6379/0\"}")
		settings := func(name string) string {
			return c.Kubectl(t, "get", "deployment", name, "-n", ns, "-o", `jsonpath={.spec.template.spec.containers[*].env[?(@.name=="EGRET_SETTINGS")].value}`)
		}
		was := map[string]string{}
		for class := range gateways {
			was[class] = settings(fleets[class] + ns + "-" + class)
		}
		stop := watch(t, c, gateways)
		run(t, `helm upgrade egret charts/egret -n egret-system --reuse-values --wait --timeout=2m \
			--set settings.existingSecret=team.redis --set 'images.pullSecrets[0].name=registry' --set labels.team=platform`)
		for class, g := range gateways {
			name := fleets[class] + ns + "-" + class
			c.Eventually(t, soon, "the pods of "+name+" pull with the Secret", func() error {
				return is(c.Kubectl(t, "get", "deployment", name, "-n", ns, "-o", "jsonpath={.spec.template.spec.imagePullSecrets[*].name}"), "registry")
			})
			rolled(t, c, ns, name)
			if now := settings(name); now == "" || now == was[class] {
				t.Errorf("%s has settings %q, as before the Secret was named", name, now)
			}
			for _, path := range []string{"/service", "/destination"} {
				g.answers(t, c, path)
			}
		}
		stop()
		args := c.Kubectl(t, "get", "deployments", "-n", "egret-system", "-l", "team=platform", "-o", "jsonpath={.items[*].spec.template.spec.containers[0].args}")
		if strings.Count(args, "--settings-secret=team.redis") != 2 {
			t.Errorf("the controllers run with %s", args)
		}
	})

	t.Run("what is uninstalled as the README says leaves what it says", func(t *testing.T) {
		for _, g := range gateways {
			g.remove(t, c)
		}
		run(t, `helm upgrade egret charts/egret -n egret-system --reuse-values --set maas.enabled=false --wait --timeout=2m
			helm uninstall egret -n egret-system --wait --timeout=2m`)
		c.Eventually(t, soon, "only what the README says is there", func() error {
			return is(strings.Join(left(t, c, before, "Secret egret-system/team.redis"), "\n"), strings.Join(stays, "\n"))
		})
		c.Kubectl(t, "delete", "namespace", "egret-system", "opendatahub", "openshift-ingress", "--timeout=90s")
		if more := left(t, c, before); len(more) > 0 {
			t.Errorf("without its namespaces there is still %q", more)
		}
	})
}

// fleets is how the names of Gateways' objects begin, by class.
var fleets = map[string]string{"egret": "egret-", "wg-ai-gateway": "envoy-"}

// stays is what uninstalling leaves: namespaces, and what the controllers and
// the MaaS API made for themselves in them.
var stays = []string{
	"ConfigMap opendatahub/maas-denials",
	"Lease egret-system/egret-egret-dev-gateway-controller",
	"Lease egret-system/egret-sigs-k8s-io-wg-ai-gateway-envoy-controller",
	"Namespace /egret-system",
	"Namespace /opendatahub",
	"Namespace /openshift-ingress",
	"Secret egret-system/egret-egret-dev-gateway-controller",
	"Secret egret-system/egret-sigs-k8s-io-wg-ai-gateway-envoy-controller",
	"Secret openshift-ingress/maas-gateway-tls",
}

// maas are the commands of the chart's notes, with the status of the last.
const maas = `
HOST=$(kubectl get gateway maas-default-gateway -n openshift-ingress -o jsonpath='{.status.addresses[0].value}')
TOKEN=$(curl -sSk -H "Authorization: Bearer $(kubectl create token default)" \
  --json '{"expiration": "10m"}' https://$HOST/maas-api/v1/tokens | jq -r .token)
curl -sSk -w '\n%{http_code}' -H "Authorization: Bearer $TOKEN" https://$HOST/v1/models`

// readme is the block of commands in the chart's README.
func readme(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../../../charts/egret/README.md")
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile("(?s)```bash\n(.*?)\n```").FindAllStringSubmatch(string(text), -1)
	if len(m) != 1 {
		t.Fatalf("%d blocks; this test knows one", len(m))
	}
	return m[0][1]
}

// watch calls gateways until stop, and reports whatever is not answered with
// 200.
func watch(t *testing.T, c *cluster.Cluster, gateways map[string]gateway) (stop func()) {
	quit, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for {
			for _, g := range gateways {
				if err := g.get(c, "/service"); err != nil {
					t.Errorf("%s, during the upgrade: %v", g.name, err)
				}
			}
			select {
			case <-quit:
				return
			case <-t.Context().Done():
				return
			case <-tick.C:
			}
		}
	}()
	return func() { close(quit); <-done }
}
