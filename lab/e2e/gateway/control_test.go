//go:build cluster

package gateway

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"
)

// changes are of one input each, after which nothing else is touched.
func (w *world) changes(t *testing.T, p *plane) {
	l := w.place(t, p)
	asked := func(t *testing.T, route string, want string) {
		t.Helper()
		l.Eventually(t, swift(t), route+" reaches "+want, func() error {
			a, err := l.call(route, "/")
			if err := a.Want(200, err); err != nil {
				return err
			}
			if host := heard(t, a).Host; host != want+"."+l.site+".svc.cluster.local" {
				return fmt.Errorf("asked as %s", host)
			}
			return nil
		})
	}
	l.put(t, fqdn("moved", "red.SITE.svc.cluster.local", 80))
	l.route(t, "moved", backend("moved", 80))
	l.answers(t, "moved", 200)
	t.Run("gateway-34 B-01 a backend's hostname", func(t *testing.T) {
		l.put(t, fqdn("moved", "blue.SITE.svc.cluster.local", 80))
		asked(t, "moved", "blue")
	})
	t.Run("gateway-34 a route's rule", func(t *testing.T) {
		l.put(t, fqdn("other", "red.SITE.svc.cluster.local", 80))
		l.route(t, "moved", backend("other", 80))
		asked(t, "moved", "red")
	})
	t.Run("gateway-34 B-01 a backend appears after its route, and goes", func(t *testing.T) {
		l.route(t, "early", backend("early", 80))
		l.answers(t, "early", 500)
		l.put(t, fqdn("early", "red.SITE.svc.cluster.local", 80))
		asked(t, "early", "red")
		l.Delete(t, "xbackenddestinations", l.ns, "early")
		l.Eventually(t, swift(t), "500 again", func() error { a, err := l.call("early", "/"); return a.Want(500, err) })
	})
	t.Run("gateway-34 B-01 a Service's endpoints come, go and come back", func(t *testing.T) {
		l.put(t, own)
		l.route(t, "own", "- backendRefs: [{name: own, port: 80}]")
		l.Rolled(t, l.ns, "own")
		status := func(want int) {
			t.Helper()
			l.Eventually(t, swift(t), fmt.Sprint("own answers ", want), func() error { a, err := l.call("own", "/"); return a.Want(want, err) })
		}
		status(200)
		selector := func(app string) {
			l.Kubectl(t, "patch", "service", "own", "-n", l.ns, "--type=merge", "-p", `{"spec": {"selector": {"app": "`+app+`"}}}`)
		}
		selector("nobody")
		status(503)
		selector("own")
		status(200)
		l.Delete(t, "services", l.ns, "own")
		status(500)
		l.routeHas(t, swift(t), "own", "", "ResolvedRefs=False BackendNotFound|own")
	})
	t.Run("gateway-34 a route goes", func(t *testing.T) {
		l.Delete(t, "httproutes", l.ns, "moved")
		l.Eventually(t, swift(t), "404", func() error { a, err := l.call("moved", "/"); return a.Want(404, err) })
	})
}

// foreign is about what is not ours: Gateways of other classes, and what other
// controllers say of routes that are ours too.
func (w *world) foreign(t *testing.T, p *plane) {
	l := w.place(t, p)
	class := "foreign-" + l.ns
	l.put(t, fqdn("answer", "answer.SITE.svc.cluster.local", 80)+strings.ReplaceAll(foreigners, "FOREIGN", class))
	t.Cleanup(func() { w.Finally(t, "delete", "gatewayclass", class) })
	l.attach(t, "theirs", "{name: theirs}", "", backend("answer", 80))
	shared := "{name: shared, namespace: " + p.ns + ", sectionName: http}"
	l.attach(t, "both", shared+", {name: theirs}, {name: spare, namespace: "+p.ns+"}", l.host("both"), backend("answer", 80))
	const entry = `{"controllerName": "example.com/other", "parentRef": {"name": "theirs"}, "conditions":
		[{"type": "Accepted", "status": "True", "reason": "Accepted", "message": "theirs", "lastTransitionTime": "2026-01-01T00:00:00Z"}]}`
	l.Kubectl(t, "patch", "httproute", "theirs", "-n", l.ns, "--subresource=status", "--type=merge", "-p", `{"status": {"parents": [`+entry+`]}}`)
	t.Run("gateway-32 B-24 each of our Gateways has its entry, and the other controller's stays", func(t *testing.T) {
		l.routeHas(t, soon, "both", "shared", "Accepted=True")
		l.routeHas(t, soon, "both", "spare", "Accepted=True")
		l.Kubectl(t, "patch", "httproute", "both", "-n", l.ns, "--subresource=status", "--type=json", "-p", `[{"op": "add", "path": "/status/parents/-", "value": `+entry+`}]`)
		l.attach(t, "both", shared+", {name: theirs}, {name: spare, namespace: "+p.ns+"}", l.host("both"), backend("gone", 80))
		l.routeHas(t, soon, "both", "shared", "ResolvedRefs=False BackendNotFound")
		l.routeHas(t, soon, "both", "spare", "ResolvedRefs=False BackendNotFound")
		l.entries(t, "both", 3)
	})
	t.Run("gateway-32 B-24 a parent that is given up loses our entry, and only that", func(t *testing.T) {
		l.attach(t, "both", shared+", {name: theirs}", l.host("both"), backend("answer", 80))
		l.Eventually(t, soon, "spare's entry goes", func() error {
			for _, e := range elements(l.Object(t, "httproutes", l.ns, "both"), "status.parents") {
				if at(e, "parentRef.name") == "spare" {
					return fmt.Errorf("it is there: %v", e)
				}
			}
			return nil
		})
		l.entries(t, "both", 2)
	})
	t.Run("gateway-31 gateway-29 B-23 Gateways, routes and classes of others are untouched", func(t *testing.T) {
		l.attach(t, "theirs", "{name: theirs}", "theirs.test", backend("answer", 80))
		l.route(t, "mine", backend("answer", 80))
		l.answers(t, "mine", 200) // the controller has seen what came before
		l.entries(t, "theirs", 1)
		for _, o := range []string{"gateways", "gatewayclasses"} {
			name, ns := "theirs", l.ns
			if o == "gatewayclasses" {
				name, ns = class, ""
			}
			for _, c := range elements(l.Object(t, o, ns, name), "status.conditions") {
				if c["reason"] != "Pending" && c["reason"] != "Waiting" { // the API server's default
					t.Errorf("%s has condition %v", o, c)
				}
			}
		}
		if out := w.Kubectl(t, "get", "deployments,services,serviceaccounts", "-n", l.ns, "-l", "aigateway.networking.k8s.io/managed", "-o", "name"); out != "" {
			t.Errorf("objects were made: %s", out)
		}
	})
}

// entries says how many parents the status of a route has, and that the other
// controller's is as it was.
func (l *place) entries(t *testing.T, route string, want int) {
	t.Helper()
	all := elements(l.Object(t, "httproutes", l.ns, route), "status.parents")
	other := element(map[string]any{"all": toAny(all)}, "all", "controllerName", "example.com/other")
	if len(all) != want || at(other, "conditions.0.message") != "theirs" {
		b, _ := json.Marshal(all)
		t.Errorf("%d entries, want %d with the other controller's: %s", len(all), want, b)
	}
}

func toAny(in []map[string]any) (out []any) {
	for _, m := range in {
		out = append(out, m)
	}
	return out
}

const foreigners = `
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: FOREIGN}
spec: {controllerName: example.com/other}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: theirs}
spec: {gatewayClassName: FOREIGN, listeners: [{name: http, port: 80, protocol: HTTP}]}
`

// classes is about classes of ours.
func (w *world) classes(t *testing.T, p *plane) {
	accepted := func(t *testing.T, name string, wishes ...string) {
		t.Helper()
		w.Eventually(t, soon, "conditions of class "+name, func() error {
			o, err := w.Find("gatewayclasses", "", name)
			if err != nil {
				return err
			}
			return expect(o, o.Object["status"], wishes...)
		})
	}
	t.Run("gateway-29 the class is accepted", func(t *testing.T) {
		accepted(t, p.class, "Accepted=True Accepted")
		features := elements(w.Object(t, "gatewayclasses", "", p.class), "status.supportedFeatures")
		if element(map[string]any{"all": toAny(features)}, "all", "name", "HTTPRoute") == nil {
			t.Errorf("features %v", features)
		}
	})
	t.Run("gateway-30 B-25 a class of another name with our controller", func(t *testing.T) {
		ns := w.Namespace(t)
		t.Cleanup(func() { w.Finally(t, "delete", "gatewayclass", ns) })
		w.Put(t, ns, "apiVersion: gateway.networking.k8s.io/v1\nkind: GatewayClass\nmetadata: {name: "+ns+"}\nspec: {controllerName: "+p.controller+"}")
		accepted(t, ns, "Accepted=True Accepted")
		w.Put(t, ns, small+"apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {name: other}\nspec:\n  gatewayClassName: "+ns+
			"\n  infrastructure: {parametersRef: {group: '', kind: ConfigMap, name: small}}\n  listeners: [{name: http, port: 80, protocol: HTTP}]")
		w.gatewayHas(t, late, ns, "other", "Accepted=True Accepted", "Programmed=True Programmed")
		w.Eventually(t, soon, "it answers", func() error {
			a, err := w.Get("http://" + w.address(t, ns, "other"))
			return a.Want(404, err)
		})
	})
	t.Run("gateway-29 parameters of a kind that is unknown", func(t *testing.T) {
		ns := w.Namespace(t)
		t.Cleanup(func() { w.Finally(t, "delete", "gatewayclass", ns) })
		w.Put(t, ns, "apiVersion: gateway.networking.k8s.io/v1\nkind: GatewayClass\nmetadata: {name: "+ns+"}\nspec:\n  controllerName: "+p.controller+
			"\n  parametersRef: {group: example.com, kind: Foo, name: f}")
		accepted(t, ns, "Accepted=False InvalidParameters")
	})
}

// running is about the controller's own pods.
func (w *world) running(t *testing.T, p *plane) {
	pods := w.podsOf(t, p.system, "app.kubernetes.io/name", p.deployment)
	if len(pods) == 0 {
		t.Fatal("no pod of the controller")
	}
	pod := w.Object(t, "pods", p.system, pods[0])
	t.Run("gateway-28 B-33 it runs without root on a read-only file system, and answers", func(t *testing.T) {
		for path, want := range map[string]any{
			"spec.containers.0.securityContext.readOnlyRootFilesystem":   true,
			"spec.containers.0.securityContext.runAsNonRoot":             true,
			"spec.containers.0.securityContext.allowPrivilegeEscalation": false,
			"spec.containers.0.securityContext.capabilities.drop.0":      "ALL",
			"spec.securityContext.seccompProfile.type":                   "RuntimeDefault",
		} {
			if got := at(pod, path); got != want {
				t.Errorf("%s is %v", path, got)
			}
		}
		for _, path := range []string{"/healthz", "/readyz", "/metrics"} {
			a, err := w.Get(fmt.Sprintf("http://%s:8081%s", at(pod, "status.podIP"), path))
			if err := a.Want(200, err); err != nil {
				t.Error(path, err)
			}
		}
	})
	t.Run("gateway-28 gateway-27 B-33 its metrics: one leads, and counts what it serves", func(t *testing.T) {
		leading, served := 0, 0
		for _, name := range pods {
			m := w.metrics(t, p.system, name, 8081)
			if m["egret_controller_leading"] == "1" {
				leading++
				if m["egret_controller_gateways"] != "0" && m["egret_controller_routes"] != "0" && m["egret_controller_round_seconds_count"] != "0" {
					served++
				}
			}
		}
		if leading != 1 || served != 1 {
			t.Errorf("%d lead, %d of them serve", leading, served)
		}
	})
	t.Run("gateway-26 it is there without a kubeconfig", func(t *testing.T) {
		for _, c := range elements(pod, "spec.containers") {
			b, _ := json.Marshal(c)
			if strings.Contains(string(b), "kubeconfig") || strings.Contains(string(b), "KUBECONFIG") {
				t.Errorf("%s", b)
			}
		}
	})
}

// flags starts controllers that cannot run.
func (w *world) flags(t *testing.T) {
	ns := w.Namespace(t)
	f := func(name, pod, want string, args string) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w.Put(t, ns, "apiVersion: v1\nkind: Pod\nmetadata: {name: "+pod+"}\nspec:\n  restartPolicy: Never\n"+
				"  containers: [{name: c, image: 'ghcr.io/egret-gateway/egret:latest', args: ["+args+"]}]")
			var code, log string
			w.Eventually(t, time.Minute, "its end", func() error {
				if code = fmt.Sprint(at(w.Object(t, "pods", ns, pod), "status.containerStatuses.0.state.terminated.exitCode")); code == "<nil>" {
					return fmt.Errorf("it runs")
				}
				return nil
			})
			if log = w.Kubectl(t, "logs", pod, "-n", ns); code != "1" || !strings.Contains(log, want) {
				t.Errorf("exit status %s, want 1; it says %s", code, log)
			}
		})
	}
	f("gateway-25 no image of Envoy", "noimage", "--envoy-image", "")
	f("gateway-26 a kubeconfig that is named wins over the cluster around", "kubeconfig", "/nowhere", "--envoy-image=envoy, --kubeconfig=/nowhere")
}

// unharmed is what every part promises: no controller and no pod of a Gateway
// has been started twice.
func (w *world) unharmed(t *testing.T) {
	for _, p := range w.planes {
		for _, at := range [][2]string{{p.system, "app.kubernetes.io/name=" + p.deployment}, {p.ns, "gateway.networking.k8s.io/gateway-name"}} {
			out := w.Kubectl(t, "get", "pods", "-n", at[0], "-l", at[1], "-o",
				`jsonpath={range .items[*]}{.metadata.name}{range .status.containerStatuses[*]} {.restartCount}{end}{"\n"}{end}`)
			for line := range strings.Lines(out) {
				name, counts, _ := strings.Cut(strings.TrimSpace(line), " ")
				if strings.Trim(counts, "0 ") != "" {
					t.Errorf("gateway-38 pod %s was restarted: %s", name, counts)
				}
			}
		}
	}
}

// restart ends the controllers, which the planes outlive; what changed
// meanwhile counts when they are back. How fast another replica leads is
// another test's.
func (w *world) restart(t *testing.T) {
	var places []*place
	for _, p := range w.planes {
		l := w.place(t, p)
		l.put(t, fqdn("moved", "red.SITE.svc.cluster.local", 80))
		l.route(t, "moved", backend("moved", 80))
		l.answers(t, "moved", 200)
		places = append(places, l)
	}
	for _, p := range w.planes {
		w.Kubectl(t, "delete", "pods", "-n", p.system, "-l", "app.kubernetes.io/name="+p.deployment, "--grace-period=0", "--force", "--wait=false")
	}
	for _, l := range places {
		t.Run("gateway-100 B-29 after a restart of the controllers, on "+l.name, func(t *testing.T) {
			l.put(t, fqdn("moved", "blue.SITE.svc.cluster.local", 80))
			l.Eventually(t, late, "the change counts", func() error {
				a, err := l.call("moved", "/")
				if err := a.Want(200, err); err != nil {
					t.Fatalf("while the controller was away: %v", err)
				}
				if host := heard(t, a).Host; !strings.HasPrefix(host, "blue.") {
					return fmt.Errorf("asked as %s", host)
				}
				return nil
			})
			w.gatewayHas(t, soon, l.plane.ns, "shared", "Accepted=True", "Programmed=True")
		})
	}
}

// small are parameters for pods that ask for little.
const small = `
apiVersion: v1
kind: ConfigMap
metadata: {name: small}
data:
  fleet.yaml: |
    resources:
      envoy: {requests: {cpu: 10m, memory: 64Mi}}
      extproc: {requests: {cpu: 10m, memory: 32Mi}}
      proxy: {requests: {cpu: 10m, memory: 32Mi}}
---
`
