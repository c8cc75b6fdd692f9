package profiler

// MappingKind is the kind of memory that a mapping of the process is of, as far as it matters for what can
// be observed.
type MappingKind string

// The kinds of mappings.
const (
	MappingPrivate     MappingKind = "private"      // private anonymous memory: off-heap caches, C heaps
	MappingShared      MappingKind = "shared"       // shared memory: memfd, tmpfs, System V, MAP_SHARED without a file
	MappingHugeShared  MappingKind = "huge shared"  // shared pages of hugetlbfs
	MappingHugePrivate MappingKind = "huge private" // private pages of hugetlbfs
	MappingFile        MappingKind = "file"         // a shared mapping of a file on a disk
	MappingFilePrivate MappingKind = "file private" // a private mapping of any file: programs and libraries are mapped so
	MappingGo          MappingKind = "go"           // the Go runtime's: its heap, stacks and structures
	MappingStack       MappingKind = "stack"        // the stack of the first thread
	MappingKernel      MappingKind = "kernel"       // the kernel's own, or a device's
	MappingProfiler    MappingKind = "profiler"     // the profiler's own
)

// Mapping is one mapping of the process, and what can be observed of it. Sizes are in bytes.
type Mapping struct {
	Start, End  uintptr // half open
	Permissions string  // as in /proc/self/maps: "rw-p"
	Offset      int64   // in the file
	Path        string  // as in /proc/self/maps; empty for memory without a name
	Kind        MappingKind
	PageSize    int
	Resident    int64 // in memory
	Swapped     int64
	Region      string // that observes a part of it, or empty

	// Attach names what observes every first touch again and again, AttachRange or AttachFile. It is empty
	// where nothing can, and Reason then says why and what to change.
	Attach, Reason string
	// WritesOnly: WithWritesOnly can be given. WritesReason says why not.
	WritesOnly   bool
	WritesReason string
}
