package envoy_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/egret-gateway/egret/envoy"
	"github.com/egret-gateway/egret/plan"
)

const injected = `
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {namespace: default, name: gw}
spec: {gatewayClassName: egret, listeners: [{name: http, port: 80, protocol: HTTP}]}
---
apiVersion: v1
kind: Secret
metadata: {namespace: default, name: keys}
stringData: {key: GENERATION-canary}
---
apiVersion: ainetworking.prototype.x-k8s.io/v0alpha0
kind: XBackendDestination
metadata: {namespace: default, name: b}
spec:
  destination: {type: Fqdn, fqdn: {hostname: b.example.com}, ports: [{number: 443, protocol: HTTP, tls: {mode: Simple}}]}
  extensions: [{name: key, type: "gateway.networking.k8s.io/CredentialInjector:v1", rawConfig: {secretRef: {name: keys}}}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {namespace: default, name: r}
spec:
  parentRefs: [{name: gw}]
  rules: [{backendRefs: [{group: ainetworking.prototype.x-k8s.io, kind: Backend, name: b, port: 443}]}]
`

// TestNoKeyInEnvoy: Envoy is configured without the keys of backends, so that
// a new one changes none of its resources either.
func TestNoKeyInEnvoy(t *testing.T) {
	t.Run("gateway-108 the key is in no resource of Envoy, and a rotated one sends it nothing", func(t *testing.T) {
		c := newCompiler(t)
		versions := func(generation string) map[string]string {
			p := c.plan([]byte(strings.ReplaceAll(injected, "GENERATION", generation)))
			if len(p.Backends) != 1 || len(p.Backends[0].Accounts) != 1 || p.Backends[0].Fault != nil {
				t.Fatalf("backends %+v", p.Backends)
			}
			if shown := plan.Digest(p.Shown()); shown != p.Hash() {
				t.Errorf("something of the account is hidden: %s", shown)
			}
			out := map[string]string{}
			for _, r := range envoy.Translate(p, "default/gw", envoy.Options{}) {
				out[r.Type+" "+r.Name] = r.Version
				if bytes.Contains(r.Value, []byte("canary")) {
					t.Errorf("%s %s holds the key", r.Type, r.Name)
				}
			}
			return out
		}
		before, after := versions("first"), versions("second")
		if len(before) < 3 {
			t.Errorf("only %d resources", len(before))
		}
		for name := range after {
			if before[name] != after[name] {
				t.Errorf("%s is sent again", name)
			}
		}
	})
}
