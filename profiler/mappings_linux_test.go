//go:build linux && (amd64 || arm64)

package profiler

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Every mapping is in the list with what can be observed of it, and what the list says holds: attaching
// it works, or fails with the reason.
func TestMappingsTellWhatCanBeAttached(t *testing.T) {
	const pages = 4
	p := newProfiler(t)
	size := pages * pageSize
	if p.eng.UserModeOnly() {
		t.Skip("Stats.UserModeOnly: memory is not attached")
	}
	move, writes := p.eng.HaveRearm() == nil, p.eng.HaveWrites() == nil
	byMove := map[bool]string{true: "AttachRange"}[move]
	whyNot := map[bool]string{false: "Linux 6.8"}[move]
	byHuge, whyNotHuge := "AttachRange", ""
	if err := p.eng.HaveShared(true); err != nil {
		byHuge, whyNotHuge = "", err.Error()
	}
	fd := newMemfd(t, size, 0)
	for _, c := range []struct {
		name   string
		make   func(t *testing.T) []byte
		kind   MappingKind
		attach string
		reason string
		writes bool
	}{
		{"private", func(t *testing.T) []byte { return mapMemory(t, pages) }, MappingPrivate, byMove, whyNot, writes},
		{"locked", func(t *testing.T) []byte {
			b := mapMemory(t, pages)
			if err := unix.Mlock(b); err != nil {
				t.Skipf("memory cannot be locked here: %v", err)
			}
			t.Cleanup(func() { must(t, unix.Munlock(b)) }) // other tests count what a process without locks costs
			return b
		}, MappingPrivate, "", "mlock", writes},
		{"shared", func(t *testing.T) []byte {
			return mapKind(t, -1, size, unix.MAP_SHARED|unix.MAP_ANONYMOUS)
		}, MappingShared, "AttachRange", "", writes},
		{"memfd", func(t *testing.T) []byte { return mapKind(t, fd, size, unix.MAP_SHARED) }, MappingShared, "AttachRange", "", writes},
		{"private memfd", func(t *testing.T) []byte { return mapKind(t, fd, size, unix.MAP_PRIVATE) }, MappingFilePrivate, "", "map it shared", false},
		{"tmpfs, read only", func(t *testing.T) []byte {
			return mapFile(t, tmpfsFile(t, size).Name(), size, unix.PROT_READ, unix.MAP_SHARED)
		}, MappingShared, "AttachFile", "", false},
		{"huge pages, shared", func(t *testing.T) []byte { return mapHuge(t, pages, unix.MAP_SHARED) }, MappingHugeShared, byHuge, whyNotHuge, writes},
		{"huge pages, private", func(t *testing.T) []byte { return mapHuge(t, pages, unix.MAP_PRIVATE) }, MappingHugePrivate, "", "map them shared", writes},
		{"System V", func(t *testing.T) []byte { return systemV(t, size) }, MappingShared, "", "System V", false},
		{"file", func(t *testing.T) []byte {
			return mapFile(t, diskFile(t, size), size, unix.PROT_READ, unix.MAP_SHARED)
		}, MappingFile, "AttachFile", "", false},
		{"private file", func(t *testing.T) []byte {
			return mapFile(t, diskFile(t, size), size, unix.PROT_READ, unix.MAP_PRIVATE)
		}, MappingFilePrivate, "", "map it shared", false},
		{"arena", func(t *testing.T) []byte { return newArena(t, p, "arena", size).Bytes() }, MappingPrivate, "", "region arena", false},
		{"Go's heap", func(t *testing.T) []byte { return make([]byte, 1<<20) }, MappingGo, "", "Go runtime", false},
		{"a goroutine's stack", nil, MappingGo, "", "Go runtime", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			local := 0
			at := uintptr(unsafe.Pointer(&local))
			if c.make != nil {
				b := c.make(t)
				defer runtime.KeepAlive(b)
				at = addressOf(b)
			}
			m := mappingOf(t, p, at)
			if m.Kind != c.kind || m.Attach != c.attach || !strings.Contains(m.Reason, c.reason) || (m.Reason == "") != (c.attach != "") || m.WritesOnly != c.writes {
				t.Fatalf("%+v", m)
			}
			if c.kind == MappingPrivate && c.attach != "" {
				// A mapping of ours may have merged with what others use: the list is not to be tried on it.
				return
			}
			r, err := p.AttachMapping(m, WithName(fmt.Sprint("attached ", c.name)))
			if (err == nil) != (c.attach != "") {
				t.Error(err)
			}
			if err == nil {
				closeBusy(t, r.Close)
			}
		})
	}
}

// mappingOf is what the list, which is in order, says of the mapping that holds an address.
func mappingOf(t *testing.T, p *Profiler, at uintptr) (m Mapping) {
	t.Helper()
	list, err := p.Mappings()
	if err != nil {
		t.Fatal(err)
	}
	for i, o := range list {
		if i > 0 && o.Start < list[i-1].End {
			t.Errorf("%+v is behind %+v", o, list[i-1])
		}
		if o.Start <= at && at < o.End {
			m = o
		}
	}
	return m
}

// mapHuge maps huge pages until the end of the test, before which they cannot be taken from the system's again.
func mapHuge(t *testing.T, pages, flags int) []byte {
	t.Helper()
	size := pages * reserveHuge(t, pages)
	b := mapKind(t, -1, size, flags|unix.MAP_ANONYMOUS|unix.MAP_HUGETLB)
	t.Cleanup(func() {
		if err := unix.MunmapPtr(unsafe.Pointer(&b[0]), uintptr(size)); err != nil {
			t.Error(err)
		}
	})
	return b
}
