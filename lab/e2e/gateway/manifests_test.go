//go:build cluster

package gateway

// site is what routes lead to: one program under several names, which says who
// it was asked as; a Service without pods; a provider that takes its time.
const site = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: answer}
spec:
  selector: {matchLabels: {app: answer}}
  template:
    metadata: {labels: {app: answer}}
    spec:
      securityContext: {runAsNonRoot: true, seccompProfile: {type: RuntimeDefault}}
      containers:
        - name: answer
          image: localhost/answer:dev
          args: [-tls-cert, /tls/tls.crt, -tls-key, /tls/tls.key]
          volumeMounts: [{name: tls, mountPath: /tls}]
          ports: [{name: web, containerPort: 8080}]
          readinessProbe: {httpGet: {path: /healthz, port: 8080}, periodSeconds: 1}
          resources: {requests: {cpu: 5m, memory: 16Mi}}
          securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}
      volumes: [{name: tls, secret: {secretName: answer-tls}}]
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: slow}
spec:
  selector: {matchLabels: {app: slow}}
  template:
    metadata: {labels: {app: slow}}
    spec:
      securityContext: {runAsNonRoot: true, seccompProfile: {type: RuntimeDefault}}
      containers:
        - name: provider
          image: ghcr.io/egret-gateway/provider-sim:latest
          args: [--port, "8000", --api-key, sk-slow, --model, gpt-4, --chunk-latency, 700ms]
          readinessProbe: {httpGet: {path: /health, port: 8000}, periodSeconds: 1}
          resources: {requests: {cpu: 5m, memory: 16Mi}}
---
apiVersion: v1
kind: Service
metadata: {name: slow}
spec: {selector: {app: slow}, ports: [{port: 8000}]}
---
apiVersion: v1
kind: Service
metadata: {name: answer}
spec: {selector: {app: answer}, ports: [{port: 80, targetPort: 8080}]}
---
apiVersion: v1
kind: Service
metadata: {name: red}
spec: {selector: {app: answer}, ports: [{port: 80, targetPort: 8080}]}
---
apiVersion: v1
kind: Service
metadata: {name: blue}
spec: {selector: {app: answer}, ports: [{port: 80, targetPort: 8080}]}
---
apiVersion: v1
kind: Service
metadata: {name: named}
spec: {selector: {app: answer}, ports: [{name: plain, port: 8000, targetPort: web}]}
---
apiVersion: v1
kind: Service
metadata: {name: empty}
spec: {selector: {app: nobody}, ports: [{port: 80}]}
---
apiVersion: v1
kind: Service
metadata: {name: outside}
spec: {type: LoadBalancer, selector: {app: answer}, ports: [{name: http, port: 80, targetPort: 8080}, {name: https, port: 443, targetPort: 8443}]}
`

// gateways are those of a plane that run. The parameters ask for little, as
// the test cluster has little (gateway 49).
const gateways = `
apiVersion: v1
kind: ConfigMap
metadata: {name: small}
data:
  fleet.yaml: |
    resources:
      envoy: {requests: {cpu: 10m, memory: 64Mi}}
      extproc: {requests: {cpu: 10m, memory: 32Mi}}
      proxy: {requests: {cpu: 10m, memory: 32Mi}}
    drainSeconds: 20
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: shared}
spec:
  gatewayClassName: CLASS
  infrastructure: {parametersRef: {group: "", kind: ConfigMap, name: small}}
  listeners:
    - {name: http, port: 80, protocol: HTTP, allowedRoutes: {namespaces: {from: All}}}
    - {name: same, port: 8080, protocol: HTTP}
    - {name: team, port: 8081, protocol: HTTP, allowedRoutes: {namespaces: {from: Selector, selector: {matchLabels: {team: blue}}}}}
    - {name: bare, port: 8082, protocol: HTTP, hostname: example.com, allowedRoutes: {namespaces: {from: All}}}
    - {name: sub, port: 8082, protocol: HTTP, hostname: a.example.com, allowedRoutes: {namespaces: {from: All}}}
    - {name: a, port: 443, protocol: HTTPS, hostname: a.test, allowedRoutes: {namespaces: {from: All}}, tls: {certificateRefs: [{name: a}]}}
    - {name: b, port: 443, protocol: HTTPS, hostname: b.test, allowedRoutes: {namespaces: {from: All}}, tls: {certificateRefs: [{name: b}]}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: spare}
spec:
  gatewayClassName: CLASS
  infrastructure:
    labels: {team: blue}
    annotations: {example.com/note: kept}
    parametersRef: {group: "", kind: ConfigMap, name: small}
  listeners: [{name: http, port: 80, protocol: HTTP, allowedRoutes: {namespaces: {from: All}}}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: ODD}
spec:
  gatewayClassName: CLASS
  infrastructure: {parametersRef: {group: "", kind: ConfigMap, name: small}}
  listeners:
    - {name: web.main, port: 80, protocol: HTTP, allowedRoutes: {namespaces: {from: All}}}
    - {name: conflict-http, port: 8080, protocol: HTTP, hostname: c.test}
    - {name: conflict-https, port: 8080, protocol: HTTPS, hostname: c.test, tls: {certificateRefs: [{name: a}]}}
    - {name: tcp, port: 9000, protocol: TCP}
    - {name: kinds, port: 8081, protocol: HTTP, allowedRoutes: {kinds: [{kind: TCPRoute}]}}
    - {name: missing, port: 8443, protocol: HTTPS, hostname: missing.test, tls: {certificateRefs: [{name: missing}]}}
    - {name: malformed, port: 8443, protocol: HTTPS, hostname: malformed.test, tls: {certificateRefs: [{name: malformed}]}}
    - {name: ungranted, port: 8443, protocol: HTTPS, hostname: ungranted.test, tls: {certificateRefs: [{name: far, namespace: SITE}]}}
---
apiVersion: v1
kind: Secret
metadata: {name: malformed}
type: kubernetes.io/tls
stringData: {tls.crt: no certificate, tls.key: no key}
`
