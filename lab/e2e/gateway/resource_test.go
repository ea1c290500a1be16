//go:build cluster

package gateway

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/egret-gateway/egret/lab/stage"
)

const definition = "xbackenddestinations.ainetworking.prototype.x-k8s.io"

// resource holds the custom resource definition to the list, at the API server
// that admits and keeps its objects.
func (w *world) resource(t *testing.T) {
	ns := w.Namespace(t)
	t.Run("gateway-1 discovery", func(t *testing.T) { w.discovery(t) })
	t.Run("gateway-2 every backend manifest of the two repositories is admitted", func(t *testing.T) {
		b, err := os.ReadFile("testdata/backends.yaml")
		if err != nil {
			t.Fatal(err)
		}
		objects, err := stage.Objects("default", string(b))
		if err != nil || len(objects) < 7 {
			t.Fatalf("%d objects, error %v", len(objects), err)
		}
		out := w.Kubectl(t, "apply", "--server-side", "--dry-run=server", "-f", "testdata/backends.yaml")
		if n := strings.Count(out, "serverside-applied (server dry run)"); n != len(objects) {
			t.Errorf("%d of %d admitted:\n%s", n, len(objects), out)
		}
	})
	w.refused(t, ns)
	w.kept(t, ns)
	w.bounded(t, ns)
	t.Run("gateway-11 lists show type, host, ports and readiness", func(t *testing.T) {
		w.Put(t, ns, fqdn("listed", "api.example.com", 443))
		out := w.Kubectl(t, "get", "xbd", "listed", "-n", ns)
		for _, want := range []string{"TYPE", "HOST", "PORTS", "AVAILABLE", "AGE", "Fqdn", "api.example.com", "443"} {
			if !strings.Contains(out, want) {
				t.Errorf("no %s in\n%s", want, out)
			}
		}
	})
	w.stored(t)
}

func (w *world) discovery(t *testing.T) {
	var list struct {
		Resources []struct {
			Name, SingularName, Kind string
			Namespaced               bool
			Verbs                    []string
		}
	}
	raw := w.Kubectl(t, "get", "--raw", "/apis/ainetworking.prototype.x-k8s.io/v0alpha0")
	if err := json.Unmarshal([]byte(raw), &list); err != nil {
		t.Fatal(err)
	}
	found := map[string]bool{}
	for _, r := range list.Resources {
		found[fmt.Sprint(r.Name, " ", r.SingularName, " ", r.Kind, " ", r.Namespaced)] = true
	}
	for _, want := range []string{"xbackenddestinations xbackenddestination XBackendDestination true", "xbackenddestinations/status  XBackendDestination true"} {
		if !found[want] {
			t.Errorf("no %q in %v", want, found)
		}
	}
}

// refused are objects that the API server does not take.
func (w *world) refused(t *testing.T, ns string) {
	f := func(name, spec string, want ...string) {
		t.Run(name, func(t *testing.T) {
			err := w.Send(ns, "apiVersion: ainetworking.prototype.x-k8s.io/v0alpha0\nkind: XBackendDestination\nmetadata: {name: refused}\nspec: "+spec)
			if err == nil {
				t.Fatal("it was admitted")
			}
			for _, part := range want {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("%v, without %q", err, part)
				}
			}
		})
	}
	const one = "exactly one of the fields in [fqdn service] must be set"
	const host, port = "fqdn: {hostname: a.example.com}", "ports: [{number: 80, protocol: HTTP}]"
	f("gateway-3 both destinations", "{destination: {type: Fqdn, "+host+", service: {name: a, namespace: b}, "+port+"}}", one)
	f("gateway-3 no destination", "{destination: {type: Fqdn, "+port+"}}", one)
	f("gateway-4 B-02 type Fqdn with a service", "{destination: {type: Fqdn, service: {name: a, namespace: b}, "+port+"}}", "spec.destination", "type")
	f("gateway-4 B-02 type Service with a host", "{destination: {type: Service, "+host+", "+port+"}}", "spec.destination", "type")
	f("gateway-5 no ports", "{destination: {type: Fqdn, "+host+"}}", "spec.destination.ports", "Required")
	f("gateway-5 ports empty", "{destination: {type: Fqdn, "+host+", ports: []}}", "spec.destination.ports")
	f("gateway-5 port 0", "{destination: {type: Fqdn, "+host+", ports: [{number: 0, protocol: HTTP}]}}", "number", "greater than or equal to 1")
	f("gateway-5 port 65536", "{destination: {type: Fqdn, "+host+", ports: [{number: 65536, protocol: HTTP}]}}", "number", "less than or equal to 65535")
	f("gateway-5 protocol TLS", "{destination: {type: Fqdn, "+host+", ports: [{number: 80, protocol: TLS}]}}", "protocol", `"MCP"`)
	f("gateway-5 TLS without a mode", "{destination: {type: Fqdn, "+host+", ports: [{number: 80, protocol: HTTP, tls: {sni: a}}]}}", "tls.mode", "Required")
	f("gateway-8 a CA reference without group", "{destination: {type: Fqdn, "+host+", ports: [{number: 80, protocol: HTTP, tls: {mode: Simple, caBundleRef: [{kind: Secret, name: a}]}}]}}", "group", "Required")
	f("gateway-8 a CA reference without kind", "{destination: {type: Fqdn, "+host+", ports: [{number: 80, protocol: HTTP, tls: {mode: Simple, caBundleRef: [{group: '', name: a}]}}]}}", "kind", "Required")
}

// kept is what is read back.
func (w *world) kept(t *testing.T, ns string) {
	w.Put(t, ns, `
apiVersion: ainetworking.prototype.x-k8s.io/v0alpha0
kind: XBackendDestination
metadata: {name: kept}
spec:
  destination:
    type: Fqdn
    fqdn: {hostname: a.example.com}
    ports: [{number: 443, protocol: MCP, tls: {mode: Mutual, clientCertificateRef: {name: x}}, protocolOptions: {mcp: {}}}]
  extensions: [{name: e, type: example.com/Any, rawConfig: {deep: {list: [1, 2.5, {x: null, w: "z"}], deeper: true}, text: "a\nb"}}]
`)
	o := w.Object(t, "xbackenddestinations", ns, "kept")
	f := func(name, path, want string) {
		t.Run(name, func(t *testing.T) {
			b, err := json.Marshal(at(o, path))
			if err != nil || string(b) != want {
				t.Errorf("%s is %s, error %v, want %s", path, b, err, want)
			}
		})
	}
	f("gateway-6 the path of MCP has a default", "spec.destination.ports.0.protocolOptions.mcp.path", `"/mcp"`)
	f("gateway-7 so has the kind of a client certificate", "spec.destination.ports.0.tls.clientCertificateRef", `{"group":"","kind":"Secret","name":"x"}`)
	f("gateway-9 what extensions hold is unchanged", "spec.extensions.0.rawConfig", `{"deep":{"deeper":true,"list":[1,2.5,{"w":"z","x":null}]},"text":"a\nb"}`)
	t.Run("gateway-10 metadata and spec are enough", func(t *testing.T) {
		if at(o, "spec") == nil || at(o, "status.controllers.0.name") == "test" {
			t.Errorf("%v", o.Object)
		}
	})
}

// bounded is about writes of status by other controllers.
func (w *world) bounded(t *testing.T, ns string) {
	w.Put(t, ns, fqdn("bounded", "a.example.com", 80))
	f := func(name string, want string, controllers ...string) {
		t.Run(name, func(t *testing.T) {
			o := w.Object(t, "xbackenddestinations", ns, "bounded")
			var list []any
			for _, c := range controllers {
				list = append(list, map[string]any{"name": c, "conditions": []any{}})
			}
			if err := unstructured.SetNestedSlice(o.Object, list, "status", "controllers"); err != nil {
				t.Fatal(err)
			}
			err := w.Client().Status().Update(t.Context(), o)
			if got := fmt.Sprint(err); want == "" && err != nil || !strings.Contains(got, want) {
				t.Errorf("error %v, want %q", err, want)
			}
		})
	}
	nine := []string{}
	for i := range 9 {
		nine = append(nine, fmt.Sprintf("example.com/c%d", i))
	}
	f("gateway-10 nine controllers are refused", "must have at most 8 items", nine...)
	f("gateway-10 a controller without a slash is refused", "should match", "example")
	f("gateway-10 eight controllers are kept", "", nine[:8]...)
}

// stored puts an object there that only an older definition admits, as a
// cluster that comes from the reference may have it.
func (w *world) stored(t *testing.T) {
	var rules []any
	crd := w.Object(t, "customresourcedefinitions", "", definition)
	path := []string{"schema", "openAPIV3Schema", "properties", "spec", "properties", "destination"}
	versions, _, err := unstructured.NestedSlice(crd.Object, "spec", "versions")
	if err != nil {
		t.Fatal(err)
	}
	destination, _, err := unstructured.NestedMap(versions[0].(map[string]any), path...)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range destination["x-kubernetes-validations"].([]any) {
		if !strings.Contains(fmt.Sprint(at(r, "rule")), "self.type") {
			rules = append(rules, r)
		}
	}
	patch, err := json.Marshal([]any{map[string]any{"op": "replace", "path": "/spec/versions/0/" + strings.Join(path, "/") + "/x-kubernetes-validations", "value": rules}})
	if err != nil {
		t.Fatal(err)
	}
	restore := sync.OnceFunc(func() {
		w.Finally(t, "apply", "--server-side", "--force-conflicts", "-f", stage.Manifest("crds/ainetworking.prototype.x-k8s.io_xbackenddestinations.yaml"))
	})
	t.Cleanup(restore)
	w.Kubectl(t, "patch", "crd", definition, "--type=json", "-p", string(patch))
	var places []*place
	for _, p := range w.planes {
		l := w.place(t, p)
		const wrong = "apiVersion: ainetworking.prototype.x-k8s.io/v0alpha0\nkind: XBackendDestination\nmetadata: {name: wrong}\n" +
			"spec: {destination: {type: Fqdn, service: {name: answer, namespace: SITE}, ports: [{number: 80, protocol: HTTP}]}}"
		w.Eventually(t, soon, "the older definition", func() error { return l.Send(l.ns, wrong) })
		places = append(places, l)
	}
	restore()
	for _, l := range places {
		l.route(t, "wrong", backend("wrong", 80))
		t.Run("gateway-4 B-02 an object that was stored before serves nobody and says so, on "+l.name, func(t *testing.T) {
			l.answers(t, "wrong", 500)
			l.backendHas(t, soon, "wrong", "Available=False Invalid")
			l.put(t, fqdn("right", "answer.SITE.svc.cluster.local", 80))
			l.route(t, "right", backend("right", 80))
			l.answers(t, "right", 200)
		})
	}
}
