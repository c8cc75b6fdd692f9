// Package pprof turns a snapshot of first touches into profiles that go tool pprof opens.
//
// The profile by code (ByCode) has the code as its stacks: who touched memory first, how
// much of it, and how long that took. The profile by memory (ByAddress) has the
// memory as its stacks, from the region over its MiB and 64 KiB parts down to the granule, so that a
// flame graph draws the address space.
//
// Both have three values a sample:
//
//   - faults (count): first touches since the memory was armed, not accesses
//   - touched (bytes): distinct memory touched; a granule counts once, for its first toucher, so
//     that the samples of a region add up to its RegionStats.Touched
//   - stall (nanoseconds): time that threads waited, from when the engine saw the fault; -mean
//     divides it by faults
//
// Samples carry the labels region, access and source, and those of the Go heap actor: the program, the garbage collector, the
// runtime or the profiler. pprof's -tagfocus and -tagroot select and group by them.
//
//	go tool pprof -top -sample_index=stall profile.pb.gz
//	go tool pprof -http=: address.pb.gz
//
// # Caveats
//
// Where only a part of a region was observed, the values of its samples are scaled so that they stand for all of it, as viewers
// expect of a profile; the comments say so. Nothing else is scaled. Where only some stacks were taken, the rest of the faults stands under
// the frame [no stack taken]. Where the log of faults was full, what needs the log (span labels,
// pages, the first toucher of memory that was armed more than once) stands under [not in the log]
// or without the label, and the totals stay exact. Faults whose record was dropped are in no
// sample; the comments (-comments) count them, and state the window, the sampling and what was
// covered.
//
// Stacks are named with the symbols of this process, unless the snapshot was read from a recording,
// which has the names; then WithExecutables gives the program that they belong to.
package pprof
