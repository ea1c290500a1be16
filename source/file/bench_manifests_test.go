package file

import (
	"fmt"
	"strings"
)

// benchManifests are 25 objects of the kinds and the size of the quickstart's.
func benchManifests() map[string]string {
	var routes strings.Builder
	for i := range 8 {
		fmt.Fprintf(&routes, `---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: route-%[1]d, namespace: default}
spec:
  parentRefs: [{name: poc-gateway}]
  rules:
  - matches:
    - path: {type: PathPrefix, value: /v%[1]d/chat/completions}
    filters:
    - type: URLRewrite
      urlRewrite: {path: {type: ReplacePrefixMatch, replacePrefixMatch: /}}
    backendRefs:
    - {group: ainetworking.prototype.x-k8s.io, kind: Backend, name: backend-%[1]d, port: 8000}
---
apiVersion: ainetworking.prototype.x-k8s.io/v0alpha0
kind: XBackendDestination
metadata: {name: backend-%[1]d, namespace: default}
spec:
  destination:
    type: Fqdn
    fqdn: {hostname: model-%[1]d.example.com}
    ports: [{number: 8000, protocol: HTTP}]
`, i)
	}
	return map[string]string{"routes.yaml": routes.String(), "gateways.yaml": benchGateways, "policies.yaml": benchPolicies}
}

const benchGateways = `
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: wg-ai-gateway}
spec: {controllerName: sigs.k8s.io/wg-ai-gateway-envoy-controller}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: poc-gateway, namespace: default}
spec:
  gatewayClassName: wg-ai-gateway
  listeners:
  - {name: http, port: 80, protocol: HTTP, allowedRoutes: {namespaces: {from: All}}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: maas-default-gateway, namespace: openshift-ingress}
spec:
  gatewayClassName: egret
  listeners:
  - {name: http, port: 80, protocol: HTTP, allowedRoutes: {namespaces: {from: All}}}
  - name: https
    port: 443
    protocol: HTTPS
    tls: {certificateRefs: [{name: cert}]}
    allowedRoutes: {namespaces: {from: All}}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: external-model-registry, namespace: opendatahub}
data: {models: "[]"}
---
apiVersion: v1
kind: Secret
metadata: {name: cert, namespace: openshift-ingress}
stringData: {tls.crt: a, tls.key: b}
`

const benchPolicies = `
apiVersion: kuadrant.io/v1
kind: AuthPolicy
metadata: {name: gateway-auth-policy, namespace: openshift-ingress}
spec:
  targetRef: {group: gateway.networking.k8s.io, kind: Gateway, name: maas-default-gateway}
  rules:
    authentication:
      service-accounts:
        kubernetesTokenReview: {audiences: [maas-default-gateway-sa]}
        defaults: {userid: {expression: "auth.identity.user.username.split(':')[3]"}}
        cache: {key: {selector: "context.request.http.headers.authorization.@case:lower"}, ttl: 600}
    metadata:
      matchedTier:
        http:
          url: http://maas-api.maas-api.svc.cluster.local:8080/v1/tiers/lookup
          contentType: application/json
          method: POST
          body: {expression: "{'groups': auth.identity.user.groups}"}
    authorization:
      tier-access:
        kubernetesSubjectAccessReview:
          user: {expression: auth.identity.user.username}
          resourceAttributes: {group: {value: serving.kserve.io}, verb: {value: post}}
    response:
      success:
        headers: {X-MaaS-Username: {plain: {expression: auth.identity.userid}}}
        filters: {identity: {json: {properties: {userid: {expression: auth.identity.userid}}}}}
---
apiVersion: kuadrant.io/v1
kind: AuthPolicy
metadata: {name: external-bridge-auth, namespace: default}
spec:
  targetRef: {group: gateway.networking.k8s.io, kind: HTTPRoute, name: route-0}
  rules:
    authentication:
      service-accounts:
        kubernetesTokenReview: {audiences: [maas-default-gateway-sa]}
---
apiVersion: kuadrant.io/v1alpha1
kind: TokenRateLimitPolicy
metadata: {name: gateway-token-rate-limits, namespace: openshift-ingress}
spec:
  targetRef: {group: gateway.networking.k8s.io, kind: Gateway, name: maas-default-gateway}
  limits:
    free-user-tokens:
      rates: [{limit: 100, window: 1m}]
      when: [{predicate: "auth.identity.tier == 'free' && !request.path.endsWith('/v1/models')"}]
      counters: [{expression: auth.identity.userid}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: ReferenceGrant
metadata: {name: routes, namespace: opendatahub}
spec:
  from: [{group: gateway.networking.k8s.io, kind: HTTPRoute, namespace: default}]
  to: [{group: "", kind: Service}]
`
