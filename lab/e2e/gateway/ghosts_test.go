//go:build cluster

package gateway

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
)

// ghosts is about Gateways whose pods find no node: what does not need a pod
// is shown without one.
func (w *world) ghosts(t *testing.T, p *plane) {
	ns := w.Namespace(t)
	gateway := func(t *testing.T, name, more string) {
		w.Put(t, ns, strings.Replace(ghost, "name: ghost", "name: "+name, 1)+"apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {name: "+name+"}\nspec:\n  gatewayClassName: "+p.class+
			"\n  infrastructure: {parametersRef: {group: '', kind: ConfigMap, name: "+name+"}}\n  listeners: [{name: http, port: 80, protocol: HTTP}]\n"+more)
	}
	t.Run("gateway-44 a Service of the name that is somebody else's is left alone, and named", func(t *testing.T) {
		t.Parallel()
		name := p.service(ns, "taken")
		w.Put(t, ns, "apiVersion: v1\nkind: Service\nmetadata: {name: "+name+"}\nspec: {selector: {app: theirs}, ports: [{port: 1234}]}")
		was := w.Object(t, "services", ns, name)
		gateway(t, "taken", "")
		w.gatewayHas(t, soon, ns, "taken", "Programmed=False Invalid|"+name)
		if now := w.Object(t, "services", ns, name); now.GetResourceVersion() != was.GetResourceVersion() {
			t.Errorf("it was changed: %v", now.Object)
		}
	})
	t.Run("gateway-52 B-06 addresses of both types come and go with the Service's", func(t *testing.T) { t.Parallel(); w.addresses(t, p, ns, gateway) })
	t.Run("gateway-45 B-07 what was made for a Gateway goes with it, and so do entries of routes", func(t *testing.T) {
		t.Parallel()
		gateway(t, "brief", "")
		kinds := []string{"deployments", "services", "serviceaccounts", "configmaps", "poddisruptionbudgets"}
		name := p.service(ns, "brief")
		w.Eventually(t, soon, "its objects", func() error { return w.there(ns, name, true, kinds...) })
		l := &place{world: w, plane: p, ns: ns}
		l.attach(t, "brief", "{name: brief}, {name: shared, namespace: "+p.ns+", sectionName: http}", l.host("brief"), "- backendRefs: [{name: gone, port: 80}]")
		l.routeHas(t, soon, "brief", "brief", "Accepted=True")
		w.Delete(t, "gateways", ns, "brief")
		w.Eventually(t, soon, "they go", func() error { return w.there(ns, name, false, kinds...) })
		w.Eventually(t, soon, "the entry goes", func() error {
			for _, e := range elements(w.Object(t, "httproutes", ns, "brief"), "status.parents") {
				if at(e, "parentRef.name") == "brief" {
					return fmt.Errorf("it is there: %v", e)
				}
			}
			return nil
		})
		l.routeHas(t, soon, "brief", "shared", "Accepted=True")
	})
	t.Run("gateway-51 a Gateway without a pod says that it waits", func(t *testing.T) {
		t.Parallel()
		gateway(t, "waits", "")
		w.gatewayHas(t, soon, ns, "waits", "Accepted=True Accepted", "Programmed=False Pending")
	})
	t.Run("gateway-37 B-34 pods that cannot start hold up nobody else", func(t *testing.T) {
		t.Parallel()
		for i := range 3 {
			gateway(t, fmt.Sprint("stuck-", i), "")
		}
		l := w.place(t, p)
		l.put(t, fqdn("answer", "answer.SITE.svc.cluster.local", 80))
		for i := range 10 {
			l.route(t, fmt.Sprint("r", i), backend("answer", 80))
		}
		for i := range 10 {
			l.Eventually(t, swift(t), "route", func() error { a, err := l.call(fmt.Sprint("r", i), "/"); return a.Want(200, err) })
		}
		for i := range 3 {
			w.gatewayHas(t, soon, ns, fmt.Sprint("stuck-", i), "Programmed=False Pending")
		}
	})
	t.Run("objects that somebody deletes are made again", func(t *testing.T) {
		t.Parallel()
		gateway(t, "healed", "")
		kinds := []string{"deployments", "services", "serviceaccounts", "configmaps"}
		name := p.service(ns, "healed")
		w.Eventually(t, soon, "its objects", func() error { return w.there(ns, name, true, kinds...) })
		for _, kind := range kinds {
			was := w.Object(t, kind, ns, name).GetUID()
			w.Delete(t, kind, ns, name)
			w.Eventually(t, soon, kind+" are made again", func() error {
				o, err := w.Find(kind, ns, name)
				if err == nil && o.GetUID() == was {
					err = fmt.Errorf("the old one is there")
				}
				return err
			})
		}
		w.Eventually(t, soon, "the address of the new Service", func() error {
			ip := at(w.Object(t, "services", ns, name), "status.loadBalancer.ingress.0.ip")
			if got := w.address(t, ns, "healed"); got == "" || got != ip {
				return fmt.Errorf("the Gateway says %q, the Service has %v", got, ip)
			}
			return nil
		})
	})
	t.Run("gateway-52 an address that the Gateway asks for is got, or refused", func(t *testing.T) {
		t.Parallel()
		gateway(t, "asks", "  addresses: [{type: IPAddress, value: "+map[string]string{"native": "10.250.1.201", "envoy": "10.250.1.202"}[p.name]+"}]\n")
		w.Eventually(t, soon, "that address", func() error {
			if got := w.address(t, ns, "asks"); !strings.HasPrefix(got, "10.250.1.20") {
				return fmt.Errorf("it is %q", got)
			}
			return nil
		})
		gateway(t, "named", "  addresses: [{type: Hostname, value: gw.example.com}]\n")
		w.gatewayHas(t, soon, ns, "named", "Accepted=False UnsupportedAddress")
	})
	t.Run("gateway-59 a Gateway of nothing but TCP", func(t *testing.T) {
		t.Parallel()
		w.Put(t, ns, ghost+"apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {name: tcp}\nspec:\n  gatewayClassName: "+p.class+
			"\n  infrastructure: {parametersRef: {group: '', kind: ConfigMap, name: ghost}}\n  listeners: [{name: tcp, port: 80, protocol: TCP}]")
		w.gatewayHas(t, soon, ns, "tcp", "Accepted=False ListenersNotValid", "Programmed=False Invalid")
	})
}

// addresses has the Service of a Gateway get other addresses than the test
// cluster gives.
func (w *world) addresses(t *testing.T, p *plane, ns string, gateway func(t *testing.T, name, more string)) {
	gateway(t, "placed", "")
	name := p.service(ns, "placed")
	has := func(want ...string) {
		t.Helper()
		w.Eventually(t, soon, fmt.Sprint("addresses ", want), func() error {
			var got []string
			for _, a := range elements(w.Object(t, "gateways", ns, "placed"), "status.addresses") {
				got = append(got, fmt.Sprint(a["type"], " ", a["value"]))
			}
			if strings.Join(got, ", ") != strings.Join(want, ", ") {
				return fmt.Errorf("they are %v", got)
			}
			return nil
		})
	}
	ingress := func(json string) {
		w.Kubectl(t, "patch", "service", name, "-n", ns, "--subresource=status", "--type=merge", "-p", `{"status": {"loadBalancer": {"ingress": `+json+`}}}`)
	}
	w.Eventually(t, soon, "an address", func() error {
		if w.address(t, ns, "placed") == "" {
			return fmt.Errorf("none")
		}
		return nil
	})
	ip := w.address(t, ns, "placed")
	has("IPAddress " + ip)
	ingress(`[{"ip": "` + ip + `"}, {"hostname": "lb.example.com"}]`)
	has("IPAddress "+ip, "Hostname lb.example.com")
	ingress(`[{"hostname": "lb.example.com"}]`)
	has("Hostname lb.example.com")
	w.Put(t, ns, strings.NewReplacer("name: ghost", "name: placed", "fleet.yaml: |", "fleet.yaml: |\n    service: {type: ClusterIP}").Replace(ghost))
	w.Eventually(t, soon, "the Service is internal", func() error {
		if got := at(w.Object(t, "services", ns, name), "spec.type"); got != "ClusterIP" {
			return fmt.Errorf("it is %v", got)
		}
		return nil
	})
	has("IPAddress "+fmt.Sprint(at(w.Object(t, "services", ns, name), "spec.clusterIP")), "Hostname "+name+"."+ns+".svc.cluster.local")
}

// there says whether objects of a name are there, or gone.
func (w *world) there(ns, name string, want bool, kinds ...string) error {
	for _, kind := range kinds {
		if _, err := w.Find(kind, ns, name); (err == nil) != want {
			return fmt.Errorf("%s: %v", kind, err)
		}
	}
	return nil
}

const ghost = `
apiVersion: v1
kind: ConfigMap
metadata: {name: ghost}
data:
  fleet.yaml: |
    pod: {nodeSelector: {example.com/nowhere: "true"}}
---
`

// parameters is about what a ConfigMap may say of a fleet.
func (w *world) parameters(t *testing.T, p *plane) {
	ns := w.Namespace(t)
	set := func(t *testing.T, lines ...string) {
		w.Put(t, ns, "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: fleet}\ndata:\n  fleet.yaml: |\n    "+strings.Join(lines, "\n    "))
	}
	const nowhere = `pod: {labels: {example.com/cost: a1}, annotations: {example.com/b: c}, nodeSelector: {example.com/nowhere: "true"}, spread: false}`
	container := map[string]string{"native": "proxy", "envoy": "envoy"}[p.name]
	set(t, nowhere, "replicas: 2", "service: {type: NodePort, annotations: {example.com/lb: internal}}", "images: {egret: example.com/egret:v9, envoy: example.com/envoy:v9}",
		"resources: {"+container+": {requests: {cpu: 30m}, limits: {memory: 300Mi}}}", "drainSeconds: 7")
	w.Put(t, ns, "apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {name: told}\nspec:\n  gatewayClassName: "+p.class+
		"\n  infrastructure: {parametersRef: {group: '', kind: ConfigMap, name: fleet}}\n  listeners: [{name: http, port: 80, protocol: HTTP}]")
	name := p.service(ns, "told")
	has := func(t *testing.T, kind string, want map[string]any) {
		t.Helper()
		w.Eventually(t, soon, kind+" as told", func() error {
			o, err := w.Find(kind, ns, name)
			if err != nil {
				return err
			}
			for path, value := range want {
				if got := at(o, path); fmt.Sprint(got) != fmt.Sprint(value) {
					return fmt.Errorf("%s is %v, want %v", path, got, value)
				}
			}
			return nil
		})
	}
	t.Run("gateway-49 replicas, images, resources, pods and Service", func(t *testing.T) {
		image := map[string]string{"native": "example.com/egret:v9", "envoy": "example.com/envoy:v9"}[p.name]
		const pod, first = "spec.template.spec.", "spec.template.spec.containers.0."
		has(t, "deployments", map[string]any{
			"spec.replicas": 2, first + "name": container, first + "image": image, first + "resources.requests.cpu": "30m", first + "resources.limits.memory": "300Mi",
			pod + "terminationGracePeriodSeconds": 7 + 15, pod + "topologySpreadConstraints": nil, "spec.template.metadata.labels.app": name,
		})
		d := w.Object(t, "deployments", ns, name)
		if meta := at(d, "spec.template.metadata").(map[string]any); fmt.Sprint(meta["labels"].(map[string]any)["example.com/cost"], meta["annotations"].(map[string]any)["example.com/b"]) != "a1c" {
			t.Errorf("pods have %v", meta)
		}
		has(t, "services", map[string]any{"spec.type": "NodePort"})
		if got := w.Object(t, "services", ns, name).GetAnnotations()["example.com/lb"]; got != "internal" {
			t.Errorf("annotation of the Service %q", got)
		}
		has(t, "poddisruptionbudgets", map[string]any{"spec.maxUnavailable": 1})
	})
	t.Run("gateway-49 what the fleet says by hand is put back", func(t *testing.T) {
		w.Kubectl(t, "set", "resources", "deployment", name, "-n", ns, "-c="+container, "--requests=cpu=31m")
		has(t, "deployments", map[string]any{"spec.template.spec.containers.0.resources.requests.cpu": "30m"})
	})
	t.Run("gateway-49 autoscaling in the place of replicas", func(t *testing.T) {
		set(t, nowhere, "autoscaling: {min: 2, max: 5, targetCPU: 60}")
		has(t, "horizontalpodautoscalers", map[string]any{
			"spec.minReplicas": 2, "spec.maxReplicas": 5, "spec.metrics.0.resource.target.averageUtilization": 60, "spec.scaleTargetRef.name": name,
		})
		w.Kubectl(t, "scale", "deployment", name, "-n", ns, "--replicas=4")
		set(t, nowhere, "autoscaling: {min: 2, max: 6, targetCPU: 60}")
		has(t, "horizontalpodautoscalers", map[string]any{"spec.maxReplicas": 6})
		has(t, "deployments", map[string]any{"spec.replicas": 4})
		set(t, nowhere, "replicas: 1")
		has(t, "deployments", map[string]any{"spec.replicas": 1})
		w.Eventually(t, soon, "the autoscaler goes", func() error { return w.there(ns, name, false, "horizontalpodautoscalers") })
	})
	t.Run("gateway-49 what cannot be read is refused, and what runs stays", func(t *testing.T) {
		was := w.Object(t, "deployments", ns, name)
		set(t, "replicas: many", nowhere)
		w.gatewayHas(t, soon, ns, "told", "Accepted=False InvalidParameters|fleet")
		now := w.Object(t, "deployments", ns, name) // an autoscaler that is going may scale it still
		if now.GetUID() != was.GetUID() || !reflect.DeepEqual(at(now, "spec.template"), at(was, "spec.template")) {
			t.Errorf("the Deployment was changed or made anew: %v", now.Object["spec"])
		}
		set(t, nowhere, "replicas: 1")
		w.gatewayHas(t, soon, ns, "told", "Accepted=True Accepted")
	})
}
