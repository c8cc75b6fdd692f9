// Package perfevents reads the page faults of its own process from perf events (perf_event_open(2)): what the kernel
// counts anyway, with address, time, thread, registers and call chain. It arms nothing, stops nobody, and changes no
// mapping of the process but for its own ring buffers.
//
// Three software events count for each fault, in this order (arch/x86/mm/fault.c, arch/arm64/mm/fault.c,
// mm_account_fault in mm/memory.c): page-faults when the kernel begins with it, and page-faults-maj or page-faults-min when the
// page is there. So a fault here is a pair, and the time between is its wait.
//
// Events of a thread pass to the threads that it makes (inherit), but the kernel maps no buffer for an event that is inherited
// and not bound to a processor (perf_mmap in kernel/events/core.c: EINVAL). So there is one event a thread, kind and
// processor, and one buffer a processor.
package perfevents
