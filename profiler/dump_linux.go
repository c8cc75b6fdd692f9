//go:build linux && (amd64 || arm64)

package profiler

import "github.com/firsttouch/firsttouch/internal/engine"

// Dump describes what the profiler of this process is doing at the moment, in lines for people: its state and the armed ranges; the threads
// whose faults it has not resolved yet, and who has to do what next; the threads that wait for storage, with the page and since when; and its
// own threads that are busy. A list of goroutines has none of that. It takes no lock of the profiler, so that it answers where the profiler hangs, and may be called at any
// time. Go's own dump (SIGQUIT) and what it prints when a process crashes have the same in front.
func Dump() string { return engine.Dump() }
