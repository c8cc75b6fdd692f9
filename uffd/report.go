package uffd

// Answer is what a probe found out.
type Answer string

// The answers. Unknown means that the probe itself could not be carried out: the reason says why.
const (
	Yes     Answer = "yes"
	No      Answer = "no"
	Unknown Answer = "unknown"
)

// Report is everything that Probe asked the kernel. It is plain data, made for printing and JSON.
type Report struct {
	OS            string          `json:"os"`
	Arch          string          `json:"arch"`
	Kernel        string          `json:"kernel"` // as uname -r has it; for the reader, no answer is drawn from it
	PageSizeBytes int             `json:"page_size_bytes"`
	OpenPath      *OpenPath       `json:"open_path"`        // the path that Open takes; nil where all are refused
	Reason        string          `json:"reason,omitempty"` // why nothing could be asked at all
	Paths         []PathReport    `json:"paths"`
	Features      []FeatureReport `json:"features"`
	Ioctls        []IoctlReport   `json:"ioctls"`
	Memory        []MemoryReport  `json:"memory"`
	Privileges    Privileges      `json:"privileges"`
}

// PathReport is the answer for one way to open a descriptor.
type PathReport struct {
	Path      OpenPath `json:"path"`
	Available Answer   `json:"available"`
	Reason    string   `json:"reason,omitempty"`
	Remedy    string   `json:"remedy,omitempty"`
}

// FeatureReport is the answer for one feature bit.
type FeatureReport struct {
	Name      string `json:"name"`  // without UFFD_FEATURE_
	Bit       int    `json:"bit"`   // of Features
	Since     string `json:"since"` // the first kernel that may have it
	Available Answer `json:"available"`
}

// IoctlReport is the answer for one ioctl, found by using it on a page of its own.
type IoctlReport struct {
	Name      string `json:"name"` // without UFFDIO_; PAGEMAP_SCAN is one of /proc/PID/pagemap
	Available Answer `json:"available"`
	Reason    string `json:"reason,omitempty"`
}

// MemoryReport is what Register accepts for one kind of memory.
type MemoryReport struct {
	Kind          MemoryKind   `json:"kind"`
	PageSizeBytes int          `json:"page_size_bytes,omitempty"`
	Reason        string       `json:"reason,omitempty"` // why no such memory could be had
	Modes         []ModeReport `json:"modes"`
}

// ModeReport is the answer of Register for one combination of modes.
type ModeReport struct {
	Modes string `json:"modes"` // the kernel's names, separated by "|"
	// Async: asked on a descriptor with FeatureWPAsync, where the kernel resolves the faults itself.
	Async     bool     `json:"async,omitempty"`
	Available Answer   `json:"available"`
	Ioctls    []string `json:"ioctls,omitempty"` // what the range then takes
	Reason    string   `json:"reason,omitempty"`
}

// MemoryKind is a kind of mapping that the kernel treats in its own way.
type MemoryKind string

// The kinds that are probed.
const (
	MemoryAnonymous      MemoryKind = "anonymous"       // private anonymous
	MemoryShmem          MemoryKind = "shmem"           // shared anonymous
	MemoryMemfd          MemoryKind = "memfd"           // a shared mapping of a memfd, as of any tmpfs file
	MemoryMemfdPrivate   MemoryKind = "memfd_private"   // a private one
	MemoryHugetlb        MemoryKind = "hugetlb"         // shared huge pages of the default size
	MemoryHugetlbPrivate MemoryKind = "hugetlb_private" // private ones
	MemoryFile           MemoryKind = "file"            // a private mapping of a file on disk
)

// memoryKinds lists the kinds that Probe asks about.
func memoryKinds() []MemoryKind {
	return []MemoryKind{
		MemoryAnonymous, MemoryShmem, MemoryMemfd, MemoryMemfdPrivate,
		MemoryHugetlb, MemoryHugetlbPrivate, MemoryFile,
	}
}

// registerModes lists the combinations of ModeMissing, ModeWP and ModeMinor. ModeRWP needs
// FeatureRWP, and Probe asks for it alone.
func registerModes() []RegisterMode {
	var modes []RegisterMode
	for mode := RegisterMode(1); mode <= ModeMissing|ModeWP|ModeMinor; mode++ {
		modes = append(modes, mode)
	}
	return modes
}
