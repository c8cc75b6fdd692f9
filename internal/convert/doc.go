// Package convert writes recordings in the forms of other tools: OTLP JSON for what takes OpenTelemetry
// traces, and Chrome's trace events for Perfetto and chrome://tracing.
package convert
