{{- /* What a controller may do. Takes what egret.controller takes. */ -}}
{{- define "egret.access" -}}
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata:
  name: {{ .name }}
  labels:
    app.kubernetes.io/name: {{ .name }}
    app.kubernetes.io/component: controller
    {{- include "egret.labels" .root | nindent 4 }}
rules:
  # What users write: read, and answered in the status.
  - apiGroups: [gateway.networking.k8s.io]
    resources: [gatewayclasses, gateways, listenersets, httproutes, grpcroutes, backendtlspolicies, referencegrants]
    verbs: [get, list, watch]
  - apiGroups: [gateway.networking.k8s.io]
    resources: [gatewayclasses/status, gateways/status, listenersets/status, httproutes/status, grpcroutes/status, backendtlspolicies/status]
    verbs: [patch]
  - apiGroups: [gateway.networking.x-k8s.io]
    resources: [xbackends]
    verbs: [get, list, watch]
  - apiGroups: [gateway.networking.x-k8s.io]
    resources: [xbackends/status]
    verbs: [patch]
  - apiGroups: [ainetworking.prototype.x-k8s.io]
    resources: [xbackenddestinations, backends]
    verbs: [get, list, watch]
  - apiGroups: [ainetworking.prototype.x-k8s.io]
    resources: [xbackenddestinations/status]
    verbs: [patch]
  - apiGroups: [kuadrant.io]
    resources: [authpolicies, ratelimitpolicies, tokenratelimitpolicies]
    verbs: [get, list, watch]
  - apiGroups: [kuadrant.io]
    resources: [authpolicies/status, ratelimitpolicies/status, tokenratelimitpolicies/status]
    verbs: [patch]
  - apiGroups: [""]
    resources: [events]
    verbs: [create, patch]
  # What routes lead to, and the certificates and keys that objects name.
  - apiGroups: [""]
    resources: [namespaces, secrets]
    verbs: [get, list, watch]
  - apiGroups: [discovery.k8s.io]
    resources: [endpointslices]
    verbs: [get, list, watch]
  # Where no name from outside may lead: the nodes, their pods, and Services.
  - apiGroups: [""]
    resources: [nodes]
    verbs: [list]
  - apiGroups: [networking.k8s.io]
    resources: [servicecidrs]
    verbs: [list]
  # What runs for a Gateway, in its namespace. ConfigMaps are patched, too, to
  # say how far the deny-list was delivered.
  - apiGroups: [""]
    resources: [configmaps, serviceaccounts, services]
    verbs: [get, list, watch, create, patch, delete]
  - apiGroups: [apps]
    resources: [deployments]
    verbs: [get, list, watch, create, patch, delete]
  - apiGroups: [policy]
    resources: [poddisruptionbudgets]
    verbs: [get, list, create, patch, delete]
  - apiGroups: [autoscaling]
    resources: [horizontalpodautoscalers]
    verbs: [get, list, create, patch, delete]
  # The pods of a Gateway whose AuthPolicy reviews tokens may do so; no other
  # role can be given to anybody.
  - apiGroups: [rbac.authorization.k8s.io]
    resources: [clusterrolebindings]
    verbs: [get, list, create, patch, delete]
  - apiGroups: [rbac.authorization.k8s.io]
    resources: [clusterroles]
    resourceNames: ["system:auth-delegator"]
    verbs: [bind]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata:
  name: {{ .name }}
  labels:
    app.kubernetes.io/name: {{ .name }}
    app.kubernetes.io/component: controller
    {{- include "egret.labels" .root | nindent 4 }}
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: ClusterRole
  name: {{ .name }}
subjects:
  - kind: ServiceAccount
    name: {{ .name }}
    namespace: {{ .root.Release.Namespace }}
---
# What the replicas share: who of them leads, and the certificate authority by
# which pods know them.
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata:
  name: {{ .name }}
  namespace: {{ .root.Release.Namespace }}
  labels:
    app.kubernetes.io/name: {{ .name }}
    app.kubernetes.io/component: controller
    {{- include "egret.labels" .root | nindent 4 }}
rules:
  - apiGroups: [coordination.k8s.io]
    resources: [leases]
    verbs: [get, create, update]
  - apiGroups: [""]
    resources: [secrets]
    verbs: [create]
  - apiGroups: [""]
    resources: [secrets]
    resourceNames: [{{ .authority }}]
    verbs: [update]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata:
  name: {{ .name }}
  namespace: {{ .root.Release.Namespace }}
  labels:
    app.kubernetes.io/name: {{ .name }}
    app.kubernetes.io/component: controller
    {{- include "egret.labels" .root | nindent 4 }}
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: Role
  name: {{ .name }}
subjects:
  - kind: ServiceAccount
    name: {{ .name }}
    namespace: {{ .root.Release.Namespace }}
{{- end }}
