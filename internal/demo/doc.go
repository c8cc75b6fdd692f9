// Package demo profiles a real service: HTTP searches over an index of the identifiers in the Go
// distribution's source, in a bbolt database that is memory-mapped by bbolt itself.
//
// Each run of the service is a process of its own, started by this one, so that its memory and its
// latency are the service's own: one without the profiler, then one with it, the same program and
// the same requests. This process builds the index, empties the page cache, sends the requests
// and prints. It steers the service by remote calls over the service's standard input and output;
// the service ends when its input does, so that it never outlives this process.
package demo
