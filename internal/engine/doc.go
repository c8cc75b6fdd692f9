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
// signal_linux.go (the stack, which internal/stacktab keeps), toucher_linux.go (who touches a page of a file waits for its storage),
// follow_linux.go (where the resolver runs), surgeon_linux.go (changing mappings that other code owns; internal/procmaps
// reads the kernel's list of them), bus_linux.go (faults that come as signals and not as messages), segv_linux.go
// (files among them), dump_unsafe_linux.go (what all of this is doing, for a service that hangs).
//
// # Glossary
//
//	abandoned    a record whose handler was given up: its thread did not answer in time
//	alias        a second mapping of a file's range, from which a placeholder's pages are put back
//	arm          make memory inaccessible, so that its next touch is a fault
//	busy         of a worker: it answers a fault now; standing: it has not moved for long
//	claim        mark a granule as faulting, and take a place in the ring for its record
//	clerk        the worker that makes system calls for Go code, on the engine's own descriptors
//	command      what the surgeon is to do: one operation on one target, or on several
//	culprit      the thread for which the other threads cannot be stopped
//	disk thread  the worker that does what a reader must not wait for
//	follower     the reader that runs on the CPU of a thread that faults in quick succession
//	frozen       of a target: the surgeon works on it, and its messages are left until it has ended
//	generation   how often the ring has come round; a late signal cannot write into the next record of its place
//	granule      the pages that one fault makes accessible; its state says whether it is armed, open or claimed
//	handler      our code in a thread of the application, on its signal stack
//	keeper       the reader that reads messages while nothing special is going on
//	layers       old and young: where the pages of private memory are while it is armed with its contents
//	park         keep a thread in the handler, so that nobody touches a mapping that is being changed
//	placeholder  the registered empty memory that covers a mapping of a file
//	reader       keeper or follower; resolver: whichever thread makes a granule accessible
//	record       one fault, in the ring until the fold loop takes it
//	shadow       where the page tables of private memory are taken when it is armed with its contents
//	source       where a page came from: zero, page cache, disk, memory
//	stray        a fault in registered memory that no target covers: the owner moved or grew it
//	surgeon      the worker that changes mappings which other code owns
//	target       one armed range of addresses; a region of package profiler has one or more
//	toucher      the thread of the application that met the fault
//	watchdog     the worker that does what another one should have done
//	worker       one of the engine's threads, none of which has a g
package engine
