//go:build linux && (amd64 || arm64)

package profiler

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// Where the disk gives an I/O error a touch gets SIGBUS, as it does in a plain mapping, armed or not, and
// the other pages are what they are.
func TestDiskErrors(t *testing.T) {
	inChild(t, "TestDiskErrors", "all", nil, func(t *testing.T) {
		const pages, good = 1024, 100
		path := failingFile(t, pages)
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		// What read(2) says of each page is the truth, page by page: how far the kernel would read ahead, and what becomes
		// of pages that it reads together with one that gives an error, is its own affair. What it can read it leaves in
		// the page cache: out again.
		if err := unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_RANDOM); err != nil {
			t.Fatal(err)
		}
		readable := make([]bool, pages)
		n := 0
		for i := range readable {
			_, err := f.ReadAt(make([]byte, 1), int64(i*pageSize))
			if readable[i] = err == nil; readable[i] {
				n++
			} else if !errors.Is(err, unix.EIO) {
				t.Fatal(err)
			}
		}
		if n < good || n > pages-good {
			t.Fatalf("%d of %d pages can be read: want some of both", n, pages)
		}
		drop := func() {
			if err := unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED); err != nil {
				t.Fatal(err)
			}
		}
		memory := mapFile(t, path, pages*pageSize, unix.PROT_READ, unix.MAP_SHARED)
		if err := unix.Madvise(memory, unix.MADV_RANDOM); err != nil {
			t.Fatal(err)
		}
		check := func(when string) {
			t.Helper()
			drop()
			wrong := 0
			for i := range readable {
				if got := reads(page(memory, i), byte(i)); got != readable[i] {
					if wrong++; wrong < 5 {
						t.Errorf("%s: page %d: read is %v, want %v", when, i, got, readable[i])
					}
				}
			}
		}
		check("plain")
		p := newProfiler(t)
		r, err := p.AttachFile(path)
		if err != nil {
			t.Fatal(err)
		}
		check("armed")
		check("touched")
		closeBusy(t, r.Rearm)
		check("armed again")
		s := p.Snapshot()
		checkSums(t, s)
		if got := s.Regions[r.ID()]; got.Faults != 2*pages {
			t.Errorf("%d faults, want %d", got.Faults, 2*pages)
		}
		closeBusy(t, p.Close)
		check("given back")
		t.Logf("seen: %d of %d pages give SIGBUS, the same ones as unprofiled, armed, touched, armed again and given back", pages-n, pages)
	})
}

// reads reports whether a page, filled with b, can be read.
func reads(p []byte, b byte) (ok bool) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if e := recover(); e != nil {
			if _, fault := e.(interface{ Addr() uintptr }); !fault {
				panic(e)
			}
			ok = false
		}
	}()
	return p[17] == b
}

// denials are how a system says that root may not do something in a container.
var denials = []unix.Errno{unix.EPERM, unix.EACCES, unix.EROFS}

func denied(err error) bool {
	return slices.ContainsFunc(denials, func(e unix.Errno) bool { return errors.Is(err, e) })
}

func containsFold(text, part string) bool {
	return strings.Contains(strings.ToLower(text), strings.ToLower(part))
}

// failingFile makes a file of pages filled with their numbers, on a file system in a file that is cut short,
// so that its end cannot be read any more. The mount is seen by this process alone, and goes with it.
func failingFile(t *testing.T, pages int) string {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("only root can mount a file system")
	}
	for _, tool := range []string{"mkfs.ext4", "losetup", "mount"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("a disk with errors cannot be made: %v", err)
		}
	}
	dir := t.TempDir()
	source, image, mount := filepath.Join(dir, "source"), filepath.Join(dir, "image"), filepath.Join(dir, "mount")
	for _, d := range []string{source, mount} {
		if err := os.Mkdir(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	b := make([]byte, pages*pageSize)
	for i := range b {
		b[i] = byte(i / pageSize)
	}
	if err := os.WriteFile(filepath.Join(source, "data"), b, 0o644); err != nil {
		t.Fatal(err)
	}
	must := func(name string, args ...string) string {
		t.Helper()
		c := exec.Command(name, args...)
		c.Env = append(os.Environ(), "LC_ALL=C")
		out, err := c.CombinedOutput()
		if err != nil && slices.ContainsFunc(denials, func(e unix.Errno) bool { return containsFold(string(out), e.Error()) }) {
			t.Skipf("a disk with errors cannot be made: %s %s: %v\n%s", name, args, err, out)
		}
		if err != nil {
			t.Fatalf("%s %s: %v\n%s", name, args, err, out)
		}
		return strings.TrimSpace(string(out))
	}
	// What a container may not have.
	if loops, err := os.OpenFile("/dev/loop-control", os.O_RDWR, 0); denied(err) || errors.Is(err, os.ErrNotExist) {
		t.Skipf("a disk with errors cannot be made: no loop devices: %v", err)
	} else if err != nil {
		t.Fatal(err)
	} else {
		loops.Close()
	}
	const size = "32m"
	must("mkfs.ext4", "-q", "-O", "^has_journal", "-d", source, image, size)
	runtime.LockOSThread() // the mount name space is this thread's and its children's
	if err := unix.Unshare(unix.CLONE_NEWNS); denied(err) {
		t.Skipf("a disk with errors cannot be made: no mount name space of its own: %v", err)
	} else if err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		t.Fatal(err)
	}
	loop := must("losetup", "-f", "--show", image)
	t.Cleanup(func() { exec.Command("losetup", "-d", loop).Run() })
	must("mount", "-t", "ext4", "-o", "ro,noload", loop, mount)
	t.Cleanup(func() {
		if err := unix.Unmount(mount, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	path := filepath.Join(mount, "data")
	f, err := os.Open(path) // its blocks are looked up once, from then on they are known
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	if _, err := f.ReadAt(b, 0); err != nil {
		t.Fatal(err)
	}
	if err := unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(image, 5<<20); err != nil {
		t.Fatal(err)
	}
	return path
}
