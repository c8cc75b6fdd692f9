//go:build linux && (amd64 || arm64)

package profiler

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/firsttouch/firsttouch/internal/testproc"
	"golang.org/x/sys/unix"
)

// What a process locks is not written to swap while the profiler keeps it in a layer. Memory that is not locked is, which
// shows that the kernel does want it.
func TestLockedLayersAreNotSwapped(t *testing.T) {
	for _, c := range []struct {
		name string
		lock func(b []byte) error
	}{
		{"mlock2 with MLOCK_ONFAULT", func(b []byte) error { return mlock2(b, unix.MLOCK_ONFAULT) }},
		{"MCL_CURRENT and MCL_ONFAULT", func([]byte) error { return unix.Mlockall(mclCurrent | mclOnfault) }},
	} {
		inChild(t, "TestLockedLayersAreNotSwapped", c.name, nil, func(t *testing.T) {
			skipWithoutLocks(t, false)
			testproc.NeedSwap(t)
			reclaim := reclaimGroup(t)
			const pages = 512
			p := newProfiler(t)
			free := mapMemory(t, pages)
			r := attachMemory(t, p, free)
			reclaim()
			if l := layerOf(t, pages); l.swapped == 0 {
				t.Skipf("no swap here: the kernel swapped nothing out of a layer, of which %d bytes are in memory", l.resident)
			}
			if i := different(free, contents(pages*pageSize)); i >= 0 {
				t.Errorf("byte %d is %d", i, free[i])
			}
			closeBusy(t, r.Close)
			locked := mapMemory(t, pages)
			r = attachMemory(t, p, locked)
			must(t, c.lock(locked))
			for !layerOf(t, pages).has("lo") {
				time.Sleep(time.Millisecond)
			}
			reclaim()
			if l := layerOf(t, pages); l.swapped != 0 || l.resident != int64(pages*pageSize) {
				t.Errorf("%d bytes of a locked layer are swapped out, %d in memory:%s", l.swapped, l.resident, l.flags)
			}
			if i := different(locked, contents(pages*pageSize)); i >= 0 {
				t.Errorf("byte %d is %d", i, locked[i])
			}
			reclaim()
			if n := swapEntries(t, locked); n != 0 {
				t.Errorf("%d pages that came home are swapped out", n)
			}
			closeBusy(t, r.Close)
			reclaim()
			if text, _, all := locksOf(t, locked); !all || swapEntries(t, locked) != 0 {
				t.Errorf("given back: %d pages swapped out, %s", swapEntries(t, locked), text)
			}
			if i := different(locked, contents(pages*pageSize)); i >= 0 {
				t.Errorf("given back: byte %d is %d", i, locked[i])
			}
		})
	}
}

// layerOf is the layer that holds so many pages: no other mapping does that is registered and kept from children.
func layerOf(t *testing.T, pages int) *smap {
	t.Helper()
	var layer smap
	must(t, eachSmap(func(m *smap) bool {
		if m.has("um") && m.has("dc") && m.resident+m.swapped == int64(pages*pageSize) {
			layer = *m
		}
		return true
	}))
	if layer.hi == 0 {
		t.Fatal("there is no such layer")
	}
	return &layer
}

// reclaimGroup moves the process into a control group of its own. reclaim has the kernel take what it can get of
// its memory.
func reclaimGroup(t *testing.T) (reclaim func()) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("only root can make a control group")
	}
	parent, limit, _ := memoryGroup(t)
	group := groupName(t, strconv.Itoa(os.Getpid()))
	if err := os.Mkdir(group, 0o755); denied(err) {
		t.Skipf("no control group can be made: %v", err)
	} else {
		must(t, err)
	}
	pid := []byte(strconv.Itoa(os.Getpid()))
	if err := os.WriteFile(filepath.Join(group, "cgroup.procs"), pid, 0o644); denied(err) {
		os.Remove(group)
		t.Skipf("the control group does not take this process: %v", err)
	} else {
		must(t, err)
	}
	t.Cleanup(func() {
		must(t, os.WriteFile(filepath.Join(parent, "cgroup.procs"), pid, 0o644))
		os.Remove(group)
	})
	// memory.reclaim fails when it got less; version 1 of control groups has memory.force_empty.
	file, what := filepath.Join(group, "memory.reclaim"), "16777216"
	if limit != "memory.max" {
		file, what = filepath.Join(group, "memory.force_empty"), "0"
	}
	if _, err := os.Stat(file); err != nil {
		t.Skipf("no control group that gives memory back: %v", err)
	}
	return func() {
		for range 3 {
			if err := os.WriteFile(file, []byte(what), 0o644); err != nil && !errors.Is(err, unix.EAGAIN) && !errors.Is(err, unix.EBUSY) {
				t.Fatal(err)
			}
		}
	}
}

// mlock of a part of a file that is armed reads all of that part in, as it does elsewhere. What comes in the place of the
// placeholder is locked on fault ("lo lf" in smaps), which is the same for pages that are there: they stay, are armed
// again with the alias holding them, and are unlocked by munlock, before and after the region is closed.
func TestMlockOfAnArmedFile(t *testing.T) {
	inChildren(t, "TestMlockOfAnArmedFile", "all", nil, func(t *testing.T) {
		skipWithoutLocks(t, false)
		const pages = 64
		size := pages * pageSize
		half := size / 2
		p := newProfiler(t)
		path := newFile(t, size)
		b := mapFile(t, path, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
		want := contents(size)
		r := attach(t, p, path)
		check := func(when string, locked bool) {
			t.Helper()
			if i := different(b, want); i >= 0 {
				t.Errorf("%s: byte %d is %d, want %d", when, i, b[i], want[i])
			}
			if text, _, all := locksOf(t, b[:half]); all != locked {
				t.Errorf("%s: to be locked: %v, and is %s", when, locked, text)
			}
			if text, some, _ := locksOf(t, b[half:]); some {
				t.Errorf("%s: what nobody has locked is %s", when, text)
			}
			checkLockedTotal(t, when)
		}
		if err := unix.Mlock(b[:half]); err != nil && !(testDelivery() == DeliverySignal && errors.Is(err, unix.ENOMEM)) {
			t.Fatalf("mlock: %v", err)
		}
		if n := outOfMemory(t, b[:half]); n != 0 && testDelivery() == DeliveryThread {
			t.Errorf("%d pages of what is locked are not in memory", n)
		}
		check("locked", true)
		b[1], want[1] = 7, 7
		before := p.Snapshot().Stats.Faults
		again := uint64(pages)
		if err := r.Rearm(); errors.Is(err, ErrLocked) {
			again = 0
		} else if err != nil {
			closeBusy(t, r.Rearm)
		}
		check("armed again", true)
		if n := p.Snapshot().Stats.Faults - before; n != again {
			t.Errorf("%d faults, want %d", n, again)
		}
		must(t, unix.Munlock(b[:half]))
		check("unlocked", false)
		must(t, mlock2(b[:half], unix.MLOCK_ONFAULT))
		closeBusy(t, r.Close)
		check("given back", true)
		must(t, unix.Munlock(b[:half]))
		check("unlocked at last", false)
	})
}
