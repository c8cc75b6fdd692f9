// Command firsttouch shows what the profiler can do, and whether it can do it here.
//
//	firsttouch doctor    what this kernel, user and container allow, and how to allow more
//	firsttouch demo      profiles a real service over a real memory-mapped database
//	firsttouch report    regions, callers, requests and times of a recording or a live agent
//	firsttouch diff      compares two: what only one touched, and the code that grew
//	firsttouch heatmap   draws which places of a region were touched when
//	firsttouch pprof     makes a profile for go tool pprof
//	firsttouch convert   writes OTLP JSON or trace events
//	firsttouch top       watches a live agent
//	firsttouch advise    gives the kernel advice about memory of a live agent, and shows what changes
//	firsttouch dump      what the profiler of a live agent is doing, for a service that hangs
//	firsttouch serve     shows a recording in the browser
//	firsttouch version   version or commit, Go and kernel
//
// Flags may be written with one dash or two.
//
// # Exit status
//
//	0    done; for doctor: the profiler works here
//	1    something failed; the message says what to do
//	2    a command, flag or argument that cannot be used
//	3    the kernel, the user or the container does not allow the profiler to run
//	4    done, with the part of a recording that could be read: the rest is cut off or damaged
//	     or a limit of diff -fail-if of which nobody can tell whether it was kept
//	5    a limit of diff -fail-if was not kept
//	130  interrupted
package main
