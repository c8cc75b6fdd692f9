// Package profiler observes the first touch of every page of chosen memory of its own process.
//
// A Profiler has regions: arenas that it makes (NewArena), files that it maps (MapFile), and file
// mappings that other code made (AttachFile). When a thread touches a granule of a region for the
// first time since it was armed, the kernel stops it, the engine records who touched what, when and
// from where, makes the memory accessible, and lets the thread go on. Later touches cost nothing.
// Snapshot returns what was seen.
//
// # What is exact
//
// Every first touch is counted once, in the order in which the engine took them from the kernel.
// Records that did not fit the ring, stacks that could not be taken and granules that were opened
// together with a neighbour are counted in Stats and RegionStats, so that
// Stats.Faults = Stats.Records + Stats.Dropped.
//
// # Caveats
//
// Stall is measured from when the engine sees a fault; the time for which the kernel queued it
// before cannot be seen.
//
// One Profiler runs in a process at a time. It needs userfaultfd(2): as root, with CAP_SYS_PTRACE,
// through /dev/userfaultfd, or with vm.unprivileged_userfaultfd=1. Without any of them it serves user
// mode only: a system call that is given memory not yet touched fails with EFAULT
// (Stats.UserModeOnly), so copy before you write.
//
// A region must hold no Go pointers: the garbage collector does not look there.
//
// The owner of an attached mapping may unmap it, map it again and change its protection. An mremap of
// the whole of it fails with EFAULT while parts of it were not yet touched, as it does for any range
// of several mappings, and callers fall back to a new mapping. An mremap of a part of it, or of a mapping of a
// single page, is not followed beyond the region's end: close the region first.
//
// After a change of user or of capabilities the engine's threads keep what they had: the C library
// and Go's syscall.Setuid do not know them. Start the profiler after the change.
//
// The faults of a child process that was forked without exec are not observed; its placeholders are
// absent, so that it crashes rather than reads zeros. Go programs always exec.
package profiler
