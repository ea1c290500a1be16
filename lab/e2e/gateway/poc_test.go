//go:build cluster

package gateway

import (
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/egret-gateway/egret/lab/stage"
)

// clusters reads Envoy's configuration by its admin socket, from the node.
func (w *world) clusters(t *testing.T, p *plane) {
	if p.name == "native" {
		return
	}
	l := w.place(t, p)
	l.put(t, fqdn("httpbin-backend", "answer.SITE.svc.cluster.local", 80)+own)
	l.route(t, "r", backend("httpbin-backend", 80)+"\n- matches: [{path: {type: PathPrefix, value: /own}}]\n  backendRefs: [{name: own, port: 80}]")
	l.answers(t, "r", 200)
	pod := w.Object(t, "pods", p.ns, w.podsOf(t, p.ns, "app", p.service(p.ns, "shared"))[0])
	script, err := filepath.Abs("../../cluster/cluster.sh")
	if err != nil {
		t.Fatal(err)
	}
	sockets := "/var/lib/kubelet/pods/" + string(pod.GetUID()) + "/volumes/kubernetes.io~empty-dir/run/"
	out, err := exec.Command(script, "nsexec", "bash", "-c", "cd "+sockets+" && curl -sS --unix-socket admin.sock 'http://admin/config_dump?include_eds'").CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	var dump struct{ Configs []json.RawMessage }
	if err := json.Unmarshal(out, &dump); err != nil {
		t.Fatalf("%v in %.300s", err, out)
	}
	t.Run("gateway-83 a cluster of a backend has the name of the reference, and its addresses by EDS", func(t *testing.T) {
		cluster := regexp.MustCompile(`(?s)"name":\s*"` + l.ns + `-httpbin-backend-80",\s*"type":\s*"EDS"`).FindString(string(out))
		if cluster == "" {
			t.Errorf("none; there are %v", regexp.MustCompile(`"`+l.ns+`-[a-z0-9-]*"`).FindAllString(string(out), -1))
		}
	})
	t.Run("gateway-83 so has the cluster of a Service", func(t *testing.T) {
		if !strings.Contains(string(out), `"`+l.ns+`-synsvc-own-8080"`) {
			t.Errorf("none; there are %v", regexp.MustCompile(`"`+l.ns+`-[a-z0-9-]*"`).FindAllString(string(out), -1))
		}
	})
	t.Run("gateway-98 Envoy has its listeners, clusters and endpoints from the controller", func(t *testing.T) {
		for _, want := range []string{`"name": "listener-80"`, `"name": "listener-443"`, "ListenersConfigDump", "ClustersConfigDump", "EndpointsConfigDump", `"dynamic_active_clusters"`} {
			if !strings.Contains(string(out), want) {
				t.Errorf("no %s", want)
			}
		}
		for _, image := range elements(pod, "spec.containers") {
			if image["name"] == "envoy" && image["image"] != "docker.io/envoyproxy/envoy:v1.37-latest" {
				t.Errorf("it is %v", image["image"])
			}
		}
	})
	t.Run("gateway-92 no private key is in Envoy's dump", func(t *testing.T) {
		if strings.Contains(string(out), "PRIVATE KEY") {
			t.Error("there is one")
		}
	})
}

// outside is the address by which what routes lead to is called from outside the
// cluster.
func (w *world) outside(t *testing.T) (ip string) {
	t.Helper()
	w.Eventually(t, soon, "an address", func() error {
		if ip, _ = at(w.Object(t, "services", w.site, "outside"), "status.loadBalancer.ingress.0.ip").(string); net.ParseIP(ip) == nil {
			return fmt.Errorf("%q", ip)
		}
		return nil
	})
	return ip
}

// external gives names outside the cluster to a program in it, which stands
// in for the internet.
func (w *world) external(t *testing.T, ip string, names ...string) {
	t.Helper()
	const file = "extra-hosts"
	set := func() error {
		lines := "127.0.0.1 localhost\n"
		for _, name := range slices.Sorted(maps.Keys(w.hosts)) {
			lines += w.hosts[name] + " " + name + "\n"
		}
		b, err := json.Marshal(map[string]any{"data": map[string]string{file: lines}})
		if err == nil {
			_, err = w.Try("patch", "configmap", "coredns", "-n", "kube-system", "--type=merge", "-p", string(b))
		}
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.hosts == nil {
		w.hosts = map[string]string{}
	}
	for _, name := range names {
		w.hosts[name] = ip
	}
	if err := set(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		for _, name := range names {
			delete(w.hosts, name)
		}
		if err := set(); err != nil {
			t.Log(err)
		}
	})
	// The kubelet renews the files of a pod when the pod is changed.
	w.Kubectl(t, "annotate", "pods", "-n", "kube-system", "-l", "k8s-app=kube-dns", "egret.dev/test="+fmt.Sprint(time.Now().Unix()), "--overwrite")
}

// samples applies the prototype's sample as it is and makes the checks of its
// demo, then those of the seed's script for kind.
func (w *world) samples(t *testing.T) {
	w.external(t, w.outside(t), "httpbin.org")
	for _, x := range []struct {
		name, sample string
		port, passes int
	}{{"demo/httpbin", "httpbin", 80, 10}, {"demo/httpbin-tls", "httpbin-tls", 8080, 9}} {
		sample, err := os.ReadFile("testdata/" + x.sample + ".yaml")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { w.Finally(t, "delete", "--ignore-not-found", "-f", "testdata/"+x.sample+".yaml") })
		w.Put(t, "default", string(sample))
		t.Run("gateway-137 the checks of "+x.name, func(t *testing.T) {
			w.gatewayHas(t, late, "default", x.sample+"-gateway", "Programmed=True")
			w.Kubectl(t, "wait", "pod", "-n", "default", "-l", "app=envoy-"+x.sample+"-gateway", "--for=condition=Ready", "--timeout="+late.String())
			out := w.Script(t, nil, strings.NewReplacer("SAMPLE", x.sample, "PORT", fmt.Sprint(x.port), "LOCAL", fmt.Sprint(18000+x.port)).Replace(demo))
			if out.Code != 0 || strings.Count(out.Stdout, "PASS") != x.passes || strings.Contains(out.Stdout, "FAIL") {
				t.Errorf("exit status %d\n%s%s", out.Code, out.Stdout, out.Stderr)
			}
		})
	}
	t.Run("gateway-39 gateway-43 its objects and its node have the names of the list", func(t *testing.T) {
		if err := w.there("default", "envoy-httpbin-gateway", true, "deployments", "services", "serviceaccounts", "configmaps"); err != nil {
			t.Fatal(err)
		}
		text := fmt.Sprint(w.Object(t, "configmaps", "default", "envoy-httpbin-gateway").Object["data"])
		for _, want := range []string{"id: envoy-proxy-ee37a5ff072b", "cluster: default/httpbin-gateway"} {
			if !strings.Contains(text, want) {
				t.Errorf("no %q in the bootstrap", want)
			}
		}
	})
	t.Run("gateway-138 the checks of the seed's script", func(t *testing.T) { w.kind(t) })
}

// demo is what the prototype's demo of a sample checks, in its order; the ninth
// only without TLS.
const demo = `
check() { if [ "$2" = "$3" ]; then echo "PASS $1"; else echo "FAIL $1: $2"; fi; }
status() { kubectl get "$1" -o "jsonpath=$2"; }
check 1 "$(status gatewayclass/wg-ai-gateway '{.status.conditions[?(@.type=="Accepted")].status}')" True
check 2 "$(status gateway/SAMPLE-gateway '{.status.conditions[?(@.type=="Programmed")].status}')" True
check 3 "$(status httproute/SAMPLE-route '{.status.parents[0].conditions[?(@.type=="Accepted")].status}')" True
check 4 "$(kubectl get pod -l app=envoy-SAMPLE-gateway -o 'jsonpath={.items[0].status.conditions[?(@.type=="Ready")].status}')" True
url=http://127.0.0.1:LOCAL
kubectl port-forward svc/envoy-SAMPLE-gateway LOCAL:PORT >/dev/null 2>&1 &
forward=$!
for i in {1..100}; do curl -s -o /dev/null $url/ && break; sleep 0.1; done
for i in {1..100}; do [ "$(curl -s -o /dev/null -w '%{http_code}' $url/get)" = 200 ] && break; sleep 0.5; done
check 6 "$(curl -s -o /tmp/body.$$ -w '%{http_code}' $url/get)" 200
check 7 "$(grep -c '"url"' /tmp/body.$$)" 1
check 8 "$(grep -c 'httpbin.org' /tmp/body.$$)" 1
[ SAMPLE = httpbin-tls ] || check 9 "$(grep -c 'X-Envoy-Expected-Rq-Timeout-Ms' /tmp/body.$$)" 1
check 10 "$(curl -s -o /dev/null -w '%{http_code}' $url/nonexistent)" 404
check 5 "$(kill -0 $forward && echo up)" up
rm -f /tmp/body.$$
`

// kind applies what the seed's set-up for kind does, with an address for the
// simulator, and makes the checks of its script.
func (w *world) kind(t *testing.T) {
	w.Put(t, "external-models", "apiVersion: v1\nkind: Service\nmetadata: {name: outside}\nspec: {type: LoadBalancer, selector: {app: model-simulator}, ports: [{port: 9090, targetPort: 8000}]}")
	address := ""
	w.Eventually(t, soon, "an address of the simulator", func() error {
		if address, _ = at(w.Object(t, "services", "external-models", "outside"), "status.loadBalancer.ingress.0.ip").(string); address == "" {
			return fmt.Errorf("none")
		}
		return nil
	})
	seed, err := os.ReadFile("testdata/kind.yaml")
	if err != nil {
		t.Fatal(err)
	}
	w.Put(t, "default", strings.ReplaceAll(string(seed), "__SIM_ADDR__", address))
	out := w.Script(t, nil, seedChecks)
	if out.Code != 0 || strings.Count(out.Stdout, "PASS") != 14 || strings.Contains(out.Stdout, "FAIL") {
		t.Errorf("exit status %d\n%s%s", out.Code, out.Stdout, out.Stderr)
	}
}

const seedChecks = `
check() { if [ "$2" = "$3" ]; then echo "PASS $1"; else echo "FAIL $1: $2"; fi; }
status() { kubectl get "$1" -n default -o "jsonpath=$2"; }
code() { curl -s -o /tmp/body.$$ -w '%{http_code}' "$@"; }
check 1 "$(status gatewayclass/wg-ai-gateway '{.status.conditions[?(@.type=="Accepted")].status}')" True
check 2 "$(status gateway/poc-gateway '{.status.conditions[?(@.type=="Programmed")].status}')" True
kubectl port-forward -n default svc/envoy-poc-gateway 18888:80 >/dev/null 2>&1 &
URL=http://127.0.0.1:18888
for i in {1..100}; do [ "$(code $URL/get)" = 200 ] && [ "$(code $URL/health)" = 200 ] && break; sleep 0.5; done
check 3 "$(status httproute/httpbin-route '{.status.parents[0].conditions[?(@.type=="Accepted")].status}')" True
check 4 "$(status httproute/external-model-route '{.status.parents[0].conditions[?(@.type=="Accepted")].status}')" True
check 5 "$(kubectl get xbackenddestination/httpbin-backend -n default -o name | wc -l)" 1
check 6 "$(kubectl get xbackenddestination/external-model-backend -n default -o name | wc -l)" 1
check 7 "$(code $URL/get)" 200
check 8 "$(code $URL/headers)" 200
check 9 "$(code $URL/v1/models)" 200
check 10 "$(grep -c gpt-4-external /tmp/body.$$)" 1
check 11 "$(code $URL/v1/chat/completions -H 'Content-Type: application/json' -d '{"model": "gpt-4-external", "messages": [{"role": "user", "content": "Hello"}]}')" 200
check 12 "$(grep -c choices /tmp/body.$$)" 1
check 13 "$(code $URL/health)" 200
check 14 "$(code $URL/nonexistent)" 404
rm -f /tmp/body.$$
`

// provider asks the provider's simulator with keys of every kind.
func (w *world) provider(t *testing.T) {
	url := w.Reach(t, w.site, "slow", 8000)
	const chat = `{"model": "gpt-4", "messages": [{"role": "user", "content": "Hello"}]}`
	w.Eventually(t, soon, "the simulator", func() error { a, err := w.Get(url + "/health"); return a.Want(200, err) })
	f := func(name, path, key string, want int, part string) {
		t.Run(name, func(t *testing.T) {
			headers := []string{}
			if key != "" {
				headers = append(headers, "X-Provider-Api-Key: "+key)
			}
			a, err := w.Post(url+path, chat, headers...)
			if err := a.Want(want, err); err != nil || !strings.Contains(a.Body, part) {
				t.Errorf("%v: %s, want %q in it", err, a.Body, part)
			}
		})
	}
	f("gateway-140 no key", "/v1/chat/completions", "", 401, `"missing_api_key"`)
	f("gateway-140 a wrong key", "/v1/chat/completions", "sk-wrong-key", 401, `"invalid_api_key"`)
	f("gateway-140 the right key", "/v1/chat/completions", "sk-slow", 200, `"choices"`)
	f("gateway-140 a path that ends like it", "/openai/v1/chat/completions", "sk-slow", 200, `"choices"`)
	f("gateway-140 models without a key", "/v1/models", "", 401, `"missing_api_key"`)
	f("gateway-140 health without a key", "/health", "", 200, `"healthy"`)
	f("gateway-140 another path", "/elsewhere", "sk-slow", 404, "")
	for _, key := range []string{"x", "xy", "xyz"} {
		f(fmt.Sprintf("gateway-141 a key of length %d", len(key)), "/v1/chat/completions", key, 401, `"invalid_api_key"`)
	}
}

// registry changes the list of external models.
func (w *world) registry(t *testing.T) {
	token := w.Mint(t)
	lists := func(name string, want ...string) {
		t.Run(name, func(t *testing.T) {
			w.Eventually(t, soon, fmt.Sprint("models ", want), func() error {
				a, err := w.Get(w.URL("/v1/models"), "Authorization: Bearer "+token)
				if err := a.Want(http.StatusOK, err); err != nil {
					return err
				}
				var list struct {
					Data []struct {
						ID    string
						Owner string `json:"owned_by"`
						Ready bool
					}
				}
				if err := json.Unmarshal([]byte(a.Body), &list); err != nil {
					return err
				}
				var got []string
				for _, m := range list.Data {
					got = append(got, fmt.Sprint(m.ID, " ", m.Owner, " ", m.Ready))
				}
				if fmt.Sprint(got) != fmt.Sprint(want) {
					return fmt.Errorf("%v", got)
				}
				return nil
			})
		})
	}
	models := func(text string) {
		w.Put(t, "opendatahub", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: external-model-registry, labels: {app: maas-api, component: external-models}}\ndata:\n  models: |\n    "+strings.ReplaceAll(text, "\n", "\n    "))
	}
	t.Cleanup(func() {
		w.Finally(t, "apply", "--server-side", "--force-conflicts", "-f", stage.Manifest("openshift/external-model-registry.yaml"))
	})
	models("- {id: one, provider: openai, backend: a}\n- {id: two, provider: anthropic, backend: b}\n- {id: three/3, provider: vllm, backend: c}")
	lists("gateway-142 three entries", "one openai true", "two anthropic true", "three/3 vllm true")
	models("- id: [unclosed")
	lists("gateway-142 a registry that is malformed")
	models("- {id: back, provider: openai, backend: a}")
	lists("gateway-142 and mended", "back openai true")
	w.Delete(t, "configmaps", "opendatahub", "external-model-registry")
	lists("gateway-142 a registry that is absent")
}
