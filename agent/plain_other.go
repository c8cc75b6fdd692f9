//go:build !unix

package agent

// plainMemory is of the Go heap here: these systems have no anonymous mmap.
func plainMemory(size int) ([]byte, error) { return make([]byte, size), nil }

func releasePlain([]byte) error { return nil }
