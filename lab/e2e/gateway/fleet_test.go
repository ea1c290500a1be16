//go:build cluster

package gateway

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/yaml"
)

// objects is about what is made for a Gateway, as the API server has it.
func (w *world) objects(t *testing.T, p *plane) {
	name, kinds := p.service(p.ns, "shared"), []string{"deployments", "services", "serviceaccounts", "configmaps"}
	label := strings.ReplaceAll(p.controller, "/", "-")
	t.Run("gateway-40 gateway-39 names, labels and owner of the four objects", func(t *testing.T) {
		uid := string(w.Object(t, "gateways", p.ns, "shared").GetUID())
		for _, kind := range kinds {
			o := w.Object(t, kind, p.ns, name)
			if o == nil {
				t.Errorf("no %s %s", kind, name)
				continue
			}
			if got := o.GetLabels()["aigateway.networking.k8s.io/managed"]; got != label {
				t.Errorf("%s: managed by %q", kind, got)
			}
			if owners := o.GetOwnerReferences(); len(owners) != 1 || owners[0].Kind != "Gateway" || string(owners[0].UID) != uid {
				t.Errorf("%s: owners %v", kind, owners)
			}
		}
		if pods := w.podsOf(t, p.ns, "app", name); len(pods) != 1 {
			t.Errorf("pods with label app=%s: %v", name, pods)
		}
	})
	t.Run("gateway-41 a port of the Service per port of the listeners", func(t *testing.T) {
		var got []string
		for _, port := range elements(w.Object(t, "services", p.ns, name), "spec.ports") {
			got = append(got, fmt.Sprint(port["name"], " ", port["port"], " ", port["appProtocol"]))
		}
		if want := []string{"http 80 http", "same 8080 http", "team 8081 http", "bare 8082 http", "a 443 https"}; !slices.Equal(got, want) {
			t.Errorf("ports %v, want %v", got, want)
		}
	})
	t.Run("gateway-43 gateway-98 the bootstrap", func(t *testing.T) {
		data, _ := w.Object(t, "configmaps", p.ns, name).Object["data"].(map[string]any)
		text, _ := data["envoy.yaml"].(string)
		if p.name == "native" {
			if text != "" {
				t.Error("the native plane has a bootstrap of Envoy")
			}
			return
		}
		var boot map[string]any
		if err := yaml.Unmarshal([]byte(text), &boot); err != nil {
			t.Fatal(err)
		}
		for path, want := range map[string]string{
			"node.id": "envoy-proxy-" + nodeHash(p.ns+"/shared"), "node.cluster": p.ns + "/shared",
			"dynamic_resources.ads_config.transport_api_version": "V3",
		} {
			if got := at(boot, path); got != want {
				t.Errorf("%s is %v, want %s", path, got, want)
			}
		}
		if !strings.Contains(text, "ai-gateway-controller.ai-gateway-system.svc.cluster.local") || !strings.Contains(text, "15001") {
			t.Errorf("the controller is not named in\n%s", text)
		}
		if strings.Contains(text, "0.0.0.0") {
			t.Errorf("B-30 something listens on all addresses:\n%s", text)
		}
	})
	t.Run("gateway-47 labels and annotations of spec.infrastructure", func(t *testing.T) {
		for _, kind := range kinds {
			o := w.Object(t, kind, p.ns, p.service(p.ns, "spare"))
			if o.GetLabels()["team"] != "blue" || o.GetAnnotations()["example.com/note"] != "kept" {
				t.Errorf("%s: labels %v, annotations %v", kind, o.GetLabels(), o.GetAnnotations())
			}
		}
		template := at(w.Object(t, "deployments", p.ns, p.service(p.ns, "spare")), "spec.template.metadata")
		if at(template, "labels.team") != "blue" {
			t.Errorf("pods: %v", template)
		}
	})
	t.Run("gateway-52 B-06 the address is that of the load balancer", func(t *testing.T) {
		ip := at(w.Object(t, "services", p.ns, name), "status.loadBalancer.ingress.0.ip")
		got := elements(w.Object(t, "gateways", p.ns, "shared"), "status.addresses")
		if len(got) != 1 || got[0]["type"] != "IPAddress" || got[0]["value"] != ip || ip == nil {
			t.Errorf("addresses %v, the Service has %v", got, ip)
		}
	})
}

// pods is about those of Gateway spare: what they may, and what they live
// through.
func (w *world) pods(t *testing.T, p *plane) {
	l := w.place(t, p)
	app := p.service(p.ns, "spare")
	spare := "{name: spare, namespace: " + p.ns + "}"
	l.put(t, fqdn("slow", "slow.SITE.svc.cluster.local", 8000)+fqdn("answer", "answer.SITE.svc.cluster.local", 80))
	l.attach(t, "slow", spare, "slow.test", backend("slow", 8000))
	l.attach(t, "answer", spare, "answer.test", backend("answer", 80))
	url := l.Reach(t, p.ns, p.service(p.ns, "spare"), 80)
	answers := func(t *testing.T, url string) {
		t.Helper()
		l.Eventually(t, soon, url, func() error { a, err := ask(l.client, url, "answer.test"); return a.Want(200, err) })
	}
	answers(t, url)
	pods := w.podsOf(t, p.ns, "app", app)
	if len(pods) != 1 {
		t.Fatalf("pods %v", pods)
	}
	t.Run("gateway-42 B-31 no root, no privilege, in a namespace that admits no other, and port 80 works", func(t *testing.T) {
		pod := w.Object(t, "pods", p.ns, pods[0])
		for _, c := range elements(pod, "spec.containers") {
			s := c["securityContext"]
			if at(s, "runAsNonRoot") != true || at(s, "readOnlyRootFilesystem") != true || at(s, "allowPrivilegeEscalation") != false ||
				at(s, "capabilities.drop.0") != "ALL" || at(s, "capabilities.add") != nil || at(s, "seccompProfile.type") != "RuntimeDefault" {
				t.Errorf("container %s: %v", c["name"], s)
			}
		}
		if at(pod, "spec.automountServiceAccountToken") != false || at(pod, "spec.hostNetwork") != nil {
			t.Error("it has the API server's token without asking, or the node's network")
		}
		if got := at(w.Object(t, "namespaces", "", p.ns).Object["metadata"], "labels").(map[string]any)["pod-security.kubernetes.io/enforce"]; got != "restricted" {
			t.Errorf("the namespace admits %v", got)
		}
		answers(t, "http://"+w.address(t, p.ns, "spare"))
	})
	t.Run("gateway-49 the requests of the parameters are kept, whoever edits the Deployment", func(t *testing.T) {
		requests := func() error {
			for _, c := range elements(w.Object(t, "deployments", p.ns, p.service(p.ns, "spare")), "spec.template.spec.containers") {
				if got := at(c, "resources.requests.cpu"); got != "10m" {
					return fmt.Errorf("container %s requests %v", c["name"], got)
				}
			}
			return nil
		}
		if err := requests(); err != nil {
			t.Error(err)
		}
	})
	t.Run("gateway-48 a listener more, and one less, without another pod", func(t *testing.T) {
		port := "http://" + w.address(t, p.ns, "spare") + ":8090"
		patch := func(op string) {
			w.Kubectl(t, "patch", "gateway", "spare", "-n", p.ns, "--type=json", "-p", op)
		}
		patch(`[{"op": "add", "path": "/spec/listeners/-", "value": {"name": "more", "port": 8090, "protocol": "HTTP", "allowedRoutes": {"namespaces": {"from": "All"}}}}]`)
		answers(t, port)
		patch(`[{"op": "remove", "path": "/spec/listeners/1"}]`)
		l.Eventually(t, soon, "the port goes", func() error {
			if n := len(elements(w.Object(t, "services", p.ns, p.service(p.ns, "spare")), "spec.ports")); n != 1 {
				return fmt.Errorf("the Service has %d ports", n)
			}
			return nil
		})
		if now := w.podsOf(t, p.ns, "app", app); !slices.Equal(now, pods) {
			t.Errorf("pods %v, were %v", now, pods)
		}
		answers(t, url)
	})
	t.Run("gateway-50 a pod that ends lets its stream finish", func(t *testing.T) {
		done, first := make(chan error, 1), make(chan struct{})
		go func() { done <- l.stream(url, "slow.test", first) }()
		<-first
		w.Kubectl(t, "delete", "pod", pods[0], "-n", p.ns, "--wait=false")
		if err := <-done; err != nil {
			t.Error(err)
		}
		w.Kubectl(t, "wait", "--for=delete", "pod/"+pods[0], "-n", p.ns, "--timeout=90s")
		answers(t, url)
	})
}

// stream reads a streamed completion to its end; first is closed when its
// first event, or its failure, is there.
func (l *place) stream(url, host string, first chan<- struct{}) error {
	began := false
	defer func() {
		if !began {
			close(first)
		}
	}()
	ctx, stop := context.WithTimeout(context.Background(), time.Minute)
	defer stop()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, url+"/v1/chat/completions", strings.NewReader(`{"model": "gpt-4", "stream": true, "messages": [{"role": "user", "content": "Hello"}]}`))
	if err != nil {
		return err
	}
	r.Host = host
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("X-Provider-Api-Key", "sk-slow")
	resp, err := (&http.Client{Transport: l.Transport()}).Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != 200 {
		return fmt.Errorf("status %d", resp.StatusCode)
	}
	events, last := 0, ""
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
		data, is := strings.CutPrefix(lines.Text(), "data: ")
		if !is {
			continue
		}
		if events, last = events+1, data; !began {
			began = true
			close(first)
		}
	}
	if last != "[DONE]" || events < 4 {
		return fmt.Errorf("the stream was cut after %d events; the last is %q", events, last)
	}
	return nil
}

// streams is about a stream that others' changes do not disturb.
func (w *world) streams(t *testing.T, p *plane) {
	l := w.place(t, p)
	l.put(t, fqdn("slow", "slow.SITE.svc.cluster.local", 8000)+fqdn("answer", "answer.SITE.svc.cluster.local", 80))
	l.route(t, "slow", backend("slow", 8000))
	l.Eventually(t, soon, "the provider", func() error { a, err := l.call("slow", "/health"); return a.Want(200, err) })
	t.Run("gateway-99 B-41 an open stream lives while routes and listeners change", func(t *testing.T) {
		done, first := make(chan error, 1), make(chan struct{})
		go func() { done <- l.stream(l.url, l.host("slow"), first) }()
		<-first
		l.route(t, "unrelated", backend("answer", 80))
		l.answers(t, "unrelated", 200)
		l.Delete(t, "httproutes", l.ns, "unrelated")
		l.Eventually(t, soon, "it goes", func() error { a, err := l.call("unrelated", "/"); return a.Want(404, err) })
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}
