package doctor

import (
	"fmt"
	"os"
	"strconv"

	"github.com/firsttouch/firsttouch/profiler"
	"github.com/firsttouch/firsttouch/uffd"
)

func delivery(k uffd.Report, t Trial) []Row {
	thread := tried("to a resolver thread (default)", "a thread outside the Go scheduler serves each fault", t, StepStart)
	if thread.Status == No && k.OpenPath == nil {
		thread.Detail = "no way to a userfaultfd is open" // each with its reason and remedy, in its own row
	}
	syscall := tried("touches by system calls", "served like any other", t, StepSyscall)
	if t.UserModeOnly && syscall.Status == Yes {
		syscall.Status = Limited
		syscall.Detail = failing
		syscall.Remedy = "open the device or the system call, see above: by CAP_SYS_PTRACE, the sysctl, the device's mode, or in a container --device and the seccomp profile"
		if thread.Status == Yes {
			thread.Status, thread.Detail = Limited, "only with "+allowing+", since system calls would fail"
			thread.Remedy = syscall.Remedy
		}
	}
	return []Row{
		thread,
		tried("stack of the toucher", "taken by signal, and found to name the right function", t, StepStack),
		syscall,
		bySignal(t),
	}
}

// bySignal is the row of delivery by signal, which is an option.
func bySignal(t Trial) Row {
	const name = "to handlers of SIGBUS and SIGSEGV (an option)"
	for _, w := range t.Ways { // also where no userfaultfd can be had, which it does without
		if _, made := t.step(StepSignal); !made && w.Delivery == profiler.DeliverySignal.String() && w.Reason == "" {
			return Row{Name: name, Status: Limited, Detail: "FIRSTTOUCH_DELIVERY=signal: no userfaultfd is needed; it allows that " + failing}
		}
	}
	return tried(name, "FIRSTTOUCH_DELIVERY=signal: cheaper, and allows that "+failing, t, StepSignal)
}

func memory(k uffd.Report, t Trial) []Row {
	return []Row{
		allowed("arena (anonymous memory of the profiler's own)", "each first touch seen once", t, StepArena),
		allowed("file that the profiler maps", "each first touch seen once, contents right", t, StepFile),
		allowed("file that a library mapped (bbolt, LMDB, SQLite)", "each first touch seen once, contents right", t, StepAttached),
		attached("private memory that exists: off-heap caches, C heaps", "armed with its contents, again and again", t, StepMemory),
		attached("shared memory: memfd, tmpfs, MAP_SHARED", "armed with its contents, again and again", t, StepShared),
		huge(k, t),
		attached("writes alone, to any of these but files on a disk", "each first write seen once", t, StepWrites),
		{Name: "private pages of a file", Status: No, Detail: "they are in no file once they are written to, and cannot be moved: map the file shared"},
	}
}

// allowed is the row of memory that is observed in user mode only if that is allowed.
func allowed(name, detail string, t Trial, step string) Row {
	row := tried(name, detail, t, step)
	if t.UserModeOnly && row.Status == Yes {
		row.Status, row.Detail = Limited, "only with "+allowing
	}
	return row
}

// attached is the row of memory that is attached where it is, which user mode only rules out.
func attached(name, detail string, t Trial, step string) Row {
	if t.UserModeOnly {
		return Row{Name: name, Status: No, Detail: "not under user mode only: a system call that is given this memory would fail"}
	}
	return tried(name, detail, t, step)
}

// huge is not tried: it would take pages from a pool that is somebody's.
func huge(k uffd.Report, t Trial) Row {
	row := Row{Name: "huge pages (hugetlb), shared; of private ones writes alone", Status: Unknown, Detail: "the kernel could not be asked"}
	switch {
	case k.OpenPath == nil:
	case t.UserModeOnly:
		return attached(row.Name, "", t, "")
	case hasFeature(k, "MINOR_HUGETLBFS"):
		row.Status, row.Detail = Yes, "the kernel offers it; not tried, since it would take pages from the pool"
	default:
		row.Status, row.Detail, row.Remedy = No, "the kernel does not offer it", "Linux 5.13 or later"
	}
	for _, m := range k.Memory {
		if m.Kind == uffd.MemoryHugetlb && m.Reason != "" {
			row.Status, row.Detail, row.Remedy = No, m.Reason, "reserve some: sysctl -w vm.nr_hugepages=N"
		}
	}
	return row
}

// comfortableMaps is enough for a gigabyte that is touched page by page in random order: each
// accessible granule is a mapping of its own until its neighbours follow.
const comfortableMaps = 262144

func system(k uffd.Report, l Limits, t Trial) []Row {
	p := k.Privileges
	rows := []Row{{Name: "mappings (vm.max_map_count)", Status: Unknown, Detail: "cannot be read"}}
	if l.MaxMapCount != nil {
		rows[0].Status, rows[0].Detail = Yes, fmt.Sprint(*l.MaxMapCount)
		if *l.MaxMapCount < comfortableMaps {
			rows[0].Status = Limited
			rows[0].Detail += ": near it, granules of files are widened, and the result says so"
			rows[0].Remedy = fmt.Sprintf("for large files touched at random: sysctl -w vm.max_map_count=%d", comfortableMaps)
		}
	}
	nice := Row{Name: "CAP_SYS_NICE", Status: Yes, Detail: "the resolver follows the thread that faults"}
	if !l.CapSysNice {
		nice.Status, nice.Detail = Limited, "absent: the scheduler places the resolver, and a fault costs more when CPUs are idle"
		nice.Remedy = "setcap cap_sys_nice+ep PROGRAM, or docker run --cap-add SYS_NICE"
	}
	ptrace := Row{Name: "CAP_SYS_PTRACE", Status: Yes, Detail: "the system call may be used"}
	switch {
	case p.CapSysPtrace && p.UserNamespace:
		ptrace.Status, ptrace.Detail = Limited, "held in a user namespace, where it does not count for userfaultfd"
	case !p.CapSysPtrace:
		ptrace.Status, ptrace.Detail = No, "absent; not needed where the device or the sysctl opens the way"
	}
	sysctl := Row{Name: "vm.unprivileged_userfaultfd", Status: Unknown, Detail: "does not exist or cannot be read"}
	if v := p.UnprivilegedSysctl; v != nil {
		sysctl.Status, sysctl.Detail = No, "0: a process without CAP_SYS_PTRACE gets user mode only from the system call"
		if *v == 1 {
			sysctl.Status, sysctl.Detail = Yes, "1: everyone may use the system call"
		}
	}
	seccomp := Row{Name: "seccomp", Status: Yes, Detail: "no filter"}
	switch p.Seccomp {
	case "none":
	case "":
		seccomp.Status, seccomp.Detail = Unknown, "cannot be read"
	default:
		seccomp.Status, seccomp.Detail = Limited, p.Seccomp+": it may hide system calls, as the container's default does with userfaultfd"
	}
	rows = append(rows, nice, ptrace, sysctl, seccomp)
	if on, err := strconv.ParseBool(os.Getenv("FIRSTTOUCH_SHADOW")); on && err == nil {
		rows = append(rows, Row{Name: "FIRSTTOUCH_SHADOW", Status: Limited, Detail: "set: an agent that is started with it arms nothing, and says what it would arm and what that would cost",
			Remedy: "leave it out to profile"})
	}
	return append(rows, append(callRows(t),
		Row{Name: "CPUs", Status: Yes, Detail: fmt.Sprint(l.CPUs)},
		perfEvents(t))...)
}

// callRows has a row for each system call of the engine that a filter refuses, or one for all.
func callRows(t Trial) (rows []Row) {
	if len(t.Steps) > 0 && len(t.Refused) == 0 {
		return []Row{{Name: "system calls of the engine", Status: Yes, Detail: "none is refused"}}
	}
	for _, c := range t.Refused {
		row := Row{Name: "system call " + c.Name, Status: Limited, Detail: c.Error + ": " + c.Loses, Remedy: "allow it in the seccomp filter: SECURITY.md has the list, docs/deploy filters that do"}
		if c.Needed {
			row.Status = No
		}
		rows = append(rows, row)
	}
	return rows
}

// perfEvents is the row of what delivery observe needs, and no other.
func perfEvents(t Trial) Row {
	row := Row{Name: "perf events", Status: Unknown, Detail: "needed for delivery observe alone; not tried"}
	for _, w := range t.Ways {
		if w.Delivery == profiler.DeliveryObserve.String() {
			row.Status, row.Detail = Yes, "page faults can be observed without arming anything"
			if w.Reason != "" {
				row.Status, row.Detail = No, "needed for delivery observe alone: "+w.Reason
			}
		}
	}
	return row
}
