package pclntab

import (
	"debug/elf"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"

	"github.com/firsttouch/firsttouch/internal/procmaps"
	"golang.org/x/sys/unix"
)

const executable = "/proc/self/exe"

// loadSelf reads the table of the executable or, where that does not have this code (-buildmode=c-shared), of the library.
func loadSelf() (*Table, error) {
	f, err := os.Open(executable)
	if err != nil {
		return nil, fmt.Errorf("reading the function table needs /proc and read permission on the executable: %w", err)
	}
	defer f.Close()
	t, err := load(f)
	if err != nil {
		if f := openLibrary(anchorOf(parse).addr); f != nil {
			defer f.Close()
			if t, err := load(f); err == nil {
				return t, nil
			}
		}
	}
	return t, err
}

// openLibrary opens the file that code was mapped from, or returns nil where that file is not there any more.
func openLibrary(pc uintptr) *os.File {
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		return nil
	}
	for l, name := range procmaps.Lines(maps) {
		if pc < l.Lo || pc >= l.Hi || len(name) == 0 {
			continue
		}
		var st unix.Stat_t
		f, err := os.Open(procmaps.Path(name))
		if err != nil || unix.Fstat(int(f.Fd()), &st) != nil || st.Ino != l.Inode {
			f.Close() // nil too
			return nil
		}
		return f
	}
	return nil
}

func load(f *os.File) (*Table, error) {
	executable := f.Name()
	off, size, err := locate(f)
	if err != nil {
		return nil, fmt.Errorf("function table of %s: %w", executable, err)
	}
	// Mapped, not read: the pages are those that the runtime's own mapping has in the page cache.
	skip := off % int64(os.Getpagesize())
	m, err := unix.Mmap(int(f.Fd()), off-skip, int(size+skip), unix.PROT_READ, unix.MAP_PRIVATE)
	if err != nil {
		return nil, fmt.Errorf("mapping %d bytes of %s: %w", size, executable, err)
	}
	t, err := parse(m[skip:])
	if err == nil {
		err = t.calibrate(anchorOf(runtime.GC), anchorOf(parse))
	}
	if err != nil {
		return nil, fmt.Errorf("function table of %s (built by %s): %w", executable, runtime.Version(),
			errors.Join(err, unix.Munmap(m)))
	}
	// Calibration read all over the table. A profiler should not count in the resident memory
	// that it reports, and the few pages used later come back from the page cache.
	unix.Munlock(m)                                                                   // by mlockall(MCL_FUTURE); not locked, and not refused, as a rule
	if err := unix.Madvise(m, unix.MADV_DONTNEED); err != nil && err != unix.EINVAL { // EINVAL: locked
		return nil, fmt.Errorf("releasing pages of %s: %w", executable, errors.Join(err, unix.Munmap(m)))
	}
	return t, nil
}

// locate returns where in the file the function table is, in bytes. A linker that relocates it
// calls the section .data.rel.ro.gopclntab.
func locate(f *os.File) (off, size int64, err error) {
	e, err := elf.NewFile(f)
	if err != nil {
		return 0, 0, err
	}
	st, err := f.Stat()
	if err != nil {
		return 0, 0, err
	}
	for _, s := range e.Sections {
		if !strings.HasSuffix(s.Name, ".gopclntab") || s.Type == elf.SHT_NOBITS || s.Flags&elf.SHF_COMPRESSED != 0 {
			continue
		}
		// A mapping beyond the end of the file would end the process at the first read.
		if s.Offset > uint64(st.Size()) || s.FileSize > uint64(st.Size())-s.Offset {
			return 0, 0, fmt.Errorf("section %s ends behind the end of the file", s.Name)
		}
		return int64(s.Offset), int64(s.FileSize), nil
	}
	return 0, 0, errors.New("no section .gopclntab: leave the section table in place (strip keeps it, packers and sstrip do not)")
}
