// Pins whose CRDs the manifests of deploy/ and docs/gitops.md, and the monitors of the chart, are held against. Only their YAML is used: nothing is built of them.
module whatsapp-operator/tests/control-plane/crds

go 1.26.0

require (
	github.com/argoproj/argo-cd/v3 v3.4.11
	github.com/external-secrets/external-secrets v1.3.2
	github.com/fluxcd/kustomize-controller v1.9.6
	github.com/fluxcd/source-controller v1.9.6
	github.com/prometheus-operator/prometheus-operator v0.85.0
)
