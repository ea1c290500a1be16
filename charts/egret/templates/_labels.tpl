{{- /* Labels of every object besides its own: who installed it, and the user's. */ -}}
{{- define "egret.labels" -}}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- with .Values.labels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- /* Labels of the MaaS API; the first three are its selector. */ -}}
{{- define "egret.maas.selector" -}}
app.kubernetes.io/name: maas-api
app.kubernetes.io/component: api
app.kubernetes.io/part-of: models-as-a-service
{{- end }}

{{- define "egret.maas.labels" -}}
{{ include "egret.maas.selector" . }}
{{ include "egret.labels" . }}
{{- end }}
