package doctor

import "github.com/firsttouch/firsttouch/uffd"

// Status is the answer for one thing.
type Status string

// The answers. Limited works with a restriction that Detail names.
const (
	Yes     Status = "yes"
	Limited Status = "limited"
	No      Status = "no"
	Unknown Status = "unknown"
)

// Row is the answer for one thing, with what to do where it is not yes.
type Row struct {
	Name   string `json:"name"`
	Status Status `json:"status"`
	Detail string `json:"detail,omitempty"`
	Remedy string `json:"remedy,omitempty"`
}

// Report is what the doctor found.
type Report struct {
	// Works: the profiler runs here, for memory of its own and for files, and no system call fails because of it.
	Works   bool   `json:"works"`
	Verdict string `json:"verdict"` // one sentence

	Opening  []Row `json:"opening"`  // ways to a descriptor, one is enough
	Delivery []Row `json:"delivery"` // how a fault gets to the profiler, and what is known of it
	Memory   []Row `json:"memory"`   // kinds of memory
	System   []Row `json:"system"`   // limits and privileges that decide about cost and reach

	Trial  Trial       `json:"trial"`
	Limits Limits      `json:"limits"`
	Kernel uffd.Report `json:"kernel"`
}

// Limits are facts about the process that the kernel report does not have.
type Limits struct {
	CPUs        int  `json:"cpus"`          // that the process may use
	MaxMapCount *int `json:"max_map_count"` // vm.max_map_count; nil where it cannot be read
	CapSysNice  bool `json:"cap_sys_nice"`
}

// Trial is what happened when the profiler was tried.
type Trial struct {
	// Reason says why the trial did not come to its end: the profiler did not start, the process
	// died, or it took too long. Empty where all steps were made.
	Reason       string `json:"reason,omitempty"`
	Steps        []Step `json:"steps"`
	UserModeOnly bool   `json:"user_mode_only"`
	Placement    string `json:"placement,omitempty"` // where the resolver runs
	// Ways are the ways to observe, best first, with what each has seen.
	Ways []Way `json:"ways,omitempty"`
	// Refused are the system calls of the engine that a seccomp filter refuses.
	Refused []RefusedCall `json:"refused_calls,omitempty"`
}

// RefusedCall is a system call of the engine that a seccomp filter refuses, and what is lost without it.
type RefusedCall struct {
	Name   string `json:"name"`
	Error  string `json:"error"`
	Loses  string `json:"loses"`
	Needed bool   `json:"needed"` // the profiler does not start without it
}

// Step is one part of a trial.
type Step struct {
	Name string `json:"name"`
	// Error is empty where the step did what it should.
	Error string `json:"error,omitempty"`
	// Unsupported says what is missing here for the step, where something is.
	Unsupported string `json:"unsupported,omitempty"`
}

// The steps of a trial.
const (
	StepStart    = "start"
	StepArena    = "arena"
	StepStack    = "stack"
	StepSyscall  = "system call"
	StepFile     = "file"
	StepAttached = "attached file"
	StepMemory   = "memory that exists"
	StepShared   = "shared memory"
	StepWrites   = "writes only"
	StepSignal   = "delivery by signal"
)

// step returns the outcome of a step, and whether it was made.
func (t Trial) step(name string) (Step, bool) {
	for _, s := range t.Steps {
		if s.Name == name {
			return s, true
		}
	}
	return Step{}, false
}

func (t Trial) passed(name string) bool {
	s, made := t.step(name)
	return made && s.Error == "" && s.Unsupported == ""
}
