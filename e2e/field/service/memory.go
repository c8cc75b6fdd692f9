package service

import (
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// anonymous is memory without a file. How many of its pages were touched the kernel's page tables tell.
type anonymous struct {
	start, end uintptr
	cleared    bool
}

const memoryName = "memory"

// memory observes what a service has in memory.
func (o *observer) memory(i Instance) error {
	m, ok := i.(Memory)
	if !ok {
		return nil
	}
	start, end, err := m.Memory()
	if err != nil {
		return err
	}
	// A mapping of its own, so that the kernel counts its pages apart.
	if err := advise(start, end, unix.MADV_DONTDUMP); err != nil {
		return fmt.Errorf("MADV_DONTDUMP: %w", err)
	}
	o.memoryAt = &anonymous{start: start, end: end}
	if o.profiler() == nil {
		return nil
	}
	if _, err := o.agent.AttachRange(memoryName, start, end); err != nil {
		o.refused = append(o.refused, err.Error())
	}
	return nil
}

// clear begins to count, once: see clear_refs in proc(5).
func (a *anonymous) clear() error {
	if a == nil || a.cleared {
		return nil
	}
	a.cleared = true
	return os.WriteFile("/proc/self/clear_refs", []byte("1"), 0)
}

// referenced is how many pages were touched since.
func (a *anonymous) referenced() (pages int, err error) {
	if a == nil {
		return 0, nil
	}
	text, err := os.ReadFile("/proc/self/smaps")
	if err != nil {
		return 0, err
	}
	here := false
	for line := range strings.Lines(string(text)) {
		var from, to uintptr
		if n, _ := fmt.Sscanf(line, "%x-%x ", &from, &to); n == 2 {
			here = from == a.start && to == a.end
		}
		var kb int
		if n, _ := fmt.Sscanf(line, "Referenced: %d kB", &kb); n == 1 && here {
			return kb << 10 / int(pageSize), nil
		}
	}
	return 0, fmt.Errorf("no mapping %x-%x in smaps", a.start, a.end)
}
