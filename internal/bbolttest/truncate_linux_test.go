package bbolttest

import (
	"bytes"
	"errors"
	"os"
	"runtime/debug"
	"syscall"
	"testing"

	"github.com/firsttouch/firsttouch/profiler"
)

// Beyond the end of its file a mapping gives SIGBUS, to a touch that is armed and to one that is not,
// and what is behind a new end reads as zeros, as a plain mapping has it (mmap(2)).
func TestTruncation(t *testing.T) {
	for _, c := range []struct {
		name    string
		profile bool
		granule int
	}{
		{"plain", false, page}, {"granule=4K", true, page}, {"granule=64K", true, 64 << 10},
	} {
		t.Run(c.name, func(t *testing.T) {
			if inChild(t, nil) {
				truncate(t, c.profile, c.granule)
			}
		})
	}
}

func truncate(t *testing.T, profile bool, granule int) {
	const pages = 64
	f := newFile(t, pages)
	b := mapFile(t, f, 0, pages, syscall.PROT_READ|syscall.PROT_WRITE)
	window := func() {}
	if profile {
		p := start(t, profiler.WithGranule(granule))
		r := attach(t, p, f.Name())
		window = func() { t.Helper(); rearm(t, r) }
		defer func() { detach(t, r); checkEnd(t, "detached", b, 40*page) }()
	}
	// Half of the pages are restored when the file shrinks below them.
	touch(b, 2)
	resize(t, f, 20*page+100)
	checkEnd(t, "shorter", b, 20*page+100)
	checkSystemCall(t, b[30*page:])
	window()
	checkEnd(t, "shorter, armed", b, 20*page+100)
	checkSystemCall(t, b[31*page:])
	resize(t, f, 40*page)
	window()
	checkEnd(t, "longer again", b, 40*page)
	checkPages(t, "before the end", b[:20*page], 0)
	if !bytes.Equal(b[20*page:20*page+100], pattern(20)[:100]) {
		t.Error("the cut page lost what was before the cut")
	}
	if n := len(bytes.Trim(b[20*page+100:40*page], "\x00")); n != 0 {
		t.Errorf("%d bytes behind the cut are not zero", n)
	}
	b[39*page] = 7 // also writes work there
	window()
	resize(t, f, 39*page)
	resize(t, f, 40*page)
	if b[39*page] != 0 {
		t.Error("what was cut off is back")
	}
}

func resize(t *testing.T, f *os.File, size int) {
	t.Helper()
	if err := f.Truncate(int64(size)); err != nil {
		t.Fatal(err)
	}
}

// checkEnd asserts which pages can be read.
func checkEnd(t *testing.T, when string, b []byte, size int) {
	t.Helper()
	last := (size + page - 1) / page // first page beyond the end
	for i := range len(b) / page {
		if fault, at := faults(&b[i*page]); fault != (i >= last) {
			t.Errorf("%s: reading page %d of %d gives a signal: %v", when, i, last, fault)
		} else if fault && at != addr(b[i*page:]) {
			t.Errorf("%s: the signal at page %d is for %#x", when, i, at)
		}
	}
}

// faults reads a byte and reports the memory fault that this gives, and its address.
func faults(p *byte) (fault bool, at uintptr) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if e, ok := recover().(interface{ Addr() uintptr }); ok {
			fault, at = true, e.Addr()
		}
	}()
	sink = *p
	return false, 0
}

// checkSystemCall asserts that a system call given memory beyond the end of its file fails as it
// does without a profiler.
func checkSystemCall(t *testing.T, b []byte) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	if _, err := w.Write(b[:100]); !errors.Is(err, syscall.EFAULT) {
		t.Errorf("write(2) from beyond the end of the file: %v, want EFAULT", err)
	}
}
