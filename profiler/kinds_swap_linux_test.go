//go:build linux && (amd64 || arm64)

package profiler

import (
	"encoding/binary"
	"fmt"
	"os"
	"testing"
	"time"
	"unsafe"

	"github.com/firsttouch/firsttouch/internal/testproc"
	"golang.org/x/sys/unix"
)

// What was swapped out comes back at its touch, in memory that is moved and in memory that is shared, where the
// source says that it came from storage.
func TestSwappedMemory(t *testing.T) {
	inChild(t, "TestSwappedMemory", "all", nil, func(t *testing.T) {
		testproc.NeedSwap(t)
		const pages = 512
		p := newProfiler(t)
		fd := newMemfd(t, pages*pageSize, 0)
		shared := mapKind(t, fd, pages*pageSize, unix.MAP_SHARED)
		plain := mapKind(t, fd, pages*pageSize, unix.MAP_SHARED)
		private := mapMemory(t, pages)
		want := contents(pages * pageSize)
		copy(shared, want)
		var regions [2]*Region
		for round := range 3 {
			pageOut(t, private)
			swapped := swapEntries(t, private)
			if swapped == 0 && round == 0 {
				t.Skip("no swap here: the kernel swapped no page out that it was asked to")
			}
			if round == 0 {
				must(t, unix.Madvise(shared, unix.MADV_DONTNEED)) // a page that two mappings have stays in memory
				regions = [2]*Region{attachPath(t, p, fmt.Sprintf("/proc/self/fd/%d", fd)), attachMemory(t, p, private)}
			} else {
				rearm(t, regions[0])
				rearm(t, regions[1])
			}
			pageOut(t, plain)
			out := outOfMemory(t, plain)
			before := p.Snapshot()
			for i, b := range [][]byte{shared, private} {
				if at := different(b, want); at >= 0 {
					t.Errorf("%s: byte %d is %d, want %d", regions[i].Name(), at, b[at], want[at])
				}
			}
			s := p.Snapshot().Sub(before)
			disk := 0
			for _, f := range s.Faults {
				if f.Region == regions[0].ID() && f.Source == SourceDisk {
					disk++
				}
			}
			if s.Stats.Faults != 2*pages || disk > out || out > 0 && disk == 0 {
				t.Errorf("%d faults, %d from swap, where %d pages were not in memory", s.Stats.Faults, disk, out)
			}
			t.Logf("round %d: of %d pages each, %d private ones were swapped out when armed, %d shared ones not in memory when touched, %d of them seen to come from the disk",
				round, pages, swapped, out, disk)
		}
		if s := p.Snapshot(); s.Stats.ResolveErrs != 0 || s.Regions[regions[1].ID()].Left != 0 {
			t.Errorf("%d failed: %s, %d left", s.Stats.ResolveErrs, s.Stats.LastError, s.Regions[regions[1].ID()].Left)
		}
		closeBusy(t, regions[0].Close)
		closeBusy(t, regions[1].Close)
	})
}

// pageOut swaps memory out: what is written to swap stays in memory at first, and goes when it is asked for
// again.
func pageOut(t *testing.T, b []byte) {
	t.Helper()
	for range 2 {
		for i := range len(b) / pageSize {
			use(page(b, i)[0])
		}
		must(t, unix.Madvise(b, unix.MADV_PAGEOUT))
		time.Sleep(200 * time.Millisecond)
	}
}

// swapEntries counts the pages whose entry names a place in swap: bit 62, Documentation/admin-guide/mm/pagemap.rst.
// Their contents may be in memory still.
func swapEntries(t *testing.T, b []byte) (n int) {
	t.Helper()
	f, err := os.Open("/proc/self/pagemap")
	must(t, err)
	defer f.Close()
	entries := make([]byte, len(b)/pageSize*8)
	_, err = f.ReadAt(entries, int64(addressOf(b))/int64(pageSize)*8)
	must(t, err)
	for i := 0; i < len(entries); i += 8 {
		n += int(binary.NativeEndian.Uint64(entries[i:]) >> 62 & 1)
	}
	return n
}

// outOfMemory counts the pages that are not in memory.
func outOfMemory(t *testing.T, b []byte) (n int) {
	t.Helper()
	vec := make([]byte, len(b)/pageSize)
	if _, _, e := unix.Syscall(unix.SYS_MINCORE, addressOf(b), uintptr(len(b)), uintptr(unsafe.Pointer(&vec[0]))); e != 0 {
		t.Fatal(e)
	}
	for _, v := range vec {
		n += int(1 - v&1)
	}
	return n
}
