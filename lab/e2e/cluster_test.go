//go:build cluster

package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/egret-gateway/egret/lab/cluster"
)

// TestCluster is about the cluster itself: what the other tests take for
// granted holds.
func TestCluster(t *testing.T) {
	c := cluster.Open(t)
	if !c.Own() {
		t.Log("a cluster of yours: nothing to prove")
		return
	}
	ns := c.Namespace(t)
	c.Apply(t, manifest(t, "pods.yaml", ns))
	for _, what := range []string{"deployment/answer", "pod/toolbox", "pod/envoy-1-37", "pod/envoy-1-40", "pod/redis", "pod/postgres", "pod/simulator", "pod/provider"} {
		condition := "Ready"
		if strings.HasPrefix(what, "deployment") {
			condition = "Available"
		}
		c.Kubectl(t, "wait", "-n", ns, what, "--for=condition="+condition, "--timeout=90s")
	}
	inside := func(t *testing.T, args ...string) string {
		return c.Kubectl(t, append([]string{"exec", "-n", ns, "toolbox", "--"}, args...)...)
	}
	contains := func(t *testing.T, got, want string) {
		t.Helper()
		if !strings.Contains(got, want) {
			t.Errorf("%q is not in:\n%s", want, got)
		}
	}

	t.Run("Services spread, by name and address, from inside and outside", func(t *testing.T) {
		contains(t, inside(t, "curl", "-sSm5", "http://answer/a"), `"pod":"answer-`)
		contains(t, inside(t, "curl", "-sSm5", "http://answer."+ns+".svc.cluster.local/b"), `"path":"/b"`)
		pods := map[string]bool{}
		c.Eventually(t, 20*time.Second, "both pods answer", func() error {
			a, err := c.Get(c.Reach(t, ns, "answer", 80))
			if err := a.Want(200, err); err != nil {
				return err
			}
			if pods[a.Header.Get("Pod")] = true; len(pods) < 2 {
				return fmt.Errorf("only %v", pods)
			}
			return nil
		})
		ip := c.Kubectl(t, "get", "service", "answer", "-n", ns, "-o", "jsonpath={.status.loadBalancer.ingress[0].ip}")
		a, err := c.Get("http://" + ip)
		if err := a.Want(200, err); err != nil {
			t.Errorf("load balancer %s: %v", ip, err)
		}
		contains(t, inside(t, "sh", "-c", "nslookup example.com || true"), "NXDOMAIN")
	})
	t.Run("pods are held to their security context and limits", func(t *testing.T) {
		contains(t, inside(t, "id"), "uid=1000")
		contains(t, inside(t, "grep", "-E", "Seccomp:|NoNewPrivs:", "/proc/self/status"), "NoNewPrivs:\t1\nSeccomp:\t2")
		contains(t, inside(t, "sh", "-c", "touch /x 2>&1 || true"), "Read-only file system")
		contains(t, inside(t, "cat", "/sys/fs/cgroup/memory/memory.limit_in_bytes"), "52428800")
	})
	t.Run("both Envoys proxy", func(t *testing.T) {
		for _, version := range []string{"1-37", "1-40"} {
			pod := "envoy-" + version
			ip := c.Kubectl(t, "get", "pod", pod, "-n", ns, "-o", "jsonpath={.status.podIP}")
			a, err := c.Get("http://" + ip + ":10000/through")
			if err := a.Want(200, err); err != nil || !strings.Contains(a.Body, "X-Envoy-Expected-Rq-Timeout-Ms") {
				t.Errorf("%s: %v %s", pod, err, a.Body)
			}
			contains(t, c.Kubectl(t, "exec", "-n", ns, pod, "--", "envoy", "--version"), strings.ReplaceAll(version, "-", "."))
		}
	})
	t.Run("the stores keep", func(t *testing.T) {
		contains(t, c.Kubectl(t, "exec", "-n", ns, "redis", "--", "redis-cli", "incr", "n"), "1")
		contains(t, c.Kubectl(t, "exec", "-n", ns, "postgres", "--", "sh", "-c",
			"PGPASSWORD=secret /usr/lib/postgresql/15/bin/psql -h 127.0.0.1 -U maas maas -tc 'select 40+2'"), "42")
	})
	t.Run("the simulators answer", func(t *testing.T) {
		for _, pod := range []string{"simulator", "provider"} {
			ip := c.Kubectl(t, "get", "pod", pod, "-n", ns, "-o", "jsonpath={.status.podIP}")
			a, err := c.Get("http://"+ip+":8000/v1/models", "Authorization: Bearer sk-demo")
			if err := a.Want(200, err); err != nil {
				t.Errorf("%s: %v", pod, err)
			}
		}
	})
	t.Run("a token is for its audience", func(t *testing.T) {
		review := func(audience string) string {
			out := c.Script(t, map[string]string{"TOKEN": c.Token(t, ns, "default", "egret"), "AUDIENCE": audience}, `
				printf '{"apiVersion":"authentication.k8s.io/v1","kind":"TokenReview","spec":{"token":"%s","audiences":["%s"]}}' $TOKEN $AUDIENCE |
					kubectl create -f - -o jsonpath='{.status.authenticated}'`)
			return out.Stdout + out.Stderr
		}
		if got := review("egret"); got != "true" {
			t.Errorf("its audience: %q", got)
		}
		if got := review("other"); got == "true" {
			t.Error("another audience: authenticated")
		}
	})
	t.Run("a document's commands run as they stand", func(t *testing.T) {
		out := c.Script(t, map[string]string{"OC_TOKEN": "sesame", "NS": ns}, `
			curl -sS -H "Authorization: Bearer $(oc whoami -t)" http://answer.$NS.svc.cluster.local/who
			kubectl port-forward -n $NS service/answer 18080:80 >/dev/null &
			until curl -s localhost:18080/forwarded; do sleep 0.2; done
			exit 7`)
		contains(t, out.Stdout, "Bearer sesame")
		contains(t, out.Stdout, `"path":"/forwarded"`)
		if out.Code != 7 {
			t.Errorf("exit status %d: %s", out.Code, out.Stderr)
		}
	})
	t.Run("Egret's images have all the names that manifests give them", func(t *testing.T) {
		pod := "apiVersion: v1\nkind: Pod\nmetadata: {name: names, namespace: " + ns + "}\nspec:\n  restartPolicy: Never\n" +
			"  securityContext: {runAsNonRoot: true}\n  containers:\n"
		for i, image := range []string{
			"ghcr.io/egret-gateway/egret:latest", "ghcr.io/egret-gateway/egret:dev", "localhost:5000/wg-ai-gateway:latest",
			"ghcr.io/nerdalert/wg-ai-gateway:latest", "ghcr.io/nerdalert/wg-ai-gateway:prefix-rewrite-fix",
			"ghcr.io/egret-gateway/maas-api:latest", "ghcr.io/nerdalert/maas-api:external-models", "quay.io/opendatahub/maas-api:latest",
		} {
			pod += fmt.Sprintf("    - {name: c%d, image: %q, imagePullPolicy: Always, command: [/egret, version]}\n", i, image)
		}
		c.Apply(t, pod)
		c.Kubectl(t, "wait", "-n", ns, "pod/names", "--for=jsonpath={.status.phase}=Succeeded", "--timeout=60s")
	})
	t.Run("a new image is pulled without a restart", func(t *testing.T) {
		const image = "registry.example/fresh:v1"
		for _, word := range []string{"first", "second"} {
			program := filepath.Join(t.TempDir(), word)
			if err := os.WriteFile(program, []byte("#!/bin/sh\necho "+word+"\n"), 0o755); err != nil {
				t.Fatal(err)
			}
			build(t, image, program)
			got := c.Kubectl(t, "run", word, "-n", ns, "--image="+image, "--image-pull-policy=Always",
				"--restart=Never", "--rm", "-i", "--quiet")
			contains(t, got, word)
		}
	})
	t.Run("a container that is killed is started again", func(t *testing.T) {
		pod := c.Kubectl(t, "get", "pods", "-n", ns, "-l", "app=answer", "-o", "jsonpath={.items[0].metadata.name}")
		c.KillContainer(t, ns, pod, "")
		c.Eventually(t, time.Minute, "the container runs again", func() error {
			n := c.Kubectl(t, "get", "pod", pod, "-n", ns, "-o", "jsonpath={.status.containerStatuses[0].restartCount} {.status.containerStatuses[0].ready}")
			if n != "1 true" {
				return fmt.Errorf("restarts and readiness: %s", n)
			}
			return nil
		})
	})
}

// TestClusterParts ends parts of the cluster; it comes by itself, as it
// disturbs every test beside it.
func TestClusterParts(t *testing.T) {
	c := cluster.Open(t)
	if !c.Own() {
		t.Log("a cluster of yours: its parts are left alone")
		return
	}
	for _, part := range []string{"kube-apiserver", "etcd", "kubelet"} {
		ns := c.Namespace(t)
		c.Kill(t, part)
		c.Kubectl(t, "get", "namespace", ns)
	}
}

// manifest reads a file of testdata/cluster for a namespace.
func manifest(t *testing.T, name, namespace string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", "cluster", name))
	if err != nil {
		t.Fatal(err)
	}
	return strings.ReplaceAll(string(b), "NAMESPACE", namespace)
}

// build makes an image of a program, and of a shell.
func build(t *testing.T, image, program string) {
	t.Helper()
	script, err := filepath.Abs("../cluster/cluster.sh")
	if err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(script, "image", image, program, "-ldd", "/bin/busybox:/bin/sh").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}
