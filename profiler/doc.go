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
// The owner of an attached mapping may unmap it, map it again, change its protection and move pieces of
// it with mremap. An mremap of a piece that was touched in part fails with EFAULT, as it does for any
// range of several mappings, and callers fall back to a new mapping. One that only moves
// (MREMAP_FIXED, the same length) is carried out in part since Linux 6.17, up to the first page that
// was not touched, and then fails (mremap(2)): close the region first.
//
// After a change of user or of capabilities the engine's threads keep what they had: the C library
// and Go's syscall.Setuid do not know them. Start the profiler after the change.
//
// The faults of a child process that was forked without exec are not observed; its placeholders are
// absent, so that it crashes rather than reads zeros. Go programs always exec.
package profiler
