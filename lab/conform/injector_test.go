package conform

import (
	"context"
	"net"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/egret-gateway/egret/lab/envoybin"
	"github.com/egret-gateway/egret/plan"
)

// split shares a route between two backends with a key each; %s is in both.
const split = `
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {namespace: default, name: gw}
spec: {gatewayClassName: egret, listeners: [{name: http, port: 80, protocol: HTTP}]}
---
apiVersion: v1
kind: Secret
metadata: {namespace: default, name: keys}
stringData: {one: one-GENERATION, two: two-GENERATION}
---
apiVersion: ainetworking.prototype.x-k8s.io/v0alpha0
kind: XBackendDestination
metadata: {namespace: default, name: one}
spec:
  destination: {type: Fqdn, fqdn: {hostname: one.example.com}, ports: [{number: 80, protocol: HTTP}]}
  extensions: [{name: key, type: "gateway.networking.k8s.io/CredentialInjector:v1", rawConfig: {allowCleartext: true, secretRef: {name: keys, key: one}}}]
---
apiVersion: ainetworking.prototype.x-k8s.io/v0alpha0
kind: XBackendDestination
metadata: {namespace: default, name: two}
spec:
  destination: {type: Fqdn, fqdn: {hostname: two.example.com}, ports: [{number: 80, protocol: HTTP}]}
  extensions: [{name: key, type: "gateway.networking.k8s.io/CredentialInjector:v1", rawConfig: {allowCleartext: true, secretRef: {name: keys, key: two}}}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {namespace: default, name: split}
spec:
  parentRefs: [{name: gw}]
  rules:
  - backendRefs:
    - {group: ainetworking.prototype.x-k8s.io, kind: Backend, name: one, port: 80, weight: 1}
    - {group: ainetworking.prototype.x-k8s.io, kind: Backend, name: two, port: 80, weight: 1}
`

// generation is the plan with the keys of one generation.
func (g *stage) generation(t *testing.T, name string) *plan.Plan {
	return g.compile(t, &Scenario{Title: name, Manifests: []byte(strings.ReplaceAll(split, "GENERATION", name))})
}

// TestSplitAndRotate: each request carries the key of the backend that it goes
// to, whoever chooses that; and a Secret that is rotated counts from the next
// request on, with nothing sent to Envoy anew.
func TestSplitAndRotate(t *testing.T) {
	stage := newStage(t)
	first, second := stage.generation(t, "first"), stage.generation(t, "second")
	if a, b := first.Digests(&first.Ports[0]), second.Digests(&second.Ports[0]); len(a) == 0 || plan.Digest(first) == plan.Digest(second) {
		t.Fatal("a rotated Secret is no new plan")
	} else {
		for entry := range a {
			if a[entry] != b[entry] {
				t.Errorf("a rotated Secret has %s sent again", entry)
			}
		}
	}
	f := func(name string, bubble bool, l func() net.Listener, open func(context.Context, *World) (Body, error)) {
		t.Run("gateway-108 gateway-109 each backend its own key, also when that is rotated: "+name, func(t *testing.T) {
			try := func(t *testing.T) {
				rotate(t, newWorld(first, stage.realm, &clock{stands: !bubble}, l()), open, second)
			}
			if bubble {
				synctest.Test(t, try)
				return
			}
			try(t)
		})
	}
	memory := func() net.Listener { return newPipe() }
	for _, b := range bodies {
		f(b.name, true, memory, b.open)
	}
	for _, version := range envoybin.Versions {
		f("envoy "+version, false, func() net.Listener {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			return l
		}, newEnvoy(envoybin.Path(t, version)))
	}
}

func rotate(t *testing.T, w *World, open func(context.Context, *World) (Body, error), next *plan.Plan) {
	go w.upstream.server.Serve(w.upstream.listener)
	defer w.upstream.server.Close()
	body, err := open(t.Context(), w)
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	calls := func(generation string) {
		seen := map[string]int{}
		for range 40 {
			o, err := w.step(body, &Step{Send: "GET /", With: []string{"Authorization: Bearer mine", "X-Api-Key: mine"}}, 1)
			if err != nil {
				t.Fatal(err)
			}
			if len(o.Calls) != 1 {
				t.Fatalf("status %d, calls %v", o.Status, o.Calls)
			}
			c := o.Calls[0]
			name, _, _ := strings.Cut(c.Host, ".")
			seen[name]++
			if got, want := c.Header.Get("Authorization"), "Bearer "+name+"-"+generation; got != want || c.Header["X-Api-Key"] != nil {
				t.Errorf("%s saw %q, want %q, and X-Api-Key %q", c.Host, got, want, c.Header["X-Api-Key"])
			}
		}
		if seen["one"] == 0 || seen["two"] == 0 {
			t.Errorf("shares %v", seen)
		}
	}
	calls("first")
	w.Plan = next
	if n, ok := body.(*native); ok {
		err = n.server.Apply(t.Context(), next)
	} else {
		err = w.Engine.Load(next)
	}
	if err != nil {
		t.Fatal(err)
	}
	calls("second")
}
