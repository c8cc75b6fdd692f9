package touchtest_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"testing"

	"github.com/firsttouch/firsttouch/exporter/touchtest"
	"github.com/firsttouch/firsttouch/internal/uffdtest"
	"golang.org/x/sys/unix"
)

var page = os.Getpagesize()

// onFile maps a file of so many pages.
func onFile(t testing.TB, pages int) (touchtest.Memory, []byte) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "index.db")
	if err := os.WriteFile(path, make([]byte, pages*page), 0o644); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	mem, err := unix.Mmap(int(f.Fd()), 0, pages*page, unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Munmap(mem) })
	return touchtest.File(path), mem
}

// offHeap is private memory that holds something.
func offHeap(t testing.TB, pages int) (touchtest.Memory, []byte) {
	t.Helper()
	mem, err := unix.Mmap(-1, 0, pages*page, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Munmap(mem) })
	for i := range pages {
		mem[i*page] = byte(i)
	}
	return touchtest.Bytes("cache", mem), mem
}

//go:noinline
func touch(mem []byte, p int) byte { return mem[p*page] }

func TestRunCounts(t *testing.T) {
	uffdtest.Need(t)
	for name, of := range map[string]func(testing.TB, int) (touchtest.Memory, []byte){"file": onFile, "memory": offHeap} {
		t.Run(name, func(t *testing.T) {
			m, mem := of(t, 50)
			touch(mem, 3) // what was touched before counts anew
			at := func(p, n int) touchtest.Range {
				return touchtest.Range{Offset: int64(p * page), Length: int64(n * page)}
			}
			for range 2 {
				r := touchtest.Run(t, m, func() {
					for _, p := range []int{3, 40, 4, 3, 40} {
						touch(mem, p)
					}
				}, touchtest.MaxFaults(3), touchtest.MaxTouched(int64(3*page)), touchtest.Only(at(3, 2), touchtest.Range{Offset: int64(41*page) - 1, Length: 1}))
				if want := []touchtest.Range{at(3, 2), at(40, 1)}; r.Faults != 3 || r.Touched != int64(3*page) || !reflect.DeepEqual(r.Ranges, want) || r.Snapshot == nil {
					t.Errorf("%d faults, %d bytes, %v; want 3 and %v", r.Faults, r.Touched, r.Ranges, want)
				}
			}
			if r := touchtest.Run(t, m, func() {}); r.Faults != 0 || len(r.Ranges) != 0 {
				t.Errorf("nothing touched %+v", r)
			}
		})
	}
}

// failing is a test that keeps what it fails with.
type failing struct {
	testing.TB
	text string
}

func (f *failing) Errorf(format string, args ...any) { f.text += fmt.Sprintf(format, args...) + "\n" }

// Fatalf ends the goroutine as testing does.
func (f *failing) Fatalf(format string, args ...any) {
	f.Errorf(format, args...)
	runtime.Goexit()
}

// TestFailuresShowCode: a limit that is broken names the code and draws where it was.
func TestFailuresShowCode(t *testing.T) {
	uffdtest.Need(t)
	m, mem := onFile(t, 256)
	f := &failing{TB: t}
	touchtest.Run(f, m, func() {
		for p := range 8 {
			touch(mem, p)
		}
		touch(mem, 101)
	}, touchtest.MaxFaults(2), touchtest.MaxTouched(1), touchtest.Only(touchtest.Range{Length: int64(8 * page)}))
	for _, want := range []string{
		"9 pages were touched, and at most 2 are allowed",
		fmt.Sprintf("%d bytes were touched, and at most 1 are allowed", 9*page),
		fmt.Sprintf("1 pages were touched outside of the ranges that are allowed, the first one at offset %d", 101*page),
		"9  github.com/firsttouch/firsttouch/exporter/touchtest_test.touch (touchtest_linux_test.go:",
		"called from github.com/firsttouch/firsttouch/exporter/touchtest_test.TestFailuresShowCode.func1",
		"[##.......................+......................................]",
		"[##.......................!......................................]",
		"! not allowed",
	} {
		if !strings.Contains(f.text, want) {
			t.Errorf("the failure lacks %q:\n%s", want, f.text)
		}
	}
}

// TestPanicGivesBack: memory is given back also when the function does not return.
func TestPanicGivesBack(t *testing.T) {
	uffdtest.Need(t)
	m, mem := onFile(t, 4)
	func() {
		defer func() {
			if recover() == nil {
				t.Error("the panic was lost")
			}
		}()
		touchtest.Run(t, m, func() { panic("on purpose") })
	}()
	if r := touchtest.Run(t, m, func() { touch(mem, 1) }); r.Faults != 1 {
		t.Errorf("%d first touches after a panic", r.Faults)
	}
}

func TestBenchmarkReports(t *testing.T) {
	uffdtest.Need(t)
	if err := flag.Set("test.benchtime", "7x"); err != nil {
		t.Fatal(err)
	}
	m, mem := onFile(t, 64)
	r := testing.Benchmark(func(b *testing.B) {
		touchtest.Benchmark(b, m, func() {
			for _, p := range []int{1, 9, 33} {
				touch(mem, p)
			}
		})
	})
	if r.N != 7 || r.Extra["pages/op"] != 3 || r.Extra["touched-B/op"] != float64(3*page) || r.Extra["stall-ns/op"] <= 0 {
		t.Errorf("%d runs: %v", r.N, r.Extra)
	}
}

// TestNotMapped: a file that is not mapped fails the test, and the next one can run.
func TestNotMapped(t *testing.T) {
	uffdtest.Need(t)
	f := &failing{TB: t}
	done := make(chan struct{})
	go func() {
		defer close(done)
		touchtest.Run(f, touchtest.File("/no/such/file"), func() { t.Error("it was run") })
	}()
	<-done
	if !strings.Contains(f.text, "touchtest: /no/such/file: watch it: ") {
		t.Errorf("it failed with %q", f.text)
	}
}
