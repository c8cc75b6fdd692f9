package profiler

// String is the lower-case word used in every output.
func (a Access) String() string {
	switch a {
	case Read:
		return "read"
	case Write:
		return "write"
	}
	return "unknown"
}

// String is the lower-case word used in every output.
func (s Source) String() string {
	switch s {
	case SourceZero:
		return "zero"
	case SourcePageCache:
		return "page_cache"
	case SourceDisk:
		return "disk"
	case SourceMemory:
		return "memory"
	}
	return "unknown"
}
