// Package engine resolves page faults of its own process, on threads that the Go scheduler does
// not know, and writes one record a fault into a ring.
//
// Two kinds of code live here. The hot path (resolver threads, the signal handler, the surgeon)
// is nosplit, runs without a g, and touches only memory that is outside the Go heap, which can be armed: every struct
// it uses is mapped by newOffHeap, and it stores no pointers to the Go heap, since that would call the
// garbage collector's write barrier. The rest is ordinary Go that sets the hot path up, takes it
// down and reads the ring.
//
// Order of reading: message_linux.go (a kernel message becomes a claimed fault), arena_linux.go and
// overlay_linux.go (how each kind of memory is made accessible), layers_linux.go (private memory that is
// armed with its contents), heap_linux.go (what is special about the Go heap), ring_linux.go (the record),
// signal_linux.go (the stack), toucher_linux.go (who touches a page of a file waits for its storage), follow_linux.go (where the resolver runs), surgeon_linux.go
// (changing mappings that other code owns), bus_linux.go (faults that come as signals and not as messages), segv_linux.go
// (files among them).
package engine
