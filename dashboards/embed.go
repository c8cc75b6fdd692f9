// Package dashboards holds what Grafana, Prometheus and Jaeger need to show first touches: dashboards,
// data sources, rules and links. README.md says what is where.
package dashboards

import "embed"

// Files are the files of this directory, by their paths in it.
//
//go:embed README.md compose.yaml alloy collector grafana jaeger prometheus
var Files embed.FS
