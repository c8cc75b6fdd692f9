package doctor

import (
	"strings"

	"github.com/firsttouch/firsttouch/uffd"
)

// Examine draws the report from what the kernel answered, from the facts about the process and from the trial.
func Examine(k uffd.Report, limits Limits, trial Trial) Report {
	r := Report{
		Opening: opening(k), Delivery: delivery(k, trial), Memory: memory(k, trial), System: system(k, limits, trial),
		Trial: trial, Limits: limits, Kernel: k,
	}
	r.Works = trial.passed(StepStart) && trial.passed(StepArena) && trial.passed(StepAttached) && trial.Reason == ""
	switch {
	case (!r.Works || trial.UserModeOnly) && observes(trial.Ways):
		r.Works = false
		r.Verdict = "firsttouch observes page faults here and arms nothing, since a better way is closed: it sees less, and what each way sees is below"
	case r.Works && trial.UserModeOnly:
		r.Works = false
		r.Verdict = "firsttouch profiles nothing here, since system calls of the service would fail (user mode only): " + failing + ". " +
			"Open a way to full service, or set " + allowing + " where the service copies what a system call gets"
	case r.Works:
		r.Verdict = "firsttouch works here"
	case k.OpenPath == nil && bySignal(trial).Status == Limited:
		r.Verdict = "firsttouch profiles nothing here by itself, since no way to a userfaultfd and none to perf events is open. FIRSTTOUCH_DELIVERY=signal needs neither, where the service copies what a system call gets: it allows that " + failing
	case k.OpenPath == nil:
		r.Verdict = "firsttouch cannot work here: no way to a userfaultfd is open; one of the remedies below is enough"
	case trial.Reason != "":
		r.Verdict = "firsttouch does not work here: " + trial.Reason
	default:
		r.Verdict = "firsttouch does not work here: the trial failed, see below"
	}
	return r
}

// allowing is the setting under which the profiler lets system calls fail.
const allowing = "FIRSTTOUCH_ALLOW_FAILING_SYSTEM_CALLS=true"

// failing is what that is.
const failing = "write, send, writev, read, open and futex fail with EFAULT when they are handed memory not yet touched: " +
	"answers and files end early, and the C library aborts the process at a mutex there"

func opening(k uffd.Report) []Row {
	names := map[uffd.OpenPath]string{
		uffd.PathDevice:       "device " + uffd.DevicePath,
		uffd.PathSyscall:      "system call userfaultfd",
		uffd.PathUserModeOnly: "the same, user mode only",
	}
	var rows []Row
	for _, p := range k.Paths {
		row := Row{Name: names[p.Path], Status: Status(p.Available), Detail: p.Reason, Remedy: p.Remedy}
		if k.OpenPath != nil && *k.OpenPath == p.Path {
			row.Detail = "this one is taken"
		}
		if p.Path == uffd.PathUserModeOnly && p.Available == uffd.Yes {
			row.Status = Limited
			row.Detail = strings.TrimPrefix(row.Detail+"; a system call given an untouched page fails with EFAULT", "; ")
		}
		rows = append(rows, row)
	}
	return rows
}

// tried is the row of something that the trial did.
func tried(name, detail string, t Trial, step string) Row {
	s, made := t.step(step)
	switch {
	case !made:
		return Row{Name: name, Status: Unknown, Detail: "not tried, since the profiler did not get so far"}
	case s.Unsupported != "":
		return Row{Name: name, Status: No, Detail: s.Unsupported}
	case s.Error != "":
		return Row{Name: name, Status: No, Detail: s.Error}
	}
	return Row{Name: name, Status: Yes, Detail: detail}
}

func hasFeature(k uffd.Report, name string) bool {
	for _, f := range k.Features {
		if f.Name == name {
			return f.Available == uffd.Yes
		}
	}
	return false
}
