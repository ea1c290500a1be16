package conform

import (
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/egret-gateway/egret/lab/envoybin"
)

const tunnelled = `
apiVersion: v1
kind: ConfigMap
metadata: {namespace: egret-system, name: egret-egress}
data:
  egress.yaml: |
    namespaces: [{proxy: {url: "http://proxy.example.com:3128", secretRef: {name: proxy}}}]
---
apiVersion: v1
kind: Secret
metadata: {namespace: egret-system, name: proxy}
stringData: {username: egret, password: canary}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {namespace: default, name: gw}
spec:
  gatewayClassName: egret
  listeners: [{name: http, port: 80, protocol: HTTP}]
---
apiVersion: ainetworking.prototype.x-k8s.io/v0alpha0
kind: XBackendDestination
metadata: {namespace: default, name: far}
spec:
  destination: {type: Fqdn, fqdn: {hostname: beyond.example.com}, ports: [{number: 8443, protocol: HTTP}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {namespace: default, name: r}
spec:
  parentRefs: [{name: gw}]
  rules: [{backendRefs: [{kind: Backend, name: far}]}]
`

// TestTunnel: on both planes a backend behind the operator's proxy is asked for
// by its name, through one tunnel for several requests, and never sees what the
// proxy was shown.
func TestTunnel(t *testing.T) {
	stage := newStage(t)
	p := stage.compile(t, &Scenario{Title: "tunnel", Manifests: []byte(tunnelled)})
	steps := []Step{{Send: "GET /x"}, {Send: "POST /y", Body: "data"}}
	check := func(t *testing.T, w *World, seen []Observed, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		for i := range seen {
			if seen[i].Status != 200 || len(seen[i].Calls) != 1 || seen[i].Calls[0].Host != "beyond.example.com" || seen[i].Calls[0].Header.Get("Proxy-Authorization") != "" {
				t.Errorf("request %d: %+v", i+1, seen[i])
			}
		}
		w.upstream.mu.Lock()
		defer w.upstream.mu.Unlock()
		if want := []string{"beyond.example.com:8443 Basic ZWdyZXQ6Y2FuYXJ5"}; !slices.Equal(w.upstream.tunnel, want) {
			t.Errorf("the proxy was asked for %q", w.upstream.tunnel)
		}
	}
	t.Run("native", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(p, stage.realm, &clock{}, newPipe())
			seen, err := w.play(steps, newNative, nil)
			check(t, w, seen, err)
		})
	})
	for _, version := range envoybin.Versions {
		t.Run("envoy "+version, func(t *testing.T) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			w := newWorld(p, stage.realm, &clock{stands: true}, l)
			before := []Observed{{Records: make([]map[string]any, 1)}, {Records: make([]map[string]any, 1)}}
			seen, err := w.play(steps, newEnvoy(envoybin.Path(t, version)), before)
			check(t, w, seen, err)
		})
	}
}

// TestTunnelTLS: what goes through the tunnel is TLS with the backend itself, by
// its name, also where Envoy speaks it through a socket of the pod.
func TestTunnelTLS(t *testing.T) {
	var asked atomic.Value
	far := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Store(r.TLS.ServerName + " " + r.Host)
	}))
	defer far.Close()
	stage := newStage(t)
	secure := strings.Replace(tunnelled, "protocol: HTTP}]}", "protocol: HTTP, tls: {mode: Simple, insecureSkipVerify: true}}]}", 1)
	p := stage.compile(t, &Scenario{Title: "tunnel", Manifests: []byte(secure)})
	for _, version := range envoybin.Versions {
		t.Run("envoy "+version, func(t *testing.T) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			w := newWorld(p, stage.realm, &clock{stands: true}, l)
			w.upstream.behind = far.Listener.Addr().String()
			seen, err := w.play([]Step{{Send: "GET /x"}}, newEnvoy(envoybin.Path(t, version)), []Observed{{Records: make([]map[string]any, 1)}})
			if err != nil || seen[0].Status != 200 || asked.Swap("") != "beyond.example.com beyond.example.com" {
				t.Errorf("%+v, %v; the backend was asked as %q", seen, err, asked.Load())
			}
		})
	}
}
