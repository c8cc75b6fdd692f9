// Package agent is the one call that a service links to be profiled: configuration by options and
// FIRSTTOUCH_ variables, the profiler, its place in the service's traces, and an HTTP handler.
//
//	a, err := agent.Start(ctx)
//	if err != nil {
//		log.Print(err) // a setting that cannot be used; the agent then does nothing
//	}
//	defer a.Shutdown(context.Background())
//
// With nothing but FIRSTTOUCH_FILES=/var/lib/app/*.db in its environment such a service is profiled
// wherever it maps those files, and with FIRSTTOUCH_DEBUG_ADDR=:6070 it shows the result at
// http://127.0.0.1:6070/debug/firsttouch/. The agent listens on nothing unless told to.
//
// # Caveats
//
// Files are found by looking at the process's mappings every 100 ms (WithRescan): what is
// touched before a mapping is found stays unknown, and Start does not wait for the first look. Where that matters,
// call Agent.Look after the mappings were made and before they are touched.
//
// Without privileges the kernel serves faults of user mode only: a system call that is given profiled memory which
// was not touched before, such as a write(2) of bytes right out of a mapping, would fail with EFAULT. The agent does
// nothing there unless WithFailingSystemCalls allows it, and Reason says why and what to change. With it, or with
// delivery by signal, copy what a system call gets. The first of Notes, the page and the snapshot say whether this is so.
//
// The agent does not export traces itself, and links no exporter: the service's own reads the OTEL_
// variables, see SpanProcessor.
//
// What needs privileges, and the limits of what is seen, are in package profiler.
package agent
