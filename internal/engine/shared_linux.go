//go:build linux && (amd64 || arm64)

package engine

import (
	"github.com/firsttouch/firsttouch/internal/spantab"
	"github.com/firsttouch/firsttouch/internal/stacktab"
)

// shared is everything that the hot path reads and writes. One exists while an engine runs.
type shared struct {
	// Set before the first thread starts.
	ring     uintptr // records
	ringMask uint64
	ringBits uint64
	blocked  uintptr // see blockedOf
	stacks   stacktab.Table
	threads  uintptr // what is known of each thread of the process
	spans    spantab.Table
	queue    uintptr // faults that have to wait for a disk
	zeros    uintptr // source of zero pages
	identity uintptr // see sameMapping

	targets  uintptr // all targets, by number
	text     uintptr // the surgeon's buffer for /proc/self/maps
	list     uintptr // the clerk's
	own      uintptr // thread ids of the workers
	mapsFD   uint32
	taskFD   uint32 // /proc/self/task
	pageSize uintptr
	pid      uintptr
	handler  uintptr // our handler of the signal, sigtramp
	textLo   uintptr
	textHi   uintptr
	// preemptPC is where a thread stands that Go's preemption signal interrupted at the same instruction and that has
	// just returned from its handler, since lower signals are delivered first (doSigPreempt, runtime/signal_unix.go). 0
	// when unknown: then a stack has that function at its end.
	preemptPC  uintptr
	goidOff    uintptr // offset of the goroutine id in g, 0 when unknown
	parentOff  uintptr // offset of the parent's id in g, 0 when unknown
	machineOff uintptr // offset of the m in g
	threadOff  uintptr // offset of the thread id in m, 0 when unknown
	arenaFD    uint32
	overlayFD  uint32
	layersFD   uint32          // what pages are moved to and from, see memory_linux.go
	pagemapFD  uint32          // /proc/self/pagemap
	smapsFD    uint32          // /proc/self/smaps
	harmless   [8]uint64       // system calls that change no mapping, a bit each by number
	stopFD     uint32          // eventfd that ends the resolvers' poll
	keep       [keepLen]uint32 // all of these, ascending
	mostMaps   uint64          // vm.max_map_count
	maxMaps    uint64          // that less a margin
	reserve    uint64          // where mappings begin that can be given up when the process runs out of them
	reserveEnd uint64
	reserveLen uintptr
	frames     bool // see GoRuntime
	tlsOff     uintptr
	stackEvery uint32
	stackRate  uint32
	signals    bool // faults come as SIGBUS and SIGSEGV, see bus_linux.go
	without    bool // there are no userfaultfds: all faults come as SIGSEGV

	// Changed while running.
	table       uint64 // *table
	signal      uint64 // that asks threads; 0 while there is none
	looked      uint64 // when its handler was looked at last
	stop        uint32
	heaps       uint32 // targets in the Go heap: while there is one, the engine's threads read no g
	reading     uint32 // lock of who reads arenaFD or moves pages home
	mode        uint32 // who reads: modeKeeper or modeFollower
	head, tail  uint64 // of the ring
	dropped     uint64
	messages    uint64 // signals, which are no worker's
	questions   uint64 // see registered
	strays      uint64 // messages for memory that no target covers
	events      uint64 // messages that are not faults
	maps        uint64 // estimate of the process's mappings, an int64
	stackN      uint64 // stack requests considered
	rateStart   int64
	rateLeft    uint32
	missed      uint32             // stacks that did not come, for the reasons that follow and where the goroutine had left its thread
	unsent      uint64             // errno of the last signal that could not be sent to ask for a stack, or 0
	abandoned   uint64             // records whose thread did not answer in time
	late        uint64             // signals that came after their record was given up
	handlerNS   uint64             // processor time of the signal handlers, see beginHandling
	handled     uint32             // handlers that were begun
	errors      uint64             // resolves that failed
	lastErr     uint64             // errno of the last one
	refused     uint64             // those for which the kernel refused what gives a page back
	barred      [callNumber]uint64 // errno of each call that was refused, see barred_linux.go
	failed      uint64             // errno for which everything was made plain memory, or 0
	muted       uint64             // errno for which nobody can be woken by ioctl, or 0, see rescue_linux.go
	bound       uint32             // it was UFFDIO_UNREGISTER that was refused first
	rescuing    uint32             // the surgeon makes everything plain memory for that
	over        uint32             // that is done, see overThreads
	overSince   uint64             // when the process had closed its own
	exposed     [exposedUserfaultfds]exposedID
	refiled     uint64 // pieces of files that were mapped by their path
	identifying uint32 // lock of identity
	waited      uint64 // when a thread of the engine last had to wait for a call that was refused
	relieved    uint64 // times that the watchdog did what another thread of the engine should have done
	stood       uint64 // those times of relieved for which storage is no excuse
	slowest     uint64 // ns, see blame; 0 below slowFault
	still       uint64 // ns for which the watchdog did not wake up, and so the process stood still
	asleep      uint64 // when the watchdog began to sleep
	widened     uint64
	unlocked    uint64 // errno of a lock that could not be had again, or 0
	locking     uint32 // some of the process's memory was seen to be locked

	stopped   uint64  // ns for which threads were parked
	stops     uint64  // times that they were
	slowUntil int64   // surgeon: until when it is looked which threads sleep, since they took long to stop
	unsought  uintptr // surgeon: errno for which /proc/self/maps could not be read from its start, or 0
	parkRound uint32  // surgeon: the round that threads are to park in, 0 is none
	rounds    uint32

	queueHead, queueTail uint64
	queueBell            uint32
	queueSleep           uint32

	place          placement
	moving         moving
	followerWorker uintptr
	workers        [maxWorkers]uintptr // by number, 0 behind the last one

	procs                           uint32 // how many Ps there are, 0 is unknown; this and what follows: see hold
	heldFrom                        int64
	held, heldSum, heldAny, heldAll uint64

	homing     uint32 // signal handlers that move pages home, see enterHome
	busWaiting uint32 // threads in await
	busBell    uint32
	cmd        command
	errand     errand
}

// worker is what one thread of the engine owns: scratch memory for system calls, and what others
// may read of it.
type worker struct {
	code     uintptr       // what the thread runs first; threadEntry reads it
	body     func(uintptr) // and then, with its own descriptors
	shared   uintptr
	scratch  uintptr // a page of its own, empty but for moments
	number   uint64
	busy     uint32 // answers a message or does a job: may hold targets of the current table
	apart    uint32 // apartOK once the thread has its own descriptors, or why not
	progress uint64 // messages answered, or jobs done
	messages uint64 // that it has read
	reads    uint32 // it reads messages, so it may wait for nothing that needs a message to be read
	watches  uint32 // it is the watchdog, and may not wait for storage
	standing uint32 // as the watchdog sees it, it has not moved for long
	relieved uint64 // when the watchdog resolved the fault in its place, or 0
	storing  uint32 // it waits for storage
	now      fault  // the message being answered
	due      due    // what drained is to wake
	carry    carry  // the memory being moved
	ask      ask    // what is asked of the kernel
	lock     lockPiece
	rescuing rescuing
	idLines  [3]mapLine
	closed   uint32  // it has closed its descriptors
	refused  uintptr // errno of an ioctl, see silenced
	looks    looks   // the watchdog's
	readErr  uintptr // errno of the last read that brought no message
	fillErr  uintptr // errno of a fill that the kernel refused for good
	lastTID  uint32
	runs     uint32 // faults in a row, without a pause
	lastTime int64
	args     [16]uint64
	siginfo  [16]uint64
	bus      busFault
	poll     [4]uint64
	vec      [512]byte
	buf      [msgSize]byte
}

// ask is a question of asked, and its answer: what is told across deep.
type ask struct {
	fd           uint32
	addr, length uintptr
	answer       int

	// See askOne.
	what, left int
	tid, round uint32
	thread     uintptr
	pending    uint64
	file       taskFile
	read       bool
}

// lockPiece is memory that is to be locked or not: what is told across deep.
type lockPiece struct {
	addr, length uintptr
	locked       bool
}

// carry is memory that is to be moved: what is told across deep.
type carry struct {
	target           uintptr
	src, dst, length uintptr
	flags            uint64
	fd               uintptr
	call             uintptr
	moved, ok        bool
	source           uint8
}

// due is a range of a descriptor whose waiting threads are to be woken; none where its length is 0. addr and length are
// struct uffdio_range.
type due struct {
	fd           uint32
	addr, length uintptr
}

// fault is a message and, once it is claimed, what is to be resolved.
type fault struct {
	addr      uintptr
	flags     uint64
	fd        uint32
	tid       uint32
	message   uintptr // struct uffd_msg
	time      int64   // when it was claimed
	goid      uint64  // of the goroutine that touched, and of the one that started it
	parent    uint64
	known     bool // these two are
	target    uintptr
	g         uintptr
	seq       uint64 // of the record, plus 1; 0 when it was dropped
	moved     piece  // for a disk thread: what to bring back instead
	left      bool   // restore left it to a disk thread
	partial   bool   // only the touched page was restored
	gone      bool   // the page is not ours: the kernel refused to fill it
	before    uint32 // state of the granule when it was claimed
	retracted bool   // the claim was: the goroutine has left the thread, see absent
	source    uint8
	waited    int64  // ns for storage
	clock     int64  // see beginHandling
	still     uint64 // shared.still when time was taken
	filling   int64  // when the fill of one page began, for a thread that was asked for its stack; 0 otherwise
}

const (
	maxWorkers = 16
	msgSize    = 32 // struct uffd_msg, include/uapi/linux/userfaultfd.h
)

// sh is the running engine's shared memory, or 0. The signal handler, which stays installed for
// the life of the process, has no other way to find it.
var sh uint64
