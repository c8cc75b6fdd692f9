// Command cheap is a program whose memory C code allocates and touches: a block of its own mapping, and
// many small ones on the heap. It attaches both by their mappings, and compares what C touches, window by
// window, with what is seen. It prints "ok", or "skip: " with a reason, or says what is wrong.
package main

/*
#include <stdlib.h>
#include <string.h>

enum { blocks = 2000, size = 3000 };
static char *small[blocks];

static char *fill(size_t n) {
	char *big = malloc(n);
	memset(big, 7, n);
	for (int i = 0; i < blocks; i++)
		memset(small[i] = malloc(size), i, size);
	return big;
}

static int wrong_small(void) {
	for (int i = 0; i < blocks; i++)
		for (int j = 0; j < size; j++)
			if (small[i][j] != (char)i)
				return 1;
	return 0;
}

static char *small_at(int i) { return small[i]; }

// touch reads or writes a byte of a page, and returns what it was before.
static char touch(char *p, int write) {
	volatile char *v = p;
	char was = *v;
	if (write)
		*v = was + 1;
	return was;
}

// store writes without reading first.
static void store(char *p, char c) { *(volatile char *)p = c; }
*/
import "C"

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"unsafe"

	"github.com/firsttouch/firsttouch/internal/testproc"
	"github.com/firsttouch/firsttouch/profiler"
)

const (
	windows = 20
	bigSize = 16 << 20
)

func main() { testproc.Tell(run(), profiler.ErrNotSupported) }

func run() error {
	big := C.fill(bigSize)
	p, err := profiler.New()
	if err != nil {
		return err
	}
	heap, err := attach(p, "C heap", uintptr(unsafe.Pointer(C.small_at(1000))), "[heap]")
	if err != nil {
		return err
	}
	block, err := attach(p, "C block", uintptr(unsafe.Pointer(big)), "")
	if err != nil {
		return err
	}
	page := uintptr(os.Getpagesize())
	first := (uintptr(unsafe.Pointer(big)) + page - 1) &^ (page - 1)
	pages := int((uintptr(unsafe.Pointer(big)) + bigSize - first) / page)
	values := make([]byte, pages)
	for i := range values {
		values[i] = 7
	}
	rnd := rand.New(rand.NewPCG(1, 1))
	for w := range windows {
		// Before arming: the C library, which allocates for threads of Go, may touch the heap as soon as it is armed.
		before := p.Snapshot()
		for _, r := range []*profiler.Region{heap, block} {
			if err := again(r.Rearm); err != nil {
				return err
			}
		}
		set := rnd.Perm(pages)[:rnd.IntN(pages)]
		want := map[uintptr]profiler.Access{}
		for j, i := range set {
			at := (*C.char)(unsafe.Add(unsafe.Pointer(big), first+uintptr(i)*page-uintptr(unsafe.Pointer(big))))
			if j%2 == 0 {
				values[i]++
				C.store(at, C.char(values[i]))
				want[first+uintptr(i)*page] = profiler.Write
			} else if got := byte(C.touch(at, 0)); got != values[i] {
				return fmt.Errorf("window %d: page %d holds %d, want %d", w, i, got, values[i])
			} else {
				want[first+uintptr(i)*page] = profiler.Read
			}
		}
		if C.wrong_small() != 0 {
			return fmt.Errorf("window %d: a small block has other contents", w)
		}
		s := p.Snapshot().Sub(before)
		small := map[uintptr]bool{}
		for _, f := range s.Faults {
			switch at := f.Address &^ (page - 1); {
			case f.Region == heap.ID():
				small[at] = true
			case at < first: // malloc's own word before the block
			case want[at] != f.Access:
				return fmt.Errorf("window %d: %v at %#x", w, f.Access, at)
			default:
				delete(want, at)
			}
		}
		if len(want) != 0 {
			return fmt.Errorf("window %d: %d of %d touches were not seen", w, len(want), len(set))
		}
		for i := range 2000 {
			at := uintptr(unsafe.Pointer(C.small_at(C.int(i)))) &^ (page - 1)
			if inside(s, heap.ID(), at) && !small[at] {
				return fmt.Errorf("window %d: the touch of small block %d at %#x was not seen", w, i, at)
			}
		}
		if s.Stats.ResolveErrs != 0 || s.Stats.Dropped != 0 {
			return fmt.Errorf("%d failed: %s; %d dropped", s.Stats.ResolveErrs, s.Stats.LastError, s.Stats.Dropped)
		}
	}
	if err := again(p.Close); err != nil {
		return err
	}
	if C.wrong_small() != 0 {
		return errors.New("a small block has other contents afterwards")
	}
	return nil
}

// inside reports whether a page is observed.
func inside(s *profiler.Snapshot, id profiler.RegionID, at uintptr) bool {
	for _, m := range s.Regions[id].Mappings {
		if m.Start <= at && at < m.End {
			return true
		}
	}
	return false
}

// attach finds the mapping of an address in the list and attaches it.
func attach(p *profiler.Profiler, name string, addr uintptr, path string) (r *profiler.Region, err error) {
	list, err := p.Mappings()
	if err != nil {
		return nil, err
	}
	for _, m := range list {
		if m.Start > addr || addr >= m.End {
			continue
		}
		if m.Kind != profiler.MappingPrivate || m.Path != path {
			return nil, fmt.Errorf("%s is %+v", name, m)
		}
		if m.Attach == "" {
			return nil, fmt.Errorf("%w: %s: %s", profiler.ErrNotSupported, name, m.Reason)
		}
		err = again(func() error { r, err = p.AttachMapping(m, profiler.WithName(name)); return err })
		return r, err
	}
	return nil, fmt.Errorf("%s at %#x is in no mapping", name, addr)
}

func again(f func() error) (err error) {
	for range 10 {
		if err = f(); !errors.Is(err, profiler.ErrBusy) {
			break
		}
	}
	return err
}
