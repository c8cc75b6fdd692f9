//go:build linux && (amd64 || arm64)

package calls

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/firsttouch/firsttouch/uffd"
	"golang.org/x/sys/unix"
)

// Call is one system call, or one command of ioctl(2) or madvise(2): filters can tell them apart.
type Call struct {
	// Name is as strace writes it, such as mremap or ioctl(UFFDIO_COPY).
	Name string
	// Loses is what cannot be done without it, as a clause.
	Loses string
	// Rare says when it is made, if a service may run for long without it.
	Rare string
	// Needed: the engine does not start without it.
	Needed bool

	number  uintptr
	command uintptr // of ioctl and madvise
	mute    bool    // cannot be asked for without its effect
	// ask makes the kernel answer without any effect: a null pointer, no descriptor, no memory.
	ask [6]uintptr
}

const (
	none    = ^uintptr(0) // no descriptor, no number
	crooked = 1           // no address of a page
	procmap = 0xc0686611  // PROCMAP_QUERY, include/uapi/linux/fs.h
)

func ioctl(name string, request uffd.Ioctl, needed bool, loses string) Call {
	return Call{Name: "ioctl(" + name + ")", Loses: loses, Needed: needed, number: unix.SYS_IOCTL, command: uintptr(request), ask: [6]uintptr{none, uintptr(request)}}
}

func madvise(name string, advice uintptr, needed bool, loses string) Call {
	return Call{Name: "madvise(" + name + ")", Loses: loses, Needed: needed, number: unix.SYS_MADVISE, command: advice, ask: [6]uintptr{0, 0, advice}}
}

func rare(when string, c Call) Call {
	c.Rare = when
	return c
}

// Mute reports whether the call cannot be asked for without its effect, so that a refusal shows only where it is made.
func (c *Call) Mute() bool { return c.mute }

// OnUserfaultfd reports whether the call is made on userfaultfds alone.
func (c *Call) OnUserfaultfd() bool { return strings.HasPrefix(c.Name, "ioctl(UFFDIO_") }

// list is in the order of SECURITY.md. userfaultfd(2), or the device's ioctl, is not in it: uffd.Open says which way
// is closed, and what opens it.
var list = append([]Call{
	ioctl("UFFDIO_API", uffd.IoctlAPI, true, "no memory can be observed"),
	ioctl("UFFDIO_REGISTER", uffd.IoctlRegister, true, "no memory can be observed"),
	ioctl("UFFDIO_UNREGISTER", uffd.IoctlUnregister, true, "memory cannot be given back"),
	ioctl("UFFDIO_WAKE", uffd.IoctlWake, true, "threads that wait for a page cannot be woken"),
	ioctl("UFFDIO_COPY", uffd.IoctlCopy, true, "first writes to arenas cannot be answered"),
	ioctl("UFFDIO_ZEROPAGE", uffd.IoctlZeropage, true, "first reads of arenas cannot be answered"),
	ioctl("UFFDIO_MOVE", uffd.IoctlMove, false, "private memory that holds something is brought back by mremap, page by page"),
	ioctl("UFFDIO_CONTINUE", uffd.IoctlContinue, false, "shared memory cannot be observed, and files cannot be armed again or given back page by page"),
	ioctl("UFFDIO_WRITEPROTECT", uffd.IoctlWriteProtect, false, "writes alone cannot be observed"),
	ioctl("PAGEMAP_SCAN", uffd.IoctlPagemapScan, false, "memory that holds something cannot be armed again"),
	ioctl("PROCMAP_QUERY", procmap, false, "granules of files are mapped anew one by one where the process has no mappings left; and with delivery by signal a mapping is probed by an access and a duplicate, which costs more"),
	madvise("MADV_DONTNEED", unix.MADV_DONTNEED, false, "pages cannot be dropped, so that shared memory cannot be armed"),
	rare("for private memory", madvise("MADV_DONTNEED_LOCKED", unix.MADV_DONTNEED_LOCKED, false, "what its owner discards while it is armed may come back")),
	madvise("MADV_COLD", unix.MADV_COLD, false, "it is not seen which memory is locked, so that what is observed of it does not stay locked; and pieces of huge pages that a child has shared are not observed any more after their next touch"),
	madvise("MADV_DONTFORK", unix.MADV_DONTFORK, true, "no memory can be observed, since a child that forks would read zeros there"),
	madvise("MADV_DOFORK", unix.MADV_DOFORK, false, "private memory that was given back is missing in children that fork"),
	madvise("MADV_NOHUGEPAGE", unix.MADV_NOHUGEPAGE, false, "files cannot be observed page by page"),
	madvise("MADV_DONTDUMP", unix.MADV_DONTDUMP, false, "files cannot be observed"),
	rare("for pages that are on the disk", madvise("MADV_WILLNEED", unix.MADV_WILLNEED, false, "granules are read from the disk page by page")),
	madvise("MADV_NORMAL", unix.MADV_NORMAL, false, "what its owner advises of a file's mapping while it is observed is gone when it is given back"),
	rare("where its owner has", madvise("MADV_RANDOM", unix.MADV_RANDOM, false, "what its owner advises of a file's mapping while it is observed is gone when it is given back")),
	rare("where its owner has", madvise("MADV_SEQUENTIAL", unix.MADV_SEQUENTIAL, false, "what its owner advises of a file's mapping while it is observed is gone when it is given back")),
	rare("where its owner has", madvise("MADV_HUGEPAGE", unix.MADV_HUGEPAGE, false, "what its owner advises of a file's mapping while it is observed is gone when it is given back")),
	madvise("MADV_POPULATE_READ", unix.MADV_POPULATE_READ, false, "pages of files fault once more after their first touch, which is not counted"),
	madvise("MADV_POPULATE_WRITE", unix.MADV_POPULATE_WRITE, false, "the profiler's own memory faults now and then"),
	rare("with delivery by signal, since Linux 6.15", madvise("MADV_GUARD_INSTALL", 102, false, "the access to files is taken away by mprotect, which costs more")),
	rare("with delivery by signal, since Linux 6.15", madvise("MADV_GUARD_REMOVE", 103, false, "files are mapped anew by their path where they are touched")),
	{Name: "mremap", Loses: "files and memory that holds something cannot be observed or armed again; a file that is armed is mapped anew by its path where it is touched",
		number: unix.SYS_MREMAP, ask: [6]uintptr{crooked}},
	{Name: "mprotect", Loses: "what was protected otherwise while it was armed cannot be given back as it was, nor files that are armed by it", Needed: true,
		number: unix.SYS_MPROTECT, ask: [6]uintptr{0, 0, unix.PROT_READ}},
	{Name: "munmap", Loses: "memory of the profiler's own is not given back",
		number: unix.SYS_MUNMAP, ask: [6]uintptr{crooked}},
	{Name: "munlock", Rare: "in a process that locks its memory", Loses: "after mlockall(MCL_FUTURE) the profiler does not start",
		number: unix.SYS_MUNLOCK, ask: [6]uintptr{0, 0}},
	{Name: "mlock2", Rare: "in a process that locks its memory", Loses: "what is observed does not stay locked",
		number: unix.SYS_MLOCK2, ask: [6]uintptr{0, 0, none}},
	{Name: "mincore", Loses: "whether a page came from the disk is less certain, and how much of a region is resident is not known",
		number: unix.SYS_MINCORE, ask: [6]uintptr{crooked}},
	{Name: "msync", Loses: "an msync by the owner of a file does not reach what is armed",
		number: unix.SYS_MSYNC, ask: [6]uintptr{crooked}},
	{Name: "rt_tgsigqueueinfo", Loses: "threads cannot be asked for stacks and goroutines, nor stopped for a change of mappings: memory is attached, armed again and given back only with its owner's guard",
		number: unix.SYS_RT_TGSIGQUEUEINFO, ask: [6]uintptr{none, none, none}},
	{Name: "getdents64", Loses: "the threads of the process cannot be listed, so that memory is attached, armed again and given back only with its owner's guard",
		number: unix.SYS_GETDENTS64, ask: [6]uintptr{none}},
	{Name: "lseek", Loses: "the threads and mappings of the process cannot be listed again, so that memory is not attached, armed again or given back",
		number: unix.SYS_LSEEK, ask: [6]uintptr{none}},
	{Name: "pread64", Loses: "pages that cannot be moved are not told from others",
		number: unix.SYS_PREAD64, ask: [6]uintptr{none}},
	{Name: "fstat", Loses: "newfstatat is asked instead",
		number: unix.SYS_FSTAT, ask: [6]uintptr{none}},
	{Name: "ppoll", Loses: "messages are looked for every millisecond, for which each first touch may have to wait",
		number: unix.SYS_PPOLL, ask: [6]uintptr{0, none}},
	{Name: "clone", Loses: "the engine's threads cannot be started", Needed: true,
		number: unix.SYS_CLONE, ask: [6]uintptr{unix.CLONE_THREAD}}, // without CLONE_SIGHAND, a wrong argument
	{Name: "exit", Loses: "the engine's threads sleep where they should end, and no profiler can be started after the first",
		number: unix.SYS_EXIT, mute: true},
	{Name: "close_range", Loses: "the engine's threads cannot have descriptors of their own", Needed: true,
		number: unix.SYS_CLOSE_RANGE, ask: [6]uintptr{crooked, 0}},
	{Name: "clock_gettime", Loses: "the processor time of the profiler's threads is read from /proc instead",
		number: unix.SYS_CLOCK_GETTIME, ask: [6]uintptr{unix.CLOCK_MONOTONIC}},
	{Name: "getrusage", Loses: "whether a page came from the disk is less certain", Rare: "for files of other users",
		number: unix.SYS_GETRUSAGE, ask: [6]uintptr{12345}},
	{Name: "sched_setaffinity", Rare: "while threads fault in quick succession", Loses: "the resolver is not kept with the thread that faults, so that faults cost more",
		number: unix.SYS_SCHED_SETAFFINITY, ask: [6]uintptr{0, 8, 0}},
	{Name: "sched_setscheduler", Loses: "the resolver is not kept with the thread that faults, so that faults cost more",
		number: unix.SYS_SCHED_SETSCHEDULER, ask: [6]uintptr{0, 0, 0}},
	{Name: "sched_getattr", Loses: "on a busy machine threads wait longer for the resolver",
		number: unix.SYS_SCHED_GETATTR, ask: [6]uintptr{0, 0, 0}},
	{Name: "sched_setattr", Loses: "on a busy machine threads wait longer for the resolver",
		number: unix.SYS_SCHED_SETATTR, ask: [6]uintptr{0, 0, 0}},
	{Name: "get_robust_list", Loses: "a robust mutex in memory that is armed stays locked when the thread dies that holds it",
		number: unix.SYS_GET_ROBUST_LIST, ask: [6]uintptr{none}},
	{Name: "process_vm_readv", Loses: "a robust mutex in memory that is armed can stay locked when the thread dies that holds it; and with delivery by signal the kernel is asked for the id of each thread that faults, which costs more",
		number: unix.SYS_PROCESS_VM_READV, ask: [6]uintptr{none, 0, 0, 0, 0, 1}},
	{Name: "readlinkat", Loses: "whether /proc is this process's own is not known, and links to files cannot be followed", Needed: true,
		number: unix.SYS_READLINKAT, ask: [6]uintptr{none, 0, 0, 0}},
	{Name: "newfstatat", Loses: "files cannot be found by their path",
		number: unix.SYS_NEWFSTATAT, ask: [6]uintptr{none, 0, 0, 0}},
	{Name: "statfs", Loses: "the list of mounts is read for each file that is attached, which costs more where it is long",
		number: unix.SYS_STATFS, ask: [6]uintptr{0, 0}},
	{Name: "name_to_handle_at", Loses: "a file is taken for a deleted one whose number it has got",
		number: unix.SYS_NAME_TO_HANDLE_AT, ask: [6]uintptr{none, 0, 0, 0, 0}},
	{Name: "faccessat", Rare: "for files of other users", Loses: "whether a page came from the disk is less certain",
		number: unix.SYS_FACCESSAT, ask: [6]uintptr{none, 0, 0, 0}},
	{Name: "geteuid", Loses: "it is not seen when the process changes its user",
		number: unix.SYS_GETEUID},
}, own...)

// List lists the calls.
func List() []Call { return slices.Clone(list) }

// Number is the number of the system call on this architecture, and the command that goes with ioctl or madvise. Others have
// none, and 0; so has MADV_NORMAL, which is one.
func (c *Call) Number() (number, command uintptr) { return c.number, c.command }

// System is the name of the system call alone.
func (c *Call) System() string {
	name, _, _ := strings.Cut(c.Name, "(")
	return name
}

// refusal reports whether an errno is what seccomp filters and security modules answer, and the kernel does not to
// what is asked here.
func refusal(n unix.Errno) bool { return n == unix.EPERM || n == unix.ENOSYS || n == unix.EACCES }

// Ask has the kernel answer whether the calling process may make the call, without any effect: the errno of a refusal,
// or 0. A call that this kernel does not have is one that it refuses.
func (c *Call) Ask() unix.Errno {
	if c.mute {
		return 0
	}
	a := c.ask
	_, _, n := unix.Syscall6(c.number, a[0], a[1], a[2], a[3], a[4], a[5])
	if refusal(n) {
		return n
	}
	return 0
}

// Filtered reports whether the calling thread has a seccomp filter. Without one nothing is refused.
func Filtered() bool {
	mode, err := unix.PrctlRetInt(unix.PR_GET_SECCOMP, 0, 0, 0, 0)
	return err != nil || mode != 0
}

// Refusal is a call that this process may not make.
type Refusal struct {
	Call
	Errno unix.Errno
}

// String says which call is refused, with which errno, what that means, and what to do.
func (r Refusal) String() string {
	return fmt.Sprintf("%s is refused (%v): %s; %s", r.Name, r.Errno, r.Loses, Remedy)
}

// Remedy is what to do about refusals.
const Remedy = "allow it in the process's seccomp filter (SECURITY.md has the list)"

// Refused asks for all calls but those of known, and returns those that are refused to the calling thread. It takes some
// microseconds where there is a filter, and one call where there is none.
func Refused(known []Refusal) (out []Refusal) {
	if !Filtered() {
		return nil
	}
	for _, c := range list {
		if slices.ContainsFunc(known, func(r Refusal) bool { return r.Name == c.Name }) {
			continue
		}
		if n := c.Ask(); n != 0 {
			out = append(out, Refusal{c, n})
		}
	}
	return out
}

// Missing is the error of an engine that cannot start, for other reasons or because calls are refused that it needs; nil
// where it can. It names all that are refused, so that one look at it is enough.
func Missing(other error, refused []Refusal) error {
	if _, done := errors.AsType[*missing](other); done || len(refused) == 0 ||
		other == nil && !slices.ContainsFunc(refused, func(r Refusal) bool { return r.Needed }) {
		return other
	}
	m := missing{errs: []error{uffd.ErrNotSupported}}
	if other != nil {
		m.text, m.errs = other.Error()+"; and ", []error{other}
	}
	var names []string
	for _, r := range refused {
		names = append(names, fmt.Sprintf("%s (%v)", r.Name, r.Errno))
		if !slices.Contains(m.errs, error(r.Errno)) {
			m.errs = append(m.errs, r.Errno)
		}
	}
	m.text += "a seccomp filter refuses system calls: " + strings.Join(names, ", ") + ": allow them (SECURITY.md has the list, and docs/deploy filters that do)"
	return &m
}

type missing struct {
	text string
	errs []error
}

// Error names the calls.
func (m *missing) Error() string { return m.text }

// Unwrap makes ErrNotSupported and the errnos visible to errors.Is.
func (m *missing) Unwrap() []error { return m.errs }
