//go:build linux && (amd64 || arm64)

package profiler

import (
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"
	"unsafe"

	"github.com/firsttouch/firsttouch/internal/engine"
	"github.com/firsttouch/firsttouch/internal/testproc"
	"golang.org/x/sys/unix"
)

var pageSize = unix.Getpagesize()

func init() {
	engine.WithoutGuards = os.Getenv(testproc.WithoutGuardsEnv) != ""
	engine.WithoutUserfaultfd = os.Getenv(testproc.WithoutUserfaultfdEnv) != ""
}

// newProfiler starts a profiler, also where the kernel serves user mode only, and closes it after the test. Where the system refuses, the test is
// skipped with the system's reason.
func newProfiler(t testing.TB, opts ...Option) *Profiler {
	t.Helper()
	// On a busy machine it takes long until all threads have stopped, and these tests are about other things.
	p, err := New(append([]Option{WithDelivery(testDelivery()), WithFailingSystemCalls(), WithStopLimit(10 * time.Second)}, opts...)...)
	if errors.Is(err, ErrNotSupported) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := patiently(p.Close); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return p
}

func testDelivery() Delivery {
	if os.Getenv(testproc.DeliveryEnv) == DeliverySignal.String() {
		return DeliverySignal
	}
	return DeliveryThread
}

func newArena(t testing.TB, p *Profiler, name string, size int, opts ...RegionOption) *Region {
	t.Helper()
	r, err := p.NewArena(name, size, opts...)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// newFile writes a file of size bytes whose 8-byte words are numbered, so that no page is like
// another.
func newFile(t testing.TB, size int) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "data")
	if err := os.WriteFile(path, contents(size), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// contents are those of newFile.
func contents(size int) []byte {
	b := make([]byte, size+7)
	for i := 0; i < size; i += 8 {
		binary.LittleEndian.PutUint64(b[i:], uint64(i)+1)
	}
	return b[:size]
}

// mapFile maps a file as a library would, without the profiler's help.
func mapFile(t testing.TB, path string, size, prot, flags int) []byte {
	t.Helper()
	mode := os.O_RDONLY
	if prot&unix.PROT_WRITE != 0 && flags&unix.MAP_SHARED != 0 {
		mode = os.O_RDWR
	}
	f, err := os.OpenFile(path, mode, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b, err := unix.Mmap(int(f.Fd()), 0, size, prot, flags)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Munmap(b); err != nil {
			t.Errorf("munmap: %v", err)
		}
	})
	return b
}

// patiently does something again while threads are too busy to be stopped, which the machine's load may do.
func patiently(do func() error) (err error) {
	for end := time.Now().Add(testproc.Budget(20 * time.Second)); ; time.Sleep(time.Millisecond) {
		if err = do(); !errors.Is(err, ErrBusy) || time.Now().After(end) {
			return err
		}
	}
}

// attached is patiently for what makes a region.
func attached(attach func() (*Region, error)) (r *Region, err error) {
	return r, patiently(func() (err error) {
		r, err = attach()
		return err
	})
}

func attach(t testing.TB, p *Profiler, path string, opts ...RegionOption) *Region {
	t.Helper()
	r, err := attached(func() (*Region, error) { return p.AttachFile(path, opts...) })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { // before the mapping goes
		if err := patiently(r.Close); err != nil {
			t.Errorf("detach: %v", err)
		}
	})
	return r
}

// readMaps lists the mappings of this process without the profiler's help.
func readMaps() ([]procMap, error) {
	b, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		return nil, err
	}
	return parseMaps(b)
}

func addressOf(b []byte) uintptr { return uintptr(unsafe.Pointer(unsafe.SliceData(b))) }

// page is the i'th page of a region's memory.
func page(b []byte, i int) []byte { return b[i*pageSize : (i+1)*pageSize] }
