package service

import (
	"encoding/binary"
	"os"
)

// anonymous is memory without a file, whose touched pages the kernel's page tables tell.
type anonymous struct{ start, end uintptr }

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
	o.memoryAt = &anonymous{start, end}
	if o.profiler() == nil {
		return nil
	}
	_, err = o.agent.AttachRange(memoryName, start, end)
	return err
}

const memoryName = "memory"

// present are the pages that are there, by pagemap (Documentation/admin-guide/mm/pagemap.rst).
func (a *anonymous) present() map[string]Bits {
	if a == nil {
		return nil
	}
	var b Bits
	f, err := os.Open("/proc/self/pagemap")
	if err != nil {
		return nil
	}
	defer f.Close()
	words := make([]byte, 8*int64(a.end-a.start)/pageSize)
	if _, err := f.ReadAt(words, 8*int64(a.start)/pageSize); err != nil {
		return nil
	}
	for i := range int64(len(words) / 8) {
		if binary.NativeEndian.Uint64(words[8*i:])>>63 != 0 {
			b.Set(i)
		}
	}
	return map[string]Bits{memoryName: b}
}
