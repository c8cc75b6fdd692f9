// Package uffd is a binding of Linux's userfaultfd(2) without cgo: page faults of a range of memory
// become messages, and the reader of the messages decides what the pages hold.
//
// To restore the memory of another process, begin with package serve, which is built on this one. docs/userfaultfd.md has
// each call of the kernel with each errno, its cause and what to do.
//
// # Life of a descriptor
//
// Open obtains a descriptor and shakes hands: what the kernel can do is asked on one descriptor,
// since the answer takes a handshake and a descriptor allows but one, and the work is done with
// another. FD.Features is what the kernel offers, FD.Enabled what was asked for. Where nothing is
// granted, the OpenError says for each way why, and what to change. Adopt takes over a descriptor
// that another program made, and FD.Forked the one that comes with a fork.
//
// FD.Register chooses the range, and whether missing pages (ModeMissing), writes to protected pages
// (ModeWP) or pages that exist in the file but are not mapped (ModeMinor) are faults. FD.Read waits
// for messages and fills the caller's buffer; FD.Close and a deadline end it.
//
// # Fills
//
// FD.Copy, FD.Zeropage, FD.Move, FD.Continue and FD.Poison resolve missing and minor faults,
// FD.Unprotect and FD.RWUnprotect the others. They finish their range: they go on after a partial result, and
// around pages that are already there, whose waiters the kernel leaves asleep and they wake. Nothing
// allocates on the way of a fault, unless it fails. Batch fills several ranges and wakes once.
//
// A fill returns how many bytes it filled itself. Error.Done of a fill that failed is how far its range
// is finished, pages that were there among it.
//
// An error matches the sentinel that says what it means and the errno that says what came:
// errors.Is(err, uffd.ErrExist) and errors.Is(err, unix.EEXIST).
//
// # Written pages
//
// With FeatureWPAsync the kernel ends a write protection by itself, without a message, and
// Pagemap.Scan (PAGEMAP_SCAN, Linux 6.7) reports the pages that were written to since, and protects
// them again in the same step.
//
// # Hand-over
//
// FD.Send and Receive hand a descriptor to another process by a Unix socket (SCM_RIGHTS). It serves
// the memory of the process that opened it, wherever it is; once that process has ended fills are
// ErrGone, and Register and Unregister ErrNoMemory.
//
// # Questions
//
// The review of the manual page in 2017 left questions open. docs/userfaultfd.md has the table of
// the answers, with the test that holds each.
//
// What "consistent" resolution means: a page appears whole, once, or not at all, whoever fills it; a
// second fill is ErrExist and changes nothing.
//
// The features: before Linux 4.11 they had to be zero, since there were none. Since then those that
// go in are enabled, and all that the kernel offers comes back; what is unknown is EINVAL. The
// ioctls field is a set with one bit for each request number, for which the kernel's header has no
// names: see IoctlSet. The handshake holds for the descriptor, Register for the range.
//
// The errors of the handshake: EINVAL (version, unknown feature, second handshake), EFAULT, EPERM
// (EVENT_FORK). After EINVAL the struct is all zeros whatever the reason was, and has to be filled
// anew; a refusal leaves the descriptor as it was. Before the handshake everything else is EINVAL.
//
// An incompatible mapping is one that is neither anonymous, nor shared memory, nor of huge pages; up
// to Linux 4.10 it was all but private anonymous memory; with FeatureWPAsync, ModeWP takes any.
// Register and Unregister also know EBUSY (another descriptor's, Register only), ENOMEM (the process
// has ended, or a mapping cannot be split) and EFAULT (the argument; where only the answer cannot be
// written, the range is registered). A hole in the range is no error, at its beginning either: EINVAL
// is for a range in which nothing is mapped at all.
//
// The fills have an output field since an errno cannot say both that they ended early and how far
// they came: it has the bytes done, or the negated errno where there are none. EAGAIN with a count is
// a partial result, which the finishing forms continue; with -EAGAIN, or with nothing written on
// older kernels, nothing was done: ErrAgain. That means that the memory is being changed (mmap_changing
// in fs/userfaultfd.c), or since Linux 6.5 that a page table changed under the call. Fills with
// Dontwake leave all waiters asleep until one Wake over them.
//
// # Probes
//
// HavePath, HaveFeatures, HaveIoctl and HaveRegister each make the smallest real use of what they
// ask about: nil is yes, ErrNotSupported is no, any other error is no answer. Probe asks everything
// and returns a Report. No answer is drawn from a version or a header.
//
// # Caveats
//
// Privileges. /dev/userfaultfd (Linux 6.1) asks for read permission on the file. userfaultfd(2)
// asks for CAP_SYS_PTRACE in the initial user namespace, or vm.unprivileged_userfaultfd=1. With
// neither, Open falls back to a descriptor for user mode only: a system call that is handed an
// armed page then fails with EFAULT and there is no message, so FD.UserModeOnly has to be looked at
// wherever armed memory may reach a system call. Container runtimes commonly deny the system call
// by seccomp and allow the device.
//
// Own memory. A goroutine that serves faults of its own process can deadlock it: a thread that
// faults in the runtime's assembly (copy, clear, string comparison) cannot be preempted, a garbage
// collection waits for it, and the serving goroutine waits for the collection. A thread that faults
// by a load keeps its P meanwhile, and where all of them do, each message has vanished by the time
// that the serving goroutine gets to run (see Messages below). Serve another process, make the
// faults only in system calls, or serve from a thread that the Go scheduler does not know; FD.Fd, the
// Ioctl numbers and the modes are there for its system calls. Never register memory that the serving code itself
// needs, such as the Go heap.
//
// Events. With a FeatureEvent the thread that forks, moves, discards or unmaps registered memory
// sleeps until its message is read, and fills answer ErrAgain from before the message until that
// thread has run again: one goroutine must not both cause events and read them. Handle the events of a
// batch before its faults, whatever their order: a fault that was sent before a discard and is filled
// after it brings back what was discarded. Keep the faults whose fill says ErrAgain, handle what
// TryRead gives, and try them again; a Read in between may wait for ever. A prefetcher has to be kept
// out from before an event is read until it is applied: see FD.Wait. A fork by the Go runtime that copies the memory (os/exec with
// new namespaces) sleeps without giving its processor to another goroutine, so a reader in the same
// process needs GOMAXPROCS of 2 or more. Without FeatureEventRemap a moved mapping loses its
// registration, and its missing pages read as zeros.
//
// End of a registration. Unregister, Close and the end of the last process that holds the
// descriptor wake all waiters, and pages that were not filled read as zeros or as the file has
// them. So an FD is never closed behind the caller's back, by a finalizer for example. A supervisor
// that keeps a duplicate (FD.Send) makes the death of a handler a wait: the next handler wakes the threads
// that still wait (FD.Wake), whose messages come again then. Supervise in package serve does it.
//
// End of the process. A descriptor does not tell that the process whose memory it serves has ended:
// Read and Wait go on waiting. Wait for the process by other means, such as a pidfd, and Close. Fills
// are ErrGone.
//
// Messages are not faults. A signal that interrupts the wait (Go sends itself one every 10 ms) makes
// the same touch send another message; unread messages vanish when their page is filled; and read
// returns faults before events, whatever came first.
//
// Kinds of memory. Anonymous memory, shared memory (memfd, tmpfs) and huge pages are taken; a file
// on a disk and System V memory of small pages are not, except for ModeWP with FeatureWPAsync; a mapping that may never be written, such
// as a shared one of a file opened for reading, is ErrPermission. ModeMinor needs shared memory or
// huge pages. Of huge pages ErrExist is no proof that the page is there:
// the kernel may say EEXIST also where the pool is empty, so a fill that filled less than its range may
// have to be looked after (a touch of it sends its message again). Register lists MOVE also for shared memory,
// but the kernel moves private anonymous pages only. A mapping belongs to one descriptor at a time.
//
// Systems. The ioctl numbers are those of amd64, arm64, riscv64, loong64, arm, 386 and s390x; on
// amd64 and arm64 the package is tested. Elsewhere everything builds and answers ErrNotSupported.
package uffd
