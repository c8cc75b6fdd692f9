// Package report turns a profiler's snapshot and the requests of a service into a Summary, and a
// Summary into text. The Summary is plain data with JSON tags: what a machine reads, and what a
// recording of another process could hold. Durations are nanoseconds there, sizes bytes.
package report
