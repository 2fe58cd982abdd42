// Pins the schema that dashboards are held against. Grafana itself is no Go module that can be had.
module whatsapp-operator/tests/control-plane/grafana

go 1.26.0

require github.com/grafana/grafana-foundation-sdk/go v0.0.22
