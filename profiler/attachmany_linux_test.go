//go:build linux && (amd64 || arm64)

package profiler

import (
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/firsttouch/firsttouch/internal/engine"
	"golang.org/x/sys/unix"
)

// Whatever is done with a file that has many mappings, the list of mappings is read a few times for all of them, and the threads
// are stopped as rarely as fits.
func TestManyMappingsAtOnce(t *testing.T) {
	const mappings, pages = 600, 4
	p := newProfiler(t, WithRescan(time.Hour), WithStopLimit(10*time.Second))
	path := diskFile(t, pages*pageSize)
	var all [][]byte
	for range mappings {
		all = append(all, mapFile(t, path, pages*pageSize, unix.PROT_READ, unix.MAP_SHARED))
	}
	var r *Region
	cost := func(what string, reads, stops int64, do func() error) {
		t.Helper()
		before, stopsBefore := p.mapsReads.Load(), p.Snapshot().Stats.Stops
		if err := do(); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		if n := p.mapsReads.Load() - before; n > reads {
			t.Errorf("%s: the mappings were read %d times, want %d at most", what, n, reads)
		}
		if n := int64(p.Snapshot().Stats.Stops - stopsBefore); n > stops {
			t.Errorf("%s: the threads were stopped %d times, want %d at most", what, n, stops)
		}
	}
	faults := func(what string, have []*[]byte, want uint64) {
		t.Helper()
		before := p.Snapshot().Regions[r.ID()].Faults
		for i, b := range have {
			if j := different(*b, contents(pages*pageSize)); j >= 0 {
				t.Fatalf("%s: byte %d of mapping %d is wrong", what, j, i)
			}
		}
		if n := p.Snapshot().Regions[r.ID()].Faults - before; n != want {
			t.Errorf("%s: %d first touches, want %d", what, n, want)
		}
	}
	var have []*[]byte
	for i := range all {
		have = append(have, &all[i])
	}
	cost("attach", 1, 4, func() (err error) { r, err = p.AttachFile(path); return err })
	if n := len(p.Snapshot().Regions[r.ID()].Mappings); n != mappings {
		t.Fatalf("%d mappings are observed, want %d", n, mappings)
	}
	faults("attached", have, mappings*pages)
	cost("a look at what did not change", 1, 0, func() error { p.look(); return nil })
	cost("arm again", 1, 4, r.Rearm)
	faults("armed again", have, mappings*pages)
	// Their owner takes every second one away.
	cost("arm again", 1, 4, r.Rearm)
	gone, left := []*[]byte{}, []*[]byte{}
	for i := range all {
		if i%2 == 0 {
			gone = append(gone, &all[i])
		} else {
			left = append(left, &all[i])
		}
	}
	for _, b := range gone {
		if _, _, n := unix.Syscall(unix.SYS_MUNMAP, addressOf(*b), uintptr(len(*b)), 0); n != 0 {
			t.Fatal(n)
		}
	}
	cost("a look at half of them gone", 3, 3, func() error { p.look(); return nil })
	if n := len(p.Snapshot().Regions[r.ID()].Mappings); n != mappings/2 {
		t.Errorf("%d mappings are observed when half of them are gone, want %d", n, mappings/2)
	}
	faults("half of them", left, mappings/2*pages)
	cost("close", 0, 1, r.Close)
	faults("closed", left, 0)
}

// Where each mapping that is observed brings the process near its limit of mappings, what does not fit is refused with the
// setting to change, and the rest is observed.
func TestManyMappingsNearTheLimit(t *testing.T) {
	inChild(t, "TestManyMappingsNearTheLimit", "near the limit", nil, func(t *testing.T) {
		const mappings, fit = 200, 100
		text, err := os.ReadFile("/proc/sys/vm/max_map_count")
		most := 65530
		if err == nil {
			most, err = strconv.Atoi(strings.TrimSpace(string(text)))
			must(t, err)
		}
		if most > 1<<18 {
			t.Skip("this system knows no limit on mappings that can be reached")
		}
		p := newProfiler(t, WithRescan(time.Hour), WithStopLimit(10*time.Second))
		path := diskFile(t, pageSize)
		for range mappings {
			mapFile(t, path, pageSize, unix.PROT_READ, unix.MAP_SHARED)
		}
		list, err := p.readMaps()
		if err != nil {
			t.Fatal(err)
		}
		// The process's own: pieces that do not merge, up to where the half of the file's mappings has room.
		own := most - min(4096, most/4) - 2*fit - len(list)
		b, err := unix.Mmap(-1, 0, (own+2)*pageSize, unix.PROT_READ, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS|unix.MAP_NORESERVE)
		if err != nil {
			t.Fatal(err)
		}
		for i := 0; i < own; i += 2 {
			if err := unix.Mprotect(b[i*pageSize:(i+1)*pageSize], unix.PROT_NONE); err != nil {
				t.Fatal(err)
			}
		}
		r, err := p.AttachFile(path)
		if err != nil {
			t.Fatal(err)
		}
		n := len(p.Snapshot().Regions[r.ID()].Mappings)
		// By signal a file needs no mapping more, where the kernel has guard markers.
		room := testDelivery() == DeliverySignal && haveGuards(t)
		if room && n != mappings {
			t.Errorf("%d mappings are observed, of %d: none takes room", n, mappings)
		}
		if !room && (n == 0 || n > fit) {
			t.Errorf("%d mappings are observed, where %d have room", n, fit)
		}
		p.look()
		p.look()
		notes := strings.Join(p.Snapshot().Stats.Notes, "\n")
		want := 1
		if room {
			want = 0
		}
		if strings.Count(notes, engine.ErrMaps.Error()) != want || strings.Contains(notes, "raise vm.max_map_count") == room {
			t.Errorf("the notes do not say it %d times:\n%s", want, notes)
		}
		if list, err = p.readMaps(); err != nil || len(list) > most-min(4096, most/4)+64 {
			t.Errorf("%d mappings, %v: what is left to the process was taken", len(list), err)
		}
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
		unix.Munmap(b)
	})
}
