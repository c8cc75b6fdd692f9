package demo

import (
	"os"
	"strconv"
	"strings"
)

// Memory is the resident memory of the service's process, in bytes, as /proc/self/status has it.
type Memory struct {
	Resident  int64 `json:"resident_bytes"`  // VmRSS, the sum of the next two and of shared memory
	Anonymous int64 `json:"anonymous_bytes"` // RssAnon: heap, stacks, the profiler's own
	File      int64 `json:"file_bytes"`      // RssFile: program and database
}

// readMemory is zero where the kernel does not tell.
func readMemory() (m Memory) {
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return m
	}
	for line := range strings.Lines(string(text)) {
		name, value, _ := strings.Cut(line, ":")
		fields := strings.Fields(value) // "1234 kB"
		if len(fields) == 0 {
			continue
		}
		kib, err := strconv.ParseInt(fields[0], 10, 64)
		if err != nil {
			continue
		}
		switch name {
		case "VmRSS":
			m.Resident = kib << 10
		case "RssAnon":
			m.Anonymous = kib << 10
		case "RssFile":
			m.File = kib << 10
		}
	}
	return m
}
