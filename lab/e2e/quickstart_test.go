//go:build cluster

package e2e

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/egret-gateway/egret/lab/cluster"
)

// guide is the page whose commands run here, as they stand.
const guide = "../../docs/guides/kubernetes.md"

// domain is the cluster domain of testdata/openshift.
const domain = "apps.egret.test"

// mark separates the outputs of blocks.
const mark = "=====block====="

// TestQuickstart runs the guide, and with it the quickstart's own commands,
// unmodified: first with the MaaS gateway on the native plane and poc-gateway
// on Envoy, so that one request crosses both, then with the planes swapped.
func TestQuickstart(t *testing.T) {
	c := cluster.Open(t)
	if !c.Own() {
		t.Fatal("this test installs what a platform brings along; it runs in the test cluster only")
	}
	blocks := blocksOf(t, guide)
	if len(blocks) != 11 {
		t.Fatalf("%d blocks; this test knows 11", len(blocks))
	}
	wg, poc := layout(t)
	platform(t, c)
	people := c.Namespace(t)
	env := map[string]string{"WG_DIR": wg, "POC_DIR": poc, "OC_TOKEN": person(t, c, people), "CURL_HOME": t.TempDir()}
	defer func() {
		c.Script(t, env, strings.Join(blocks[9:], "\n"))
		c.Kubectl(t, "delete", "-f", "testdata/openshift/objects.yaml", "--ignore-not-found", "--wait=false")
	}()

	out := run(t, c, env, blocks[:7])
	holds(t, out[1], `^deployment "egret-controller" successfully rolled out$`, `^gateway.gateway.networking.k8s.io/maas-default-gateway condition met$`)
	t.Run("maas-1 step 1", func(t *testing.T) {
		holds(t, out[2], `^deployment.apps/ai-gateway-controller condition met$`)
	})
	t.Run("maas-2 step 2", func(t *testing.T) {
		holds(t, out[3], `^pod/model-simulator-.* condition met$`)
		holds(t, out[6], `^gateway.gateway.networking.k8s.io/poc-gateway condition met$`)
		c.Kubectl(t, "get", "service", "envoy-poc-gateway", "-n", "default")
	})
	t.Run("maas-3 step 3", func(t *testing.T) {
		for _, o := range [][2]string{
			{"httproute/external-model-route", "{.status.parents[*].conditions[?(@.type=='Accepted')].status}"},
			{"httproute/external-model-bridge", "{.status.parents[*].conditions[?(@.type=='Accepted')].status}"},
			{"authpolicy/external-bridge-auth", "{.status.conditions[?(@.type=='Accepted')].status}"},
			{"authpolicy/external-bridge-auth", "{.status.conditions[?(@.type=='Enforced')].status}"},
		} {
			c.Eventually(t, time.Minute, o[0]+" "+o[1], func() error { return is(c.Kubectl(t, "get", o[0], "-n", "default", "-o", "jsonpath="+o[1]), "True") })
		}
	})
	changed := func(t *testing.T) {
		t.Helper()
		if err := is(c.Kubectl(t, "get", "deployment", "maas-api", "-n", "opendatahub", "-o",
			`jsonpath={.metadata.annotations.opendatahub\.io/managed} {.spec.template.spec.containers[0].image}`), "false ghcr.io/nerdalert/maas-api:external-models"); err != nil {
			t.Error(err)
		}
	}
	t.Run("maas-4 step 4", func(t *testing.T) {
		holds(t, out[5], `^deployment "maas-api" successfully rolled out$`)
		changed(t)
	})
	t.Run("maas-5 the domain is read, and its host answers", func(t *testing.T) {
		name(t, c, env["CURL_HOME"])
		out := c.Script(t, env, "set -e\n"+strings.Join(strings.Split(blocks[7], "\n")[:3], "\n")+`
			echo "$CLUSTER_DOMAIN"
			curl -sSk -o /dev/null -w "%{http_code}\n" "https://${HOST}/v1/models"`)
		if want := domain + "\n401\n"; out.Stdout != want || out.Code != 0 {
			t.Errorf("exit status %d, %q, want %q; %s", out.Code, out.Stdout, want, out.Stderr)
		}
	})
	t.Run("native in front, Envoy behind", func(t *testing.T) { validate(t, c, people, env, blocks[7]) })
	holds(t, run(t, c, env, blocks[8:9])[0], `maas-default-gateway +egret +10\.250\.1\.\d+ +True`, `poc-gateway +wg-ai-gateway +10\.250\.1\.\d+ +True`)

	c.Apply(t, planes)
	for _, g := range [][2]string{{"openshift-ingress", "maas-default-gateway"}, {"default", "poc-gateway"}} {
		c.Kubectl(t, "patch", "gateway", g[1], "-n", g[0], "--type=merge", "-p",
			`{"spec":{"infrastructure":{"parametersRef":{"group":"","kind":"ConfigMap","name":"plane"}}}}`)
	}
	for _, d := range [][3]string{
		{"openshift-ingress", "egret-openshift-ingress-maas-default-gateway", "envoy extproc"}, {"default", "envoy-poc-gateway", "proxy"},
	} {
		c.Eventually(t, time.Minute, "the plane of "+d[1]+" is "+d[2], func() error {
			return is(c.Kubectl(t, "get", "deployment", d[1], "-n", d[0], "-o", "jsonpath={.spec.template.spec.containers[*].name}"), d[2])
		})
		c.Kubectl(t, "rollout", "status", "deployment/"+d[1], "-n", d[0], "--timeout=120s")
		c.Eventually(t, time.Minute, "the pods of before, which count for themselves, are gone", func() error {
			return is(c.Kubectl(t, "get", "pods", "-n", d[0], "-l", "app="+d[1], "-o", "jsonpath={.items[?(@.metadata.deletionTimestamp)].metadata.name}"), "")
		})
	}
	t.Run("Envoy in front, native behind", func(t *testing.T) { validate(t, c, people, env, blocks[7]) })

	t.Run("maas-4 and nobody has taken it back", changed)

	t.Run("maas-15 the teardown leaves nothing, and the MaaS gateway serves on", func(t *testing.T) {
		run(t, c, env, blocks[9:10])
		c.Eventually(t, time.Minute, "the objects of poc-gateway are gone", func() error {
			return is(c.Kubectl(t, "get", "deployments,services,serviceaccounts,configmaps", "-n", "default", "-l", "gateway.networking.k8s.io/gateway-name=poc-gateway", "-o", "name"), "")
		})
		name(t, c, env["CURL_HOME"])
		models := c.Script(t, env, `curl -sSk -o /dev/null -w "%{http_code}" -H "Authorization: Bearer $OC_TOKEN" https://maas.`+domain+`/v1/models`)
		if models.Stdout != "200" {
			t.Errorf("after the teardown /v1/models answers %s%s", models.Stdout, models.Stderr)
		}
	})
}

// validate runs the document's validation as another person, so that the
// budget is a fresh one, and holds it to what the document shows.
func validate(t *testing.T, c *cluster.Cluster, people string, env map[string]string, block string) {
	own := map[string]string{}
	for k, v := range env {
		own[k] = v
	}
	own["OC_TOKEN"] = person(t, c, people)
	out := run(t, c, own, []string{block})[0]
	lines := strings.Split(strings.TrimSpace(out), "\n")
	t.Run("maas-6 maas-7 a token of three parts", func(t *testing.T) {
		if !regexp.MustCompile(`^[\w-]+\.[\w-]+\.[\w-]+$`).MatchString(lines[0]) {
			t.Errorf("token %q", lines[0])
		}
	})
	t.Run("maas-8 gateway-139 two models, ready, in the registry's order", func(t *testing.T) {
		var list struct {
			Data []struct {
				ID    string
				Ready bool
			}
		}
		if err := json.Unmarshal([]byte(lines[1]), &list); err != nil || len(list.Data) != 2 || list.Data[0].ID != "gpt-4-external" ||
			list.Data[1].ID != "claude-3-sonnet-external" || !list.Data[0].Ready || !list.Data[1].Ready {
			t.Errorf("models %s: %v", lines[1], err)
		}
		holds(t, out, `^Model: gpt-4-external$`)
	})
	t.Run("maas-9 maas-10 gateway-139 a completion", func(t *testing.T) {
		holds(t, out, `"object": "chat.completion"`, `"finish_reason": "(stop|length)"`, `"model": "gpt-4-external"`)
	})
	t.Run("maas-11 maas-12 gateway-139 401, then 200 until the budget is spent and 429 from then on", func(t *testing.T) {
		codes := regexp.MustCompile(`(?m)^\d{3}$`).FindAllString(out, -1)
		if got := strings.Join(codes, " "); !regexp.MustCompile(`^401( 200)+( 429)+$`).MatchString(got) || len(codes) != 17 {
			t.Errorf("statuses %s", got)
		}
	})
}

// planes are the parameters that swap them.
const planes = `
apiVersion: v1
kind: ConfigMap
metadata: {name: plane, namespace: openshift-ingress}
data: {fleet.yaml: "plane: envoy"}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: plane, namespace: default}
data: {fleet.yaml: "plane: native"}
`

// person makes somebody and returns the token of their login.
func person(t *testing.T, c *cluster.Cluster, ns string) string {
	made := c.Kubectl(t, "create", "-n", ns, "-o", "name", "-f", "testdata/person.yaml")
	return c.Token(t, ns, strings.TrimPrefix(strings.TrimSpace(made), "serviceaccount/"), "https://kubernetes.default.svc")
}

// layout puts the manifests where the document expects them.
func layout(t *testing.T) (wg, poc string) {
	root := t.TempDir()
	wg, poc = filepath.Join(root, "wg-ai-gateway/prototypes/backend-control-plane"), filepath.Join(root, "egress-ai-gateway-poc")
	crds := filepath.Join(wg, "../internal/backend/k8s/crds")
	for _, dir := range []string{wg, crds} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"backends", "xbackenddestinations"} {
		file := "ainetworking.prototype.x-k8s.io_" + name + ".yaml"
		text, err := os.ReadFile(filepath.Join("../../manifests/crds", file))
		if err == nil {
			err = os.WriteFile(filepath.Join(crds, file), text, 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := os.CopyFS(filepath.Join(poc, "manifests"), os.DirFS("../../manifests")); err != nil {
		t.Fatal(err)
	}
	return wg, poc
}

// platform installs what OpenShift brings along.
func platform(t *testing.T, c *cluster.Cluster) {
	c.Kubectl(t, "apply", "-f", "testdata/openshift/crds.yaml")
	c.Kubectl(t, "wait", "--for=condition=Established", "-f", "testdata/openshift/crds.yaml", "--timeout=30s")
	c.Kubectl(t, "apply", "-f", "testdata/openshift/objects.yaml")
}

// run runs blocks in one shell and returns what each wrote to standard output.
func run(t *testing.T, c *cluster.Cluster, env map[string]string, blocks []string) []string {
	t.Helper()
	name(t, c, env["CURL_HOME"])
	script := strings.Join(blocks, "\necho '"+mark+"'\n")
	out := c.Script(t, env, script)
	t.Logf("%s\n%s", out.Stdout, out.Stderr)
	parts := strings.Split(out.Stdout, mark+"\n")
	if len(parts) != len(blocks) {
		t.Fatalf("%d of %d blocks ended", len(parts), len(blocks))
	}
	return parts
}

// name leads the document's host name to the gateway's address, as the
// platform's DNS would: by curl's own configuration, found in home.
func name(t *testing.T, c *cluster.Cluster, home string) {
	t.Helper()
	ip := strings.TrimSpace(c.Kubectl(t, "get", "gateways", "-n", "openshift-ingress", "-o", "jsonpath={.items[*].status.addresses[0].value}"))
	rc := `resolve = "maas.` + domain + `:443:` + ip + `"` + "\n"
	if ip == "" {
		rc = ""
	}
	if err := os.WriteFile(filepath.Join(home, ".curlrc"), []byte(rc), 0o644); err != nil {
		t.Fatal(err)
	}
}

// blocksOf are the bash blocks of a page.
func blocksOf(t *testing.T, page string) (out []string) {
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile("(?s)```bash\n(.*?)```").FindAllStringSubmatch(string(text), -1) {
		out = append(out, m[1])
	}
	return out
}

// holds reports patterns that no line of text matches.
func holds(t *testing.T, text string, patterns ...string) {
	t.Helper()
	for _, p := range patterns {
		if !regexp.MustCompile(`(?m)` + p).MatchString(text) {
			t.Errorf("no line is %s in\n%s", p, text)
		}
	}
}
