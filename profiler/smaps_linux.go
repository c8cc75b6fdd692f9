//go:build linux && (amd64 || arm64)

package profiler

import (
	"bufio"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// smap is one mapping of /proc/self/smaps (proc_pid_smaps(5)).
type smap struct {
	procMap
	page     uintptr // size of its pages
	resident int64   // bytes in memory; huge pages of hugetlbfs too, which the kernel counts apart
	swapped  int64
	flags    string // VmFlags, each between two spaces
}

// has reports one of the two-letter flags.
func (m *smap) has(flag string) bool { return strings.Contains(m.flags, " "+flag+" ") }

// huge: its pages are those of hugetlbfs.
func (m *smap) huge() bool { return m.has("ht") }

// openSmaps is a variable so that a test can count.
var openSmaps = func() (*os.File, error) { return os.Open("/proc/self/smaps") }

// eachSmap calls yield with the mappings of this process until it returns false. The kernel walks the page tables of all of
// them, so it takes processor time by what the process has in memory, 40 ms per GiB: see probe.
func eachSmap(yield func(m *smap) bool) error {
	f, err := openSmaps()
	if err != nil {
		return fmt.Errorf("read the properties of mappings: %w", err)
	}
	defer f.Close()
	var m smap
	sc := bufio.NewScanner(f)
	for sc.Scan() {
		key, rest, _ := strings.Cut(sc.Text(), ":")
		switch key {
		case "KernelPageSize":
			m.page = uintptr(kibibytes(rest))
		case "Rss", "Shared_Hugetlb", "Private_Hugetlb":
			m.resident += kibibytes(rest)
		case "Swap":
			m.swapped = kibibytes(rest)
		case "VmFlags":
			if m.flags = rest + " "; !yield(&m) {
				return nil
			}
		default:
			// Only the first line of a mapping has spaces before the colon.
			if strings.Contains(key, " ") {
				line, path, err := parseMap(sc.Bytes())
				if err != nil {
					return err
				}
				line.path = string(path)
				m = smap{procMap: line}
			}
		}
	}
	if err := sc.Err(); err != nil {
		return fmt.Errorf("read the properties of mappings: %w", err)
	}
	return nil
}

// kibibytes reads a value such as "    4 kB", in bytes.
func kibibytes(s string) int64 {
	n, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(s), " kB"), 10, 64)
	if err != nil {
		return 0
	}
	return n << 10
}

// smapAt returns the mapping that holds an address, at the cost of eachSmap.
func smapAt(addr uintptr) (out smap, err error) {
	found := false
	err = eachSmap(func(m *smap) bool {
		if found = m.lo <= addr && addr < m.hi; found {
			out = *m
		}
		return !found
	})
	if err == nil && !found {
		err = fmt.Errorf("%w: the mapping at %#x", ErrNotMapped, addr)
	}
	return out, err
}

// probe tells of a mapping what the rest of the package asks of it, without the cost of eachSmap: all but what is resident
// or in swap, and the flags of device memory. The mapping is not observed: see Engine.duplicate.
func (p *Profiler) probe(m *procMap, fs string) smap {
	at := smap{procMap: *m, page: uintptr(os.Getpagesize()), flags: " "}
	if fs == hugetlbfs { // private ones without a file too
		page, ok := uintptr(0), false
		if p.eng != nil {
			page, ok = p.eng.PageSize(m.lo)
		}
		if !ok {
			if told, err := smapAt(m.lo); err == nil {
				page = told.page
			}
		}
		at.page = max(page, at.page)
		at.flags += "ht "
	} else if p.eng != nil && p.eng.IsLocked(m.lo) {
		at.flags += "lo " // memory of devices seems so, too
	}
	if m.shared && (m.prot&unix.PROT_WRITE != 0 || p.eng != nil && p.eng.MayWrite(m.lo, at.page)) {
		at.flags += "mw "
	}
	return at
}
