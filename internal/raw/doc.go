// Package raw is what code may use that runs where Go cannot: on threads that the Go scheduler
// does not know, and in signal handlers. Everything here is assembly or nosplit, allocates
// nothing, takes no lock and is not instrumented by the race detector.
//
// The atomics are those of sync/atomic, but under -race our own: there sync/atomic is instrumented, and
// its instrumentation needs a g, which such threads do not have.
package raw
