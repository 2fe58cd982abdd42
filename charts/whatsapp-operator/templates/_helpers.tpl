{{/* One name for everything: the release's, with the chart's where the release does not say it. A Service takes no dot, and
begins with a letter. */}}
{{- define "whatsapp-operator.name" -}}
{{- $release := .Release.Name | replace "." "-" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride -}}
{{- else if regexMatch "^[0-9]" $release -}}
{{- printf "%s-%s" .Chart.Name $release | trunc 53 | trimAll "-" -}}
{{- else if contains .Chart.Name $release -}}
{{- $release | trunc 53 | trimAll "-" -}}
{{- else -}}
{{- printf "%s-%s" $release .Chart.Name | trunc 53 | trimAll "-" -}}
{{- end -}}
{{- end -}}

{{- define "whatsapp-operator.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end -}}

{{- define "whatsapp-operator.labels" -}}
{{ include "whatsapp-operator.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service | quote }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | quote }}
{{- end -}}

{{- define "whatsapp-operator.image" -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" .Values.image.repository (.Values.image.tag | default .Chart.AppVersion) -}}
{{- end -}}
{{- end -}}

{{/* Whether there is a PodDisruptionBudget: "true" or nothing. */}}
{{- define "whatsapp-operator.hasBudget" -}}
{{- $enabled := toString .Values.podDisruptionBudget.enabled -}}
{{- if or (eq $enabled "true") (and (eq $enabled "auto") (gt (int .Values.replicas) 1)) -}}
true
{{- end -}}
{{- end -}}

{{/* What it may do with the attempts of each number: keep them in a ConfigMap, and remove those that count no more. */}}
{{- define "whatsapp-operator.attempts" -}}
- apiGroups: [""]
  resources: [configmaps]
  verbs: [get, list, create, patch, delete]
{{- end -}}

{{/* What the operator may do: look at its kinds, write their status and their finalizer (the right to patch cannot be limited to
metadata; it writes nothing else of them), tell events, read Secrets by name, create PINs,
keep the attempts of each number in a ConfigMap (listed once a day by label, to remove those that count no more). */}}
{{- define "whatsapp-operator.rules" -}}
- apiGroups: [whatsapp-operator.dev]
  resources: [whatsappchannels, whatsappportfolios]
  verbs: [get, list, patch, watch]
- apiGroups: [whatsapp-operator.dev]
  resources: [whatsappchannels/status, whatsappportfolios/status]
  verbs: [patch]
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create, patch]
- apiGroups: [""]
  resources: [secrets]
  verbs: [get, create]
{{ include "whatsapp-operator.attempts" . }}
{{- end -}}
