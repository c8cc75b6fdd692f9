//go:build linux && (amd64 || arm64)

package profiler

import (
	"fmt"
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
	disk := diskFile(t, size)
	fd := newMemfd(t, size, 0)
	arena := newArena(t, p, "arena", size)
	heap := make([]byte, 1<<20)
	locked := mapMemory(t, pages)
	if err := unix.Mlock(locked); err != nil {
		t.Skipf("memory cannot be locked here: %v", err)
	}
	private := mapMemory(t, pages)
	tmp := tmpfsFile(t, size)
	local := 0
	if p.eng.UserModeOnly() {
		t.Skip("Stats.UserModeOnly: memory is not attached")
	}
	move, writes := p.eng.HaveRearm() == nil, p.eng.HaveWrites() == nil
	byMove := map[bool]string{true: "AttachRange"}[move]
	whyNot := map[bool]string{false: "Linux 6.8"}[move]
	for _, c := range []struct {
		name   string
		at     uintptr
		kind   MappingKind
		attach string
		reason string
		writes bool
	}{
		{"private", addressOf(private), MappingPrivate, byMove, whyNot, writes},
		{"locked", addressOf(locked), MappingPrivate, "", "mlock", writes},
		{"shared", addressOf(mapKind(t, -1, size, unix.MAP_SHARED|unix.MAP_ANONYMOUS)), MappingShared, "AttachRange", "", writes},
		{"memfd", addressOf(mapKind(t, fd, size, unix.MAP_SHARED)), MappingShared, "AttachRange", "", writes},
		{"private memfd", addressOf(mapKind(t, fd, size, unix.MAP_PRIVATE)), MappingFilePrivate, "", "map it shared", false},
		{"tmpfs, read only", addressOf(mapFile(t, tmp.Name(), size, unix.PROT_READ, unix.MAP_SHARED)), MappingShared, "AttachFile", "", false},
		{"System V", addressOf(systemV(t, size)), MappingShared, "", "System V", false},
		{"file", addressOf(mapFile(t, disk, size, unix.PROT_READ, unix.MAP_SHARED)), MappingFile, "AttachFile", "", false},
		{"private file", addressOf(mapFile(t, disk, size, unix.PROT_READ, unix.MAP_PRIVATE)), MappingFilePrivate, "", "map it shared", false},
		{"arena", addressOf(arena.Bytes()), MappingPrivate, "", "region arena", false},
		{"Go's heap", addressOf(heap), MappingGo, "", "Go runtime", false},
		{"a goroutine's stack", uintptr(unsafe.Pointer(&local)), MappingGo, "", "Go runtime", false},
	} {
		list, err := p.Mappings()
		if err != nil {
			t.Fatal(err)
		}
		var m Mapping
		for i, o := range list {
			if i > 0 && o.Start < list[i-1].End {
				t.Errorf("%+v is behind %+v", o, list[i-1])
			}
			if o.Start <= c.at && c.at < o.End {
				m = o
			}
		}
		if m.Kind != c.kind || m.Attach != c.attach || !strings.Contains(m.Reason, c.reason) || (m.Reason == "") != (c.attach != "") || m.WritesOnly != c.writes {
			t.Errorf("%s: %+v", c.name, m)
			continue
		}
		if c.kind == MappingPrivate && c.attach != "" {
			// A mapping of ours may have merged with what others use: the list is not to be tried on it.
			continue
		}
		r, err := p.AttachMapping(m, WithName(fmt.Sprint("attached ", c.name)))
		if (err == nil) != (c.attach != "") {
			t.Errorf("%s: %v", c.name, err)
		}
		if err == nil {
			closeBusy(t, r.Close)
		}
	}
	use(heap[len(heap)-1])
}
