// Package confined runs the agent in real confinement, and holds what each way to observe has seen against the
// touches that were made: user, PID and mount namespaces, Docker's default seccomp profile made into a filter, no capabilities, a read-only
// root, half a processor, and perf_event_paranoid as it is.
package confined
