package profiler

// MappedFile is a file that the process has mapped, as one look at its mappings saw it. Two files can have had one path.
type MappedFile struct {
	Path       string // as /proc/self/maps shows it: a deleted file has " (deleted)" behind it
	Dev, Inode uint64 // Dev is major<<32 | minor
}

// MappedAs is what the mappings of a file are, at least one of them.
type MappedAs struct {
	Code     bool // executable
	Writable bool // shared, can be written to
	Readable bool // shared, cannot be written to
}

// FoundFile is one that is to be attached, with the options of its region.
type FoundFile struct {
	Path    string
	Options []RegionOption
}
