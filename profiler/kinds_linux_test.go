//go:build linux && (amd64 || arm64)

package profiler

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// sharedKinds are kinds of shared memory. make maps pages of it and returns the memory, and the path to
// attach by, if it has one.
var sharedKinds = []struct {
	name string
	make func(t *testing.T, pages int) (memory []byte, path string)
}{
	{"anonymous", func(t *testing.T, pages int) ([]byte, string) {
		return mapKind(t, -1, pages*pageSize, unix.MAP_SHARED|unix.MAP_ANONYMOUS), ""
	}},
	{"memfd", func(t *testing.T, pages int) ([]byte, string) {
		fd := newMemfd(t, pages*pageSize, 0)
		return mapKind(t, fd, pages*pageSize, unix.MAP_SHARED), fmt.Sprintf("/proc/self/fd/%d", fd)
	}},
	{"tmpfs", func(t *testing.T, pages int) ([]byte, string) {
		f := tmpfsFile(t, pages*pageSize)
		return mapKind(t, int(f.Fd()), pages*pageSize, unix.MAP_SHARED), f.Name()
	}},
}

func newMemfd(t *testing.T, size, flags int) int {
	t.Helper()
	fd, err := unix.MemfdCreate("firsttouch-test", unix.MFD_CLOEXEC|flags)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	if err := unix.Ftruncate(fd, int64(size)); err != nil {
		t.Fatal(err)
	}
	return fd
}

// tmpfsFile makes a file of holes in memory.
func tmpfsFile(t *testing.T, size int) *os.File {
	t.Helper()
	const dir = "/dev/shm"
	var fs unix.Statfs_t
	if err := unix.Statfs(dir, &fs); err != nil || fs.Type != unix.TMPFS_MAGIC {
		t.Skipf("%s is not a tmpfs here: %v", dir, err)
	}
	f, err := os.Create(filepath.Join(dir, fmt.Sprintf("firsttouch-%d-%s", os.Getpid(), strings.ReplaceAll(t.Name(), "/", "-"))))
	if err != nil {
		t.Skipf("%s is not writable: %v", dir, err)
	}
	t.Cleanup(func() { f.Close(); os.Remove(f.Name()) })
	if err := f.Truncate(int64(size)); err != nil {
		t.Fatal(err)
	}
	return f
}

// mapKind maps memory that stays until the end of the process, which is a test's own.
func mapKind(t *testing.T, fd, size, flags int) []byte {
	t.Helper()
	at, err := unix.MmapPtr(fd, 0, nil, uintptr(size), unix.PROT_READ|unix.PROT_WRITE, flags)
	if err != nil {
		t.Fatal(err)
	}
	return unsafe.Slice((*byte)(at), size)
}

// inKinds runs body in a child of its own for each kind of shared memory, attached.
func inKinds(t *testing.T, top string, pages int, body func(t *testing.T, p *Profiler, r *Region, b []byte)) {
	for _, k := range sharedKinds {
		inChild(t, top, k.name, []string{"GOGC=1"}, func(t *testing.T) {
			p := newProfiler(t, WithLogLimit(1<<22))
			collecting(t)
			b, path := k.make(t, pages)
			var r *Region
			before := smapsOf(t, b)
			if path != "" {
				// The owner promises to leave its mappings alone, so that nobody is parked.
				r = attachPath(t, p, path, WithGuard(func(critical func()) error { critical(); return nil }))
			} else {
				r = attachMemory(t, p, b)
			}
			body(t, p, r, b)
			closeBusy(t, r.Close)
			if after := smapsOf(t, b); !slices.Equal(before, after) {
				t.Errorf("mappings were %q and are %q", before, after)
			}
			checkSums(t, p.Snapshot())
		})
	}
}

func attachPath(t *testing.T, p *Profiler, path string, opts ...RegionOption) *Region {
	t.Helper()
	r, err := p.AttachFile(path, opts...)
	for try := 0; try < 10 && err != nil && strings.Contains(err.Error(), ErrBusy.Error()); try++ {
		r, err = p.AttachFile(path, opts...)
	}
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// smapsOf is what the kernel says of the mappings of some memory: their bounds, and the flags that
// userfaultfd leaves ("um", "uw", "ui") among all others.
func smapsOf(t *testing.T, b []byte) (out []string) {
	t.Helper()
	lo, hi := addressOf(b), addressOf(b)+uintptr(len(b))
	if err := eachSmap(func(m *smap) bool {
		if m.lo < hi && lo < m.hi {
			out = append(out, fmt.Sprintf("%x-%x %s %x %s%s", m.lo, m.hi, m.permissions(), m.offset, m.path,
				strings.ReplaceAll(m.flags, " gu", ""))) // that there may have been guard markers: the kernel keeps it
		}
		return true
	}); err != nil {
		t.Fatal(err)
	}
	return out
}

// Each kind of shared memory shows in every window exactly what was read and what was written, and holds what it
// held, under a storm of readers and writers.
func TestSharedMemoryWindows(t *testing.T) {
	const pages = 1024
	inKinds(t, "TestSharedMemoryWindows", pages, func(t *testing.T, p *Profiler, r *Region, b []byte) {
		copy(b, contents(len(b)))
		k := newTruth(r, b)
		rearm(t, r)
		k.storm(t, 3)
		rnd := rand.New(rand.NewPCG(3, 9))
		for range manyWindows() {
			k.window(t, p, rnd, 4)
			rearm(t, r)
		}
		k.end(t)
	})
}

// systemV maps memory of System V, which userfaultfd does not take.
func systemV(t *testing.T, size int) []byte {
	t.Helper()
	id, err := unix.SysvShmGet(unix.IPC_PRIVATE, size, unix.IPC_CREAT|0o600)
	if err != nil {
		t.Skipf("no System V shared memory here: %v", err)
	}
	b, err := unix.SysvShmAttach(id, 0, 0)
	if _, e := unix.SysvShmCtl(id, unix.IPC_RMID, nil); err != nil || e != nil {
		t.Fatal(err, e)
	}
	return b
}

// The first segment of System V after the system's start has the id 0, and so the inode 0, which private memory has too.
func TestFirstSystemVMemory(t *testing.T) {
	p := newProfiler(t)
	j, err := p.newJudge()
	if err != nil {
		t.Fatal(err)
	}
	m, err := smapAt(addressOf(systemV(t, pageSize)))
	if err != nil {
		t.Fatal(err)
	}
	m.inode = 0
	if k, why := j.kind(&m), j.refusal(&m, false); k != MappingShared || !strings.Contains(why, "System V") {
		t.Errorf("%v, %q", k, why)
	}
}

// diskFile is newFile where that is not in memory.
func diskFile(t testing.TB, size int) string {
	t.Helper()
	path := newFile(t, size)
	var fs unix.Statfs_t
	if err := unix.Statfs(path, &fs); err != nil {
		t.Fatal(err)
	}
	if fs.Type == unix.TMPFS_MAGIC {
		t.Skipf("%s is on tmpfs: set TMPDIR to a directory on a disk", path)
	}
	return path
}
