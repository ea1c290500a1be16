//go:build cluster

package kube

import (
	"fmt"
	"testing"

	gwv1 "sigs.k8s.io/gateway-api/apis/v1"
	gwxv1alpha1 "sigs.k8s.io/gateway-api/apisx/v1alpha1"

	"github.com/egret-gateway/egret/source"
)

// TestAncestorStatus: an API server takes what is said about BackendTLSPolicies
// and XBackends, for each Gateway that leads to them.
func TestAncestorStatus(t *testing.T) {
	ns := namespace(t)
	apply(t, "", fmt.Sprintf(class, "ancestors", source.ControllerEgret))
	const route = `
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: chat}
spec:
  parentRefs: [{name: one}, {name: two}]
  rules: [{backendRefs: [{name: web, port: 443}, {group: gateway.networking.x-k8s.io, kind: XBackend, name: far}]}]`
	const policy = `
apiVersion: gateway.networking.k8s.io/v1
kind: BackendTLSPolicy
metadata: {name: %s}
spec: {targetRefs: [{group: "", kind: Service, name: web}], validation: {hostname: web.example.com, %s}}`
	const rest = `
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {ports: [{port: 443}]}
---
apiVersion: gateway.networking.x-k8s.io/v1alpha1
kind: XBackend
metadata: {name: far}
spec: {type: ExternalHostname, port: {port: 443}, externalHostname: {hostname: far.example.com}}`
	apply(t, ns, fmt.Sprintf(webGateway, "one", "ancestors")+"\n---\n"+fmt.Sprintf(webGateway, "two", "ancestors")+"\n---\n"+route+"\n---\n"+
		fmt.Sprintf(policy, "gone", `caCertificateRefs: [{group: "", kind: ConfigMap, name: gone}]`)+"\n---\n"+rest)
	w := start(t)
	w.round(ns)
	t.Run("a policy says so for both Gateways", func(t *testing.T) {
		until(t, "BackendTLSPolicy", ns, "gone", "refused twice", func(p *gwv1.BackendTLSPolicy) bool {
			as := p.Status.Ancestors
			return len(as) == 2 && as[0].AncestorRef.Name == "one" && as[1].AncestorRef.Name == "two" && string(as[0].ControllerName) == source.ControllerEgret &&
				is(as[0].Conditions, "Accepted", "False", "NoValidCACertificate") && is(as[1].Conditions, "ResolvedRefs", "False", "InvalidCACertificateRef")
		})
	})
	t.Run("an XBackend too", func(t *testing.T) {
		until(t, "XBackend", ns, "far", "accepted twice", func(x *gwxv1alpha1.XBackend) bool {
			as := x.Status.Ancestors
			return len(as) == 2 && as[1].AncestorRef.Name == "two" && is(as[1].Conditions, "Accepted", "True", "Accepted")
		})
	})
}
