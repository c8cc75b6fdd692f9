package profiler

import "fmt"

// Delivery is how a first touch reaches the engine.
type Delivery uint8

const (
	// DeliveryThread has threads of the engine resolve the fault while the toucher waits. System calls
	// that are given memory not yet touched are served too, and threads may block what signals they like.
	DeliveryThread Delivery = iota
	// DeliverySignal has the toucher get a signal, whose handler resolves the fault there and then: a fraction of the cost,
	// with the full stack. It is SIGSEGV for files and private memory, the access to which is taken
	// away: they are not registered with userfaultfd, and who touches a page waits for storage as without a profiler. For arenas it is SIGBUS, from
	// the kernel, and SIGSEGV too where no userfaultfd can be had, which this delivery does without. In exchange
	//   - a system call that is given memory not yet touched fails with EFAULT, so copy before
	//     (Stats.UserModeOnly): choosing it allows what WithFailingSystemCalls allows, and the first note says so;
	//   - a thread that blocks these signals, as some C libraries' do, is killed at its first touch, and the process with
	//     it: New refuses where there is one, and cannot see those that come later;
	//   - a handler of theirs that is installed later must pass on what it does not know.
	// All others of these signals go to the handler that was installed before, which is Go's unless C code has one.
	// Ours stays in front of it for the life of the process.
	DeliverySignal
	// DeliveryObserve arms nothing: regions are named as ever, and their faults are the page faults that the kernel counts, read from
	// perf events (perf_event_open(2)) of the own process. No mapping is changed, no thread is stopped or signalled, no system call can
	// fail, and no userfaultfd is needed; an ordinary user may where /proc/sys/kernel/perf_event_paranoid is 2 or less and no seccomp
	// filter refuses the call (Observable). Memory of every kind can be named, private and executable mappings of files too. What it
	// cannot see is said in the first of Stats.Notes:
	//   - A page is seen when it is mapped by a fault of its own. The kernel maps up to 16 pages of the page cache with one fault
	//     (fault-around), and all of a large folio: of a cached file most first touches are not seen. Of a file that is in no cache, and
	//     whose mapping has MADV_RANDOM, each one is.
	//   - What was in the page tables before is not seen; Rearm, windows, samples, WithWritesOnly and the Go heap are not supported.
	//   - Faults inside system calls are seen only with CAP_PERFMON, or where perf_event_paranoid is 1 or less.
	//   - Fault.Access is AccessUnknown. Fault.Source is SourceDisk where the kernel counts a fault as major, SourcePageCache or
	//     SourceZero else, and SourceUnknown where a signal has interrupted the wait: the kernel then counts a minor one.
	//   - Fault.Stall is the kernel's own time for the fault. It is WaitAtMost where a signal has interrupted it, since the thread
	//     makes its fault again after the handler; and WaitUnknown where the kernel has mapped the page otherwise meanwhile. Such a fault
	//     comes two seconds late, and is not in the totals of its span.
	//   - A goroutine is known between two moments at which its id was read: where it starts, binds or ends a span, and where the buffers
	//     are read. So the first faults of a goroutine that has no span are of goroutine 0, which is unknown.
	//   - Each processor's buffer holds some thousand faults, of whatever memory. What finds no room is Stats.Dropped.
	DeliveryObserve
	// DeliveryAuto takes the best of these that is safe here: DeliveryThread where the kernel serves system calls, else DeliveryObserve. A way
	// in which a system call of the service can fail is taken only with WithFailingSystemCalls: then DeliveryThread in user mode
	// only, or DeliverySignal where there is no userfaultfd, come before DeliveryObserve. Stats.Delivery says which way was taken, and a note
	// why not a better one.
	DeliveryAuto
)

// String is the value of FIRSTTOUCH_DELIVERY.
func (d Delivery) String() string {
	switch d {
	case DeliveryThread:
		return "thread"
	case DeliverySignal:
		return "signal"
	case DeliveryObserve:
		return "observe"
	case DeliveryAuto:
		return "auto"
	}
	return fmt.Sprintf("Delivery(%d)", uint8(d))
}

// WithDelivery sets how first touches reach the engine. The default is DeliveryThread.
func WithDelivery(d Delivery) Option {
	return optionFunc(func(c *config) error {
		if d > DeliveryAuto {
			return fmt.Errorf("%w: delivery %v: choose DeliveryAuto, DeliveryThread, DeliverySignal or DeliveryObserve", ErrInvalid, d)
		}
		c.delivery = d
		return nil
	})
}

// Observed says how first touches were observed, and what that way cannot see: it belongs to each result.
func (s *Stats) Observed() string {
	const always = "What was touched before it was armed, and further touches of the same page, are not seen"
	switch s.Delivery {
	case "":
		return "" // nothing was
	case DeliveryObserve.String():
		return "by observing alone, nothing is armed: page faults that the kernel counts. Pages that it maps together with one that faulted are not seen, " +
			"nor what was mapped before, nor whether a touch reads or writes"
	case DeliverySignal.String():
		return "by signal: each first touch of arenas, private memory and files. " + always + "; nor are touches inside system calls, which fail with EFAULT, other kinds of memory, " +
			"and, where there is no userfaultfd, pages that their owner discards once they were touched"
	}
	if s.UserModeOnly {
		return "by thread, in user mode only: each first touch of arenas and files. " + always + "; nor are touches inside system calls, which fail with EFAULT, and memory of other kinds"
	}
	return "by thread: each first touch, inside system calls too. " + always + "; nor are private mappings of files"
}
