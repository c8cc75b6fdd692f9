package uffd

import (
	"bufio"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// probeMemory maps one page of a kind, for a probe to use up. close unmaps it. Huge pages are
// mapped without a reservation, so that Register can be asked where the pool is empty; touching or
// filling one would then fail.
type probeMemory struct {
	mem   []byte
	alias []byte // a second mapping of the same pages, for the kinds that have a file
}

func newProbeMemory(kind MemoryKind) (probeMemory, error) {
	const rw = unix.PROT_READ | unix.PROT_WRITE
	switch kind {
	case MemoryAnonymous:
		return mapPage(-1, PageSize(), rw, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	case MemoryShmem:
		return mapPage(-1, PageSize(), rw, unix.MAP_SHARED|unix.MAP_ANONYMOUS)
	case MemoryMemfd:
		return mapMemfd(unix.MAP_SHARED)
	case MemoryMemfdPrivate:
		return mapMemfd(unix.MAP_PRIVATE)
	case MemoryHugetlb:
		return mapHuge(unix.MAP_SHARED)
	case MemoryHugetlbPrivate:
		return mapHuge(unix.MAP_PRIVATE)
	case MemoryFile:
		return mapProgram()
	}
	return probeMemory{}, fmt.Errorf("%w: kind of memory %q", ErrInvalid, kind)
}

func mapPage(fd, size, prot, flags int) (probeMemory, error) {
	mem, err := unix.Mmap(fd, 0, size, prot, flags)
	if err != nil {
		return probeMemory{}, fmt.Errorf("mmap: %w", err)
	}
	return probeMemory{mem: mem}, nil
}

func mapMemfd(flags int) (probeMemory, error) {
	fd, err := unix.MemfdCreate("uffd-probe", unix.MFD_CLOEXEC)
	if err != nil {
		return probeMemory{}, fmt.Errorf("memfd_create: %w", err)
	}
	defer unix.Close(fd)
	if err := unix.Ftruncate(fd, int64(PageSize())); err != nil {
		return probeMemory{}, fmt.Errorf("ftruncate: %w", err)
	}
	p, err := mapPage(fd, PageSize(), unix.PROT_READ|unix.PROT_WRITE, flags)
	if err != nil {
		return p, err
	}
	if p.alias, err = unix.Mmap(fd, 0, PageSize(), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED); err != nil {
		p.close()
		return probeMemory{}, fmt.Errorf("mmap: %w", err)
	}
	return p, nil
}

func mapHuge(flags int) (probeMemory, error) {
	size, err := hugePageSize()
	if err != nil {
		return probeMemory{}, err
	}
	flags |= unix.MAP_ANONYMOUS | unix.MAP_HUGETLB | unix.MAP_NORESERVE
	return mapPage(-1, size, unix.PROT_READ|unix.PROT_WRITE, flags)
}

// hugePageSize is the default huge page size in bytes, proc_meminfo(5).
func hugePageSize() (int, error) {
	file, err := os.Open("/proc/meminfo")
	if err != nil {
		return 0, err
	}
	defer file.Close()
	for lines := bufio.NewScanner(file); lines.Scan(); {
		var kib int
		if n, _ := fmt.Sscanf(lines.Text(), "Hugepagesize: %d kB", &kib); n == 1 {
			return kib << 10, nil
		}
	}
	return 0, errors.New("the kernel has no huge pages: /proc/meminfo has no Hugepagesize")
}

// mapProgram maps the running program: the one file that is there without asking for one.
func mapProgram() (probeMemory, error) {
	file, err := os.Open("/proc/self/exe")
	if err != nil {
		return probeMemory{}, err
	}
	defer file.Close()
	var fs unix.Statfs_t
	if err := unix.Fstatfs(int(file.Fd()), &fs); err != nil {
		return probeMemory{}, fmt.Errorf("fstatfs: %w", err)
	}
	if fs.Type == unix.TMPFS_MAGIC {
		return probeMemory{}, errors.New("the program lies on tmpfs, which is shared memory: run it from a disk")
	}
	return mapPage(int(file.Fd()), PageSize(), unix.PROT_READ, unix.MAP_PRIVATE)
}

func (p probeMemory) close() {
	for _, mem := range [][]byte{p.mem, p.alias} {
		if mem != nil {
			// Fails only at the limit of mappings, where the page may stay: one page, and no harm.
			_ = unix.Munmap(mem)
		}
	}
}
