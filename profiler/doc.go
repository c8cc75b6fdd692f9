// Package profiler observes the first touch of every page of chosen memory of its own process.
//
// A Profiler has regions: arenas that it makes (NewArena), files that it maps (MapFile), file mappings
// that other code made (AttachFile), and memory that exists already (AttachMemory). When a thread
// touches a granule of a region for the first time since it was armed, the kernel stops it, the engine
// records who touched what, when and from where, makes the memory accessible, and lets the thread go on.
// Later touches cost nothing. Snapshot returns what was seen; Windows divides it into working sets.
//
// # What can be observed
//
// Mappings answers this for each mapping of the process. "Again" is arming with the contents (Rearm),
// "writes" is WithWritesOnly.
//
//	memory                                   first touches by           again  writes
//	arena                                    NewArena                   6.8    6.4
//	private memory: caches, C heaps          AttachMemory               6.8    6.4
//	memfd, tmpfs, MAP_SHARED without a file  AttachFile, AttachMemory   yes    6.4
//	tmpfs, open for reading only             AttachFile, MapFile        yes    no
//	huge pages, shared                       AttachFile, AttachMemory   yes    6.4
//	huge pages, private                      no: they cannot be moved   no     6.4
//	file on a disk, MAP_SHARED               AttachFile, MapFile        yes    no
//	any file, MAP_PRIVATE                    no: modified pages are in no file
//	System V shared memory                   no: userfaultfd refuses it
//	Go's heap and stacks, a share of them    AttachGoHeap               6.8    no
//	memory of devices, the kernel's own      no
//
// The numbers are Linux versions; what has none works on every kernel that the profiler starts on.
// A file descriptor names a memfd: AttachFile("/proc/self/fd/7"). Of files on a disk the kernel tells that pages were
// written, but not when or by whom: writes alone are not offered there.
//
// Of shared memory, what other processes touch is not seen. Its holes come from SourceZero, what was swapped
// out from SourceDisk. A granule of it that was touched stays so until it is armed, also where its owner
// discards pages or the kernel takes them; and huge pages of tmpfs are mapped page by page once they are armed.
//
// # Memory that is locked
//
// A process may lock its memory with mlock or mlockall, before the profiler starts or at any time later. Contents and
// locks stay right. What is locked as a whole is all there, so there is no first touch: attaching and arming it again is
// ErrLocked. Its writes can be observed (WithWritesOnly). A file that is locked on fault (MLOCK_ONFAULT, MCL_ONFAULT) is observed; meanwhile it
// counts twice in RLIMIT_MEMLOCK, since a second mapping holds what was touched. An arena of a process that locks its
// new memory (MCL_FUTURE) is locked page by page as it is touched, and is not armed again. New is ErrLocked where
// RLIMIT_MEMLOCK then has no room for 64 MiB more, since the Go runtime would end the process.
//
// Locking what is armed is a touch of all of it: mlock waits until the engine has answered each page. Where faults of
// system calls are not served it locks without touching: mlock then answers ENOMEM, mlockall nothing, and each page is in memory, and
// locked, from its first touch on.
//
// # What is exact
//
// Every first touch is counted once, in the order in which the engine took them from the kernel.
// Records that did not fit the ring, stacks that could not be taken and granules that were opened
// together with a neighbour are counted in Stats and RegionStats, so that
// Stats.Faults = Stats.Records + Stats.Dropped.
//
// Whose fault it was: the thread is the kernel's own word. Its goroutine is read, and its stack taken,
// while it waits. But Go can preempt a goroutine that waits for a page, by a signal that ends the wait,
// and the thread may run another one. The kernel then forgets a fault that was not yet read, and the
// goroutine faults again where it goes on. Three moments are left, each of some hundred nanoseconds
// unless the system takes the processor from the engine in it. A goroutine that is preempted between the
// reading of its fault and the look at its thread is taken for the one that the thread runs then; when
// that is none, the fault is left to come again, and so it is when the thread is seen to run another one
// right before the signal for its stack. One that is preempted between this second look and that signal
// has no stack, which StacksMissed counts: it cannot be had later, because the page is
// there when the goroutine goes on. And for the first fault of a thread in a quarter of a second only the
// signal can tell the goroutine. With forced garbage collections without a pause, 16 goroutines and
// GOMAXPROCS=8 on two processors, 2 in 10,000 faults were taken for another goroutine's, and 1 in 10,000
// missed its stack (TestGoroutinesUnderPreemption, TestNothingElseInTheProcessMakesItHang).
//
// # Caveats
//
// Stall is measured from when the engine sees a fault; the time for which the kernel queued it
// before cannot be seen. It ends when the engine looks at the clock after its last system call for the
// granule. A thread whose wait a signal interrupts, that for its stack or one of Go's, can find the
// granule accessible some microseconds before.
//
// The thread that touches a page of a file on a disk waits for the storage itself, in the engine's signal handler, and looks at the
// clock when it has the page: its goroutine keeps its P, as in a fault that nobody observes. Fault.Wait says how the stall is known.
// A thread that blocks the engine's signal, as threads of C may, or that ends, cannot tell, and where Go has run another goroutine on
// the thread nobody waits there: such a stall is unknown. In a system call it ends when the call has returned at the latest. What the file system
// takes before a page may be written to (page_mkwrite, dirty throttling) comes after that, and is in no stall.
// A read that takes longer than 250 ms is recorded when it is over, so with a lower Seq than the fault before it.
//
// One Profiler runs in a process at a time. It needs userfaultfd(2): as root, with CAP_SYS_PTRACE,
// through /dev/userfaultfd, or with vm.unprivileged_userfaultfd=1. Without any of them the kernel serves user
// mode only: a system call that is given memory not yet touched would fail with EFAULT. New answers ErrUserModeOnly
// there, unless WithFailingSystemCalls allows it (Stats.UserModeOnly): then copy before you write.
//
// With WithDelivery(DeliverySignal) a fault costs a fraction, and system calls are not served: see
// DeliverySignal. The engine then sees arenas and files on disk only. A thread whose C code has no
// alternate signal stack runs the handler on its own stack, which takes some 6 KiB. The time of a fault's
// signal, before the handler and after it, is in neither Stall nor Overhead.
//
// A region other than the Go heap must hold no Go pointers: the garbage collector does not look there.
//
// While the Go heap is attached, every fault of every region costs a signal, since the engine cannot read
// whose it is; the thread that faults says it. A goroutine that is preempted before that is taken for the one
// that the thread runs then, or in the heap for the runtime. The profiler's own data lies in the heap too: what
// it touches is seen, as ActorProfiler. So does the walk along a stack: pages of a goroutine's stack that it
// reads count for the profiler, and not for the program when that comes to them later in the window. The
// classes of size from which the runtime allocates are not known: Go 1.23 and later do not let other
// packages see the table of spans.
//
// The owner of an attached mapping may unmap it, map it again, change its protection and move pieces of
// it with mremap. An mremap of a piece that was touched in part fails with EFAULT, as it does for any
// range of several mappings, and callers fall back to a new mapping. One that only moves
// (MREMAP_FIXED, the same length) is carried out in part since Linux 6.17, up to the first page that
// was not touched, and then fails (mremap(2)): close the region first.
//
// A new mapping that its owner puts where one lay before, of the same part of the file, is taken for
// that one if all of it had been touched: what is touched there again is not observed until the region
// is armed again.
//
// After a change of user or of capabilities the engine's threads keep what they had: the C library
// and Go's syscall.Setuid do not know them. Start the profiler after the change.
//
// The faults of a child process that was forked without exec are not observed; its placeholders are
// absent, so that it crashes rather than reads zeros. Go programs always exec.
package profiler
