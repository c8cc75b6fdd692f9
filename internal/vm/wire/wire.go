// Package wire is what the host and the guest of the kernel matrix tell each other: the job, a file of
// the guest's initramfs, and frames, one JSON value a line on a serial port of the guest.
package wire

import "time"

// Places in the guest's initramfs and on its disk, and its serial port by the name that the host gave it.
const (
	JobFile   = "/job.json"
	Modules   = "/modules"
	Binaries  = "/bin" // on the disk
	ResultsTo = "firsttouch.results"
)

// Job is what a guest has to do.
type Job struct {
	Modules []string // file names in Modules, in the order of loading
	Env     []string
	Steps   []Step
}

// Step is a command that the guest runs.
type Step struct {
	Name   string
	Args   []string // the program's path first
	Dir    string
	Budget time.Duration
}

// Frame is a message of the guest; what it is about is what is not nil.
type Frame struct {
	Machine *Machine `json:",omitempty"` // the first
	Begin   string   `json:",omitempty"` // the name of a step
	Output  []byte   `json:",omitempty"` // of the step
	End     *End     `json:",omitempty"` // of the step
	Done    bool     `json:",omitempty"` // the last
}

// Machine is what the guest says of itself.
type Machine struct {
	Release, Version, Arch string // of uname(2)
	PageSizeBytes          int
	CPUs                   int
	MemoryBytes            uint64
}

// End is how a step ended.
type End struct {
	Took     time.Duration
	Status   string // as of os.ProcessState.String, or why there was no process
	OK       bool
	TimedOut bool // the budget was over
}
