//go:build linux && (amd64 || arm64)

package hazards

import (
	"slices"

	"github.com/firsttouch/firsttouch/internal/testproc"
)

// hazard is a row of the matrix.
type hazard struct {
	name string
	pkg  string // of the module
	test string
	kase string // of package profiler's inChild: which of the test's cases
	want string
}

// deliveries are ways for a fault to reach the engine, with the environment that has a test use them.
var deliveries = []struct {
	name string
	env  []string
}{
	{"thread", []string{testproc.DeliveryEnv + "=thread", "FIRSTTOUCH_DELIVERY=thread"}},
	{"signal", []string{testproc.DeliveryEnv + "=signal", "FIRSTTOUCH_DELIVERY=signal"}},
}

const toucherResolves = "each fault is resolved by the thread that makes it: nobody waits for a thread of the engine"

const nothingArmed = "nothing is armed: reading ahead does not touch memory"

const bothDeliveries = "the test chooses the delivery itself"

// threadOnly says why a hazard is of delivery by thread only; empty where it is not.
func (h hazard) threadOnly() string {
	if h.test == "TestAccessTaken" || h.test == "TestAccessTakenFromMemory" || h.test == "TestNoUserfaultfd" || h.test == "TestObserveHazards" {
		return bothDeliveries
	}
	return threadOnly[h.name]
}

var threadOnly = map[string]string{
	"a thread that blocks all signals for ever":                                            "delivery by signal does not start where a thread blocks SIGBUS or SIGSEGV",
	"the Go heap is locked":                                                                "delivery by signal does not observe the Go heap",
	"memory is wanted back while locked memory is armed":                                   "delivery by signal leaves memory in its place, and refuses what is locked",
	"owner moves private memory with mremap":                                               "by signal an mremap of what was touched in part fails, as for any range of several mappings; see the rows of private memory by SIGSEGV",
	"pages pinned by io_uring":                                                             "delivery by signal leaves all pages in their place",
	"a part of an armed file is locked (mlock)":                                            bothDeliveries,
	"ioctl refused as a whole, with and without other calls, by a filter that comes later": bothDeliveries,
	"the same while a thread blocks all signals, while the Go heap is armed, and where a file cannot be had again": bothDeliveries,
	"signals refused: rt_tgsigqueueinfo, RLIMIT_SIGPENDING":                                                        "no thread is asked for its stack by signal: the one that faults takes it itself",
	"POSIX record locks of the process on files that are read ahead":                                               nothingArmed,
	"connections that are closed while files are read ahead":                                                       nothingArmed,
	"the garbage collector begins on the thread that reads ahead":                                                  nothingArmed,
	"storage does not answer while files are read ahead":                                                           nothingArmed,
	"the keeper stands still": toucherResolves,
	"owner calls mincore, MADV_REMOVE, or grows by mremap, of a covered file":             bothDeliveries,
	"owner calls mincore, MADV_REMOVE, mlock or MADV_POPULATE_READ, of a file by SIGSEGV": bothDeliveries,
	"fuse: a restore is refused":                                                 "files by signal are not moved, and a refusal to give access is the case \"refused later\"",
	"fuse: messages cannot be read":                                              "there are no messages of faults",
	"fuse: a thread of the engine is killed":                                     toucherResolves,
	"fuse: threads of the engine stand still":                                    toucherResolves,
	"fuse: the engine's signal is taken over":                                    bothDeliveries,
	"fuse: SIGBUS is taken over":                                                 bothDeliveries,
	"all readers stand still":                                                    toucherResolves,
	"all disk threads stand still":                                               toucherResolves,
	"no privileges: user mode only, and it is not allowed":                       "delivery by signal allows it",
	"no privileges: user mode only, allowed, under the agent":                    bothDeliveries,
	"system calls on memory not yet touched":                                     bothDeliveries,
	"delivery by signal and system calls":                                        bothDeliveries,
	"writable shared mappings that a pattern finds, where system calls can fail": bothDeliveries,
	"a mutex of C in a file that is armed again and again (futex(2))":            bothDeliveries,
}

var processors = []int{1, 2, 8}

const (
	exact = "every page faults once and is counted once, contents intact, nobody waits for ever"
	same  = "as without the profiler"
	off   = "the agent takes itself off and says why: plain memory, contents intact, nothing armed again, what was seen stays readable"
)

var hazards = slices.Concat([]hazard{
	// Garbage collection while a fault is pending, by what is touching.
	{"collection during a load", "profiler", "TestNoWayOfTouchingHangs", "load/8", exact},
	{"collection during copy", "profiler", "TestNoWayOfTouchingHangs", "copy/8", exact},
	{"collection during a comparison of strings", "profiler", "TestNoWayOfTouchingHangs", "compare/8", exact},
	{"collection during clear", "profiler", "TestNoWayOfTouchingHangs", "clear/8", exact},
	{"collection during write(2) from the page", "profiler", "TestNoWayOfTouchingHangs", "write(2)/8", exact},
	{"collection during read(2) into the page", "profiler", "TestNoWayOfTouchingHangs", "read(2)/8", exact},
	{"a goroutine as resolver: the same tests can fail", "profiler", "TestGoroutineAsResolverHangs", "", "the goroutine hangs, the engine does not"},

	// Goroutines and threads.
	{"a goroutine for each page", "profiler", "TestNoCrewHangs", "goroutine churn", exact},
	{"stacks that grow and shrink", "profiler", "TestNoCrewHangs", "deep stacks", exact},
	{"threads that end", "profiler", "TestNoCrewHangs", "threads that exit", exact},
	{"64 goroutines on one page", "profiler", "TestNoCrewHangs", "64 goroutines on one page", exact},
	{"2,000 goroutines on one page, also in system calls", "profiler", "TestNoCrewHangs", "2,000 goroutines on one page", exact},
	{"goroutines preempted at the fault", "profiler", "TestStacksUnderPreemption", "", "never another goroutine's stack; what is missed is counted"},
	{"a thread that blocks all signals for ever", "profiler", "TestThreadsAndSignalsOfOthers", "blocks", "an error names it at once, nobody is stopped, memory is as it was; done when it is gone"},
	{"a thread that blocks all signals later", "profiler", "TestThreadsAndSignalsOfOthers", "blocks later", "memory stays served, an error and a note name the thread; given back when it is gone"},
	{"threads of the kernel: io_uring's workers", "profiler", "TestThreadsAndSignalsOfOthers", "kernel", exact + "; they are not in the way"},
	{"a thread in read(2) from slow storage for 300 ms", "profiler", "TestRearmWhileStorageIsSlow", "", exact + "; it is not in the way"},
	{"two goroutines at pages that take 300 ms, two Ps", "profiler", "TestWaitForStorageHoldsTheP", "", "a third one is late by as much as in a plain mapping"},
	{"storage that does not answer: windows, other faults, processes", "profiler", "TestStorageThatDoesNotAnswer", "read ends first", exact + "; the one thread waits, and nothing else does"},
	{"storage that does not answer: the region is closed", "profiler", "TestStorageThatDoesNotAnswer", "region ends first", exact + "; the one thread waits, and nothing else does"},
	{"storage that does not answer: the profiler is closed, another one started", "profiler", "TestStorageThatDoesNotAnswer", "profiler ends first", exact + "; the one thread waits, and nothing else does"},
	{"a thread in vfork for 300 ms", "profiler", "TestThreadsAndSignalsOfOthers", "vfork", exact + "; it is waited for, and nobody is stopped meanwhile"},
	{"the signal is taken by a handler of C", "profiler", "TestThreadsAndSignalsOfOthers", "handler", exact + "; it gets none of ours, is named, and another signal is used"},
	{"the signal is taken by a handler that passes on", "profiler", "TestThreadsAndSignalsOfOthers", "handler that passes on", exact + "; it gets none of ours, is named, and another signal is used"},
	{"the signal gets its default action", "profiler", "TestThreadsAndSignalsOfOthers", "default", exact + "; the process lives, and another signal is used"},
	{"the signal is ignored", "profiler", "TestThreadsAndSignalsOfOthers", "ignored", exact + "; another signal is used"},
	{"the signal that the user has chosen is taken", "profiler", "TestThreadsAndSignalsOfOthers", "handler of the chosen", "memory stays served with the reason until the signal is given back"},
	{"the signal that the user has chosen gets its default action", "profiler", "TestThreadsAndSignalsOfOthers", "default of the chosen", "memory stays served with the reason until the signal is given back"},
	{"signal.Ignore of all signals, after the start", "profiler", "TestThreadsAndSignalsOfOthers", "ignored by os/signal", exact + "; another signal is used"},
	{"signal.Reset of all signals, after the start", "profiler", "TestThreadsAndSignalsOfOthers", "reset by os/signal", exact},
	{"signal.Notify of all signals, before the start", "profiler", "TestThreadsAndSignalsOfOthers", "notified", "the program gets what others send of the signal, and none of ours"},
	{"threads of C with signals blocked, and a plugin", "e2e/hazards", "TestForeignThreads", "", exact + "; stacks that cannot be had are counted"},

	// What else goes on in the process and on the machine.
	{"CPU profile (SIGPROF)", "profiler", "TestNothingElseInTheProcessMakesItHang", "cpu profile", exact + "; the profile is made"},
	{"runtime/trace", "profiler", "TestNothingElseInTheProcessMakesItHang", "execution trace", exact + "; the trace is made"},
	{"all signals notified", "profiler", "TestNothingElseInTheProcessMakesItHang", "all signals notified", exact + "; the program sees its signals and not the engine's"},
	{"all signals ignored", "profiler", "TestNothingElseInTheProcessMakesItHang", "signals ignored", exact},
	{"signals to every thread, as fast as can be", "profiler", "TestNothingElseInTheProcessMakesItHang", "signal storm", exact},
	{"GOMAXPROCS changes all the time", "profiler", "TestNothingElseInTheProcessMakesItHang", "GOMAXPROCS changes", exact},
	{"profile, trace, signals and GOMAXPROCS at once", "profiler", "TestNothingElseInTheProcessMakesItHang", "profile, trace, signals and GOMAXPROCS at once", exact},
	{"every processor busy with other processes", "profiler", "TestNothingElseInTheProcessMakesItHang", "every processor busy", exact},
	{"SIGSTOP and SIGCONT", "profiler", "TestStoppedAndContinued", "all", exact},
	{"another process reads armed memory, as debuggers do", "profiler", "TestAnotherProcessReads", "all", "what it holds, and one first touch; or an error, and none"},
	{"ptrace: a debugger stops all threads and detaches", "profiler", "TestDebuggerAttaches", "all", exact},

	// Processes.
	{"fork without shared memory (user namespace), and vfork", "profiler", "TestForkDoesNotHang", "fork/8", exact},
	{"processes that start, four at a time", "profiler", "TestNothingElseInTheProcessMakesItHang", "processes that start", exact},
	{"fork while memory is armed again", "profiler", "TestRearmWhileForking", "", exact},
	{"a huge page that children have shared", "profiler", "TestAttachHugePageSharedWithChildren", "all", exact + "; afterwards children have it again"},
	{"pages shared with a child", "profiler", "TestAttachPagesSharedWithAChild", "all", exact},
	{"os.Exit in a storm", "profiler", "TestEndsInAStorm", "exit", same},
	{"panic in a storm", "profiler", "TestEndsInAStorm", "panic", same + ", with the stacks printed"},
	{"SIGQUIT in a storm", "profiler", "TestEndsInAStorm", "SIGQUIT", same + ", with the stacks printed"},
	{"SIGTERM in a storm", "profiler", "TestEndsInAStorm", "SIGTERM", same},
	{"SIGKILL in a storm", "profiler", "TestEndsInAStorm", "SIGKILL", same},
	{"crash: panics, fatal errors, signals, and faults that are recovered", "profiler", "TestLastWords", "", same + ", with one line that names the profiler and the armed ranges where Go says why it ends"},
	{"exec in a storm", "profiler", "TestEndsInAStorm", "exec", same},
	{"killed in the middle of a transaction of bbolt", "internal/bbolttest", "TestKilledInTheMiddle", "", "the database is consistent"},

	// The owner of the memory.
	{"owner unmaps, somebody else maps there", "internal/bbolttest", "TestForeignMemoryAtTheSamePlace", "", "the other memory is left alone"},
	{"somebody else's memory within a granule", "internal/bbolttest", "TestGranuleWithForeignMemory", "", "the other memory is left alone"},
	{"owner calls mremap on a file mapping", "internal/bbolttest", "TestOwnerRemaps", "", "contents follow, or mremap fails as for any range of several mappings"},
	{"owner moves a piece", "internal/bbolttest", "TestMovedPieceIsNotLost", "", "contents follow"},
	{"owner moves private memory with mremap", "profiler", "TestOwnerMovesAttachedMemory", "all", "contents follow"},
	{"owner calls mprotect", "internal/bbolttest", "TestProtectionChanges", "", same},
	{"owner takes the protection away", "internal/bbolttest", "TestProtectionIsTakenAway", "", same},
	{"owner advises a mapping while it is observed", "internal/bbolttest", "TestAdviceGivenWhileAttachedSurvives", "", "the advice holds for all of it afterwards"},
	{"owner calls mincore, MADV_REMOVE, or grows by mremap, of a covered file", "profiler", "TestWhatOwnersCannotHave", "", "mincore tells of what was touched alone, the others fail, nothing is lost"},
	{"owner calls mincore, MADV_REMOVE, mlock or MADV_POPULATE_READ, of a file by SIGSEGV", "profiler", "TestWhatOwnersHaveBySignal", "", "as without the profiler, but that what would read in armed pages fails"},
	{"owner calls madvise", "internal/bbolttest", "TestAdviceWhileAttached", "", same},
	{"owner discards memory in a storm (MADV_DONTNEED)", "profiler", "TestDiscardInAStorm", "", "what was discarded reads as zeros, the rest is intact"},
	{"owner locks armed memory (mlock)", "profiler", "TestLockArmedMemory", "", exact},
	{"the process locks its memory (mlock, mlock2, mlockall), before, after and in between", "profiler", "TestLockedProcess", "", "observed and exact, or refused by an error that names the lock; contents intact, and what was locked stays locked"},
	{"locks that come and go in a storm", "profiler", "TestLocksInAStorm", "all", "contents intact, nobody waits for ever, armed again or refused"},
	{"RLIMIT_MEMLOCK of 8 MiB, and new memory is locked", "profiler", "TestLockedLimit", "", "a placeholder does not count; what has no room is refused by name"},
	{"a file that is locked on fault", "profiler", "TestLockedOnFaultIsHeld", "all", "what was touched stays in memory and locked, while it is armed and afterwards"},
	{"a part of an armed file is locked (mlock)", "profiler", "TestMlockOfAnArmedFile", "", "in memory and locked, until munlock; armed again and given back so"},
	{"memory is wanted back while locked memory is armed", "profiler", "TestLockedLayersAreNotSwapped", "", "what is locked is not swapped out, in a layer neither"},
	{"the Go heap is locked", "profiler", "TestLockedGoHeap", "all", "refused by name, or given back locked"},
	{"the kernel is asked to fill, move, merge or collapse armed memory", "profiler", "TestNothingFillsArmedMemory", "all", exact},
	{"pages pinned by io_uring", "profiler", "TestPinnedPagesAreLeft", "all", "they stay the pages that they are, and are counted"},
	{"arena closed under its readers", "profiler", "TestArenaClosedUnderItsReaders", "all", "they get the error of unmapped memory, and wait for nobody"},
	{"mappings come and go while others are looked for", "profiler", "TestRegionsComeWhileMappingsCome", "all", exact},
	{"looks at the mappings while faults arrive", "profiler", "TestRescansWhileFaultsArrive", "", exact},
	{"bbolt writes, grows and remaps", "internal/bbolttest", "TestBoltWriting", "", "what is read is what was written, the database is consistent"},
	{"two mappings of one file", "internal/bbolttest", "TestMappingsStayCoherent", "", "coherent with each other and with write(2)"},

	// Files.
	{"file truncated and extended", "internal/bbolttest", "TestTruncation", "", "SIGBUS for the same pages as a plain mapping"},
	{"I/O errors of the disk", "profiler", "TestDiskErrors", "all", "SIGBUS for the same pages as a plain mapping"},
	{"file unlinked", "internal/bbolttest", "TestUnlinkedFile", "", exact},
	{"file replaced", "internal/bbolttest", "TestFileIsReplaced", "", "the mapping is of the old one"},
	{"POSIX record locks of the process on files that are read ahead", "internal/touchorder", "TestRecordLocksStay", "", "they are kept"},
	{"connections that are closed while files are read ahead", "internal/touchorder", "TestConnectionsAreNotHeld", "", "the other end is told at once"},
	{"the garbage collector begins on the thread that reads ahead", "internal/touchorder", "TestSchedulerOnItsThread", "", "it finds what Go polls"},
	{"storage does not answer while files are read ahead", "internal/touchorder", "TestStorageThatDoesNotAnswer", "", "who waits is let go when its context ends"},
	{"POSIX record locks of the process", "internal/bbolttest", "TestRecordLocksSurvive", "", "they are kept"},
	{"all descriptors closed by the application", "profiler", "TestForeignCloseInAStorm", "all", exact},

	// What the system refuses.
	{"out of descriptors", "profiler", "TestOutOfDescriptors", "all", "New says so; later nothing is needed"},
	{"out of mappings (vm.max_map_count)", "profiler", "TestOutOfMappings", "all", "contents intact; granules opened with a neighbour are counted"},
	{"too little memory in the control group", "profiler", "TestLittleMemory", "all", exact},
	{"memory that is swapped out", "profiler", "TestSwappedMemory", "all", "every page is counted once in each window, contents intact"},
	{"no memory in the control group", "profiler", "TestNoMemory", "all", same + ": the kernel kills the process"},
	{"seccomp refuses userfaultfd", "profiler", "TestSystemRefuses", "", "New says what to change"},
	{"seccomp refuses, under the agent", "agent", "TestRefusedByTheSystem", "", "the service runs unprofiled, and the page says what to change"},
	{"seccomp refuses to fill an arena later", "profiler", "TestRefusedFillFailsOpen", "copy", "plain memory with its contents, reported"},
	{"seccomp refuses to register", "profiler", "TestRefusedRegistration", "register", "an error, memory as it was"},
	{"each system call of the engine refused, one by one", "profiler", "TestRefusedCalls", "", "touches go on, contents intact, an error or a note says what happened"},
	{"each system call that only the engine makes, EPERM and ENOSYS, from the start and later", "profiler", "TestEachCallRefused", "", "contents intact, nobody waits for ever; what does not work names the call"},
	{"all system calls that only the engine makes refused at once", "profiler", "TestAllCallsRefused", "", "New names all of them; later contents are intact, and what does not work names the call"},
	{"ioctl refused as a whole, with and without other calls, by a filter that comes later", "profiler", "TestNobodyCanBeWoken", "", "plain memory with its contents, reported; who waits goes on, in a system call too"},
	{"the same while a thread blocks all signals, while the Go heap is armed, and where a file cannot be had again", "profiler", "TestNobodyCanBeWokenAtBadTimes", "", "plain memory with its contents, reported; nobody sees zeros, and who waits for what cannot be had is told of in a note"},
	{"clock_gettime refused", "profiler", "TestClockRefused", "", exact},
	{"mremap refused before a file is attached", "profiler", "TestRemapRefusedBeforeAttaching", "", "an error and a note name it; nothing is silently left out"},
	{"signals refused: rt_tgsigqueueinfo, RLIMIT_SIGPENDING", "profiler", "TestSignalsRefused", "", "missing stacks have the reason as a note, and what needs threads to stop has it as an error"},
}, accessTaken(), accessTakenFromMemory(), []hazard{
	{"no userfaultfd at all (seccomp, and no device), as root and without privileges", "profiler", "TestNoUserfaultfd", "", "by signal files, arenas and private memory are " + exact + "; a nil dereference is Go's panic"},
	{"MADV_POPULATE_READ refused, late signals", "profiler", "TestLateSignalsWhereAskingIsRefused", "all", "no signal of the engine ends the program, and its own arrive"},
	{"/proc is absent, hidden in part, or of another PID namespace", "profiler", "TestStrangeProc", "", "New says what to mount; what hides others' processes and the system's settings changes nothing"},
	{"a seccomp profile recorded from a Go service", "agent", "TestRecordedProfile", "", "the service runs, and the agent says what is missing"},
	{"the seccomp profile of docs/deploy", "profiler", "TestDeploySeccomp", "", exact},
	{"no privileges: user mode only, and it is not allowed", "agent", "TestNothingIsArmedUnlessAllowed", "", same + ": nothing is armed, and the reason says what would fail and how to get full service"},
	{"no privileges: user mode only, allowed", "profiler", "TestUserModeOnly", "", "exact; system calls on memory not yet touched fail with EFAULT"},
	{"no privileges: user mode only, allowed, under the agent", "agent", "TestAllowedToFail", "", "the first note says which system calls fail"},
	{"system calls on memory not yet touched", "agent", "TestSystemCallsAreServed", "", "all of them work, and count"},
	{"delivery by signal and system calls", "agent", "TestDeliveryBySignalLetsSystemCallsFail", "", "the first note says which system calls fail"},
	{"writable shared mappings that a pattern finds, where system calls can fail", "agent", "TestWritableMappingsFoundByAPattern", "", "left alone, and given back when they become so"},
	{"a mutex of C in a file that is armed again and again (futex(2))", "e2e/hazards", "TestMutexInAFile", "", "it works: served, or the file is left alone; where its path is given and futex(2) is not served, the C library aborts the process"},

	{"a thread or the process dies that holds a robust mutex in armed memory", "e2e/hazards", "TestRobustMutexes", "", "the next one is told (EOWNERDEAD); the pages of such mutexes are touched when they are armed, and count"},

	// Its own life.
	{"the keeper stands still", "profiler", "TestStandingThreads", "keeper", exact + "; the watchdog answers, and a note says so"},
	{"the follower stands still", "profiler", "TestStandingThreads", "follower", exact},
	{"all readers stand still", "profiler", "TestStandingThreads", "keeper and follower", exact + "; the watchdog answers, and a note says so"},
	{"all disk threads stand still", "profiler", "TestStandingThreads", "disk threads", exact + "; nobody waits for them"},
	{"the watchdog stands still", "profiler", "TestStandingThreads", "watchdog", exact},
	{"fuse: threads are stopped all the time", "agent", "TestFuse", "threads are stopped all the time", off},
	{"fuse: a restore is refused", "agent", "TestFuse", "a restore is refused", off},
	{"fuse: a fill is refused", "agent", "TestFuse", "a fill is refused", off},
	{"fuse: messages cannot be read", "agent", "TestFuse", "messages cannot be read", off},
	{"fuse: a thread of the engine is killed", "agent", "TestFuse", "a thread of the engine is killed", off},
	{"fuse: the engine's signal is taken over", "agent", "TestFuse", "the signal is taken over", off},
	{"fuse: SIGBUS is taken over", "agent", "TestFuse", "SIGBUS is taken over", off},
	{"fuse: threads of the engine stand still", "agent", "TestFuse", "threads of the engine stand still", off},
	{"fuse: storage is slow", "agent", "TestFuseAndSlowStorage", "", "it does not blow: storage is not the profiler's doing"},
	{"switched off in a storm", "agent", "TestSwitchOff", "", off},
	{"switched off while an owner is busy", "agent", "TestOffIsTriedAgain", "", "what cannot be given back stays served and is tried again, which the reason says"},
	{"clients of the endpoint that read nothing", "agent", "TestClientsThatReadNothing", "", "they are cut off: others are answered, their answers take little memory, the regions are given back first, and Shutdown returns"},
	{"shut down with little time, or none, left", "agent", "TestShutdownWithinItsContext", "", "it returns within its context, and memory is given back"},
	{"a page of another site asks for a window", "agent", "TestPagesOfOtherSitesArmNothing", "", "refused, and nothing is armed"},
	{"every table of the profiler is full", "agent", "TestMemoryOfTheAgent", "", "64 MiB, 8 bytes a page observed and the ring at most; what is left out is counted"},
	{"agent started twice", "agent", "TestSecondAgentDoesNothing", "", "the second does nothing and says why"},
	{"stopped in a storm: region", "profiler", "TestCloseInAStorm", "region", "plain memory, one mapping as before, contents intact"},
	{"stopped in a storm: profiler", "profiler", "TestCloseInAStorm", "profiler", "plain memory, one mapping as before, contents intact"},
	{"stopped in a storm, by several at once", "profiler", "TestCloseInAStorm", "both at once, twice", "plain memory, one mapping as before, contents intact"},
	{"windows in a storm", "profiler", "TestRearmInAStorm", "all", exact + " in each window"},
	{"windows, looks, shares and Close at once, while files take each other's place", "profiler", "TestWindowsWhileFilesComeAndGo", "windows", "nobody waits for who waits for it; contents are the files'"},
	{"started and stopped again and again", "profiler", "TestCloseGivesEverythingBack", "all", "no thread, descriptor or mapping is left"},
	{"observed: threads, mappings and children come and go, buffers overflow", "profiler", "TestObserveHazards", "storm", "contents intact, nobody waits for ever; what is lost is counted"},
	{"observed: perf_event_open is refused", "profiler", "TestObserveHazards", "refused", "an error says why, and what would change it"},
	{"observed: calls are refused by a filter that comes later", "profiler", "TestObserveHazards", "refused later", "faults are seen as before; goroutines may be unknown, which a note says; no processor time is wasted"},
	{"observed: few descriptors", "profiler", "TestObserveHazards", "descriptors", "refused with the numbers; the process keeps half of them at least"},
	{"observed: the program closes all descriptors", "profiler", "TestObserveHazards", "closed behind it", "a note says that faults are missing; what the program opens then stays its own"},
	{"observed: no memory may be locked", "profiler", "TestObserveHazards", "locked memory", "smaller buffers, and then an error with the limits"},
	{"ring far too small", "profiler", "TestTinyRingInAStorm", "", "faults = records + dropped"},
})

// accessTaken are hazards of a file that delivery by signal arms by taking the access away, by each means.
func accessTaken() (list []hazard) {
	for _, c := range []struct{ kase, want string }{
		{"storm", exact + "; GC meanwhile, eight threads at each page"},
		{"rights", "the owner's mprotect stands: rights are never wider than the owner's, and what they do not allow is the program's own fault"},
		{"writes", exact},
		{"forked", "a child that is forked without exec reads what it should; its touches are not counted"},
		{"moved", "contents intact where the owner has moved the mapping"},
		{"discarded and punched", exact + "; MADV_DONTNEED and MADV_REMOVE are the owner's"},
		{"another mapping there", "what others map there without access stays so"},
		{"refused later", exact + "; a seccomp filter refuses what gives the access back"},
		{"locked in part", exact + "; some of it is locked while it is armed again, so the kernel refuses markers there, and the mappings are looked at meanwhile"},
	} {
		for _, means := range []string{"guard markers", "rights"} {
			list = append(list, hazard{"a file by SIGSEGV, armed by " + means + ": " + c.kase, "profiler", "TestAccessTaken", c.kase + "/" + means, c.want})
		}
	}
	return list
}

// accessTakenFromMemory are hazards of arenas and private memory that delivery by signal arms without a userfaultfd.
func accessTakenFromMemory() (list []hazard) {
	for _, c := range []struct{ kase, want string }{
		{"owner's rights", "the owner's mprotect stands: what it does not allow is the program's own fault"},
		{"forked", "a child that is forked without exec reads what it should; its touches are not counted"},
		{"discarded", exact},
		{"moved by its owner", "contents intact where the owner has moved the mapping"},
	} {
		for _, kind := range []string{"arena", "arena, armed again", "memory"} {
			if c.kase == "moved by its owner" && kind != "memory" {
				continue
			}
			list = append(list, hazard{kind + " by SIGSEGV, without userfaultfd: " + c.kase, "profiler", "TestAccessTakenFromMemory", c.kase + "/" + kind, c.want})
		}
	}
	return list
}
