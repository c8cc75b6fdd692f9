// Package exporter holds the catalogue: every name that the exporters below it give to the outside,
// with its type, unit and meaning. An exporter takes its names from here and nowhere else, the
// documentation is made from here, and tests compare both with what is really emitted.
//
// The packages below it each serve one target: traces puts page faults on OpenTelemetry spans,
// metrics counts them, pprof builds profiles for go tool pprof, and touchtest holds them to limits in go test.
package exporter

// Version is the version of the instrumentation scopes.
const Version = "0.1.0"
