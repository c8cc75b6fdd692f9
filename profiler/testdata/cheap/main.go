// Command cheap is a program whose memory C code allocates and touches: a block of its own mapping, and
// many small ones on the heap. It attaches both by their mappings, and compares what C touches, window by
// window, with what is seen, while a thread of C's own reads and writes the lower half of the block. At the end
// every byte is what it should be, and the mappings are what they were. It prints "ok", or "skip: " with a
// reason, or says what is wrong.
package main

/*
#cgo LDFLAGS: -lpthread
#define _GNU_SOURCE
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

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

// wrong_between is how many bytes of [from, to) are not 7, the first ones of pages left out.
static size_t wrong_between(char *from, char *to, size_t page) {
	size_t wrong = 0;
	for (char *p = from; p < to; p++)
		wrong += *p != 7 && (uintptr_t)p % page != 0;
	return wrong;
}

// A storm is a thread that reads and writes pages that nobody else touches.
static struct {
	pthread_t thread;
	char *p; // its first page; set before go
	size_t pages, page;
	int go, over;
	int id;
	long rounds;
	long wrong;            // a page that had other contents, + 1
	unsigned char *values; // the first byte of each page, as written last
} storm;

static int told(int *flag) { return __atomic_load_n(flag, __ATOMIC_ACQUIRE); }

static void *rage(void *unused) {
	uint64_t rnd = 88172645463325252;
	__atomic_store_n(&storm.id, syscall(SYS_gettid), __ATOMIC_RELEASE);
	while (!told(&storm.go))
		usleep(1000);
	while (!told(&storm.over)) {
		rnd ^= rnd << 13, rnd ^= rnd >> 7, rnd ^= rnd << 17; // xorshift64
		size_t i = (rnd >> 8) % storm.pages;
		volatile unsigned char *v = (unsigned char *)storm.p + i * storm.page;
		if (rnd & 1)
			*v = ++storm.values[i];
		if (v[0] != storm.values[i] || v[storm.page / 2] != 7 || v[storm.page - 1] != 7) {
			storm.wrong = i + 1;
			break;
		}
		__atomic_add_fetch(&storm.rounds, 1, __ATOMIC_RELAXED);
	}
	return unused;
}

// start_storm makes the thread, which waits for its memory.
static int start_storm(void) {
	int failed = pthread_create(&storm.thread, NULL, rage, NULL);
	while (!failed && !told(&storm.id))
		usleep(1000);
	return failed;
}

static void let_storm(char *p, size_t pages, size_t page, unsigned char *values) {
	storm.p = p, storm.pages = pages, storm.page = page, storm.values = values;
	__atomic_store_n(&storm.go, 1, __ATOMIC_RELEASE);
}

// end_storm returns 0, or a page that had other contents, + 1.
static long end_storm(void) {
	__atomic_store_n(&storm.over, 1, __ATOMIC_RELEASE);
	__atomic_store_n(&storm.go, 1, __ATOMIC_RELEASE);
	return pthread_join(storm.thread, NULL) ? -1 : storm.wrong;
}

static int storm_id(void) { return told(&storm.id); }
static long storm_rounds(void) { return __atomic_load_n(&storm.rounds, __ATOMIC_RELAXED); }
static unsigned char values[1 << 16];
static unsigned char *values_of(void) { return values; }
static size_t most_values(void) { return sizeof values; }
*/
import "C"

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"time"
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
	// Before the block is mapped, which then lies below the guard pages of this thread's stack and is no mapping with it.
	if failed := C.start_storm(); failed != 0 {
		return fmt.Errorf("pthread_create: %d", failed)
	}
	big := C.fill(bigSize)
	p, err := profiler.New(profiler.WithFailingSystemCalls(), profiler.WithStopLimit(10*time.Second))
	if err != nil {
		return err
	}
	smaps, err := os.ReadFile("/proc/self/smaps")
	if err != nil {
		return err
	}
	heap, heapAt, err := attach(p, "C heap", uintptr(unsafe.Pointer(C.small_at(1000))), "[heap]")
	if err != nil {
		return err
	}
	block, blockAt, err := attach(p, "C block", uintptr(unsafe.Pointer(big)), "")
	if err != nil {
		return err
	}
	page := uintptr(os.Getpagesize())
	first := (uintptr(unsafe.Pointer(big)) + page - 1) &^ (page - 1)
	pages := int((uintptr(unsafe.Pointer(big)) + bigSize - first) / page)
	half := pages / 2 // the thread has those below, and what the windows touch is above
	middle := first + uintptr(half)*page
	at := func(i int) *C.char {
		return (*C.char)(unsafe.Add(unsafe.Pointer(big), first+uintptr(i)*page-uintptr(unsafe.Pointer(big))))
	}
	if most := int(C.most_values()); pages > most {
		return fmt.Errorf("%d pages, at most %d", pages, most)
	}
	values := unsafe.Slice(C.values_of(), pages)
	for i := range values {
		values[i] = 7
	}
	C.let_storm(at(0), C.size_t(half), C.size_t(page), &values[0])
	var stormed [2]int // faults, by access
	rnd := rand.New(rand.NewPCG(1, 1))
	for w := range windows {
		// Before arming: the C library, which allocates for threads of Go, may touch the heap as soon as it is armed.
		before := p.Snapshot()
		for _, r := range []*profiler.Region{heap, block} {
			if err := again(r.Rearm); err != nil {
				return err
			}
		}
		set := rnd.Perm(pages - half)[:rnd.IntN(pages-half+1)]
		want := map[uintptr]profiler.Access{}
		for j, i := range set {
			i += half
			if j%2 == 0 {
				values[i]++
				C.store(at(i), C.char(values[i]))
				want[first+uintptr(i)*page] = profiler.Write
			} else if got := C.uchar(C.touch(at(i), 0)); got != values[i] {
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
			case (f.Thread == int32(C.storm_id())) != (at < middle):
				return fmt.Errorf("window %d: thread %d at %#x, which is not its part", w, f.Thread, at)
			case at < middle:
				stormed[f.Access]++
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
	rounds := int(C.storm_rounds())
	if wrong := C.end_storm(); wrong != 0 {
		return fmt.Errorf("the thread has found page %d with other contents after %d rounds", wrong-1, rounds)
	}
	if stormed[profiler.Read] == 0 || stormed[profiler.Write] == 0 {
		return fmt.Errorf("in %d rounds the thread has touched %d pages first by reading, %d by writing", rounds, stormed[profiler.Read], stormed[profiler.Write])
	}
	return afterwards(big, at, values, page, smaps, heapAt, blockAt)
}

// afterwards compares every byte, and the mappings.
func afterwards(big *C.char, at func(i int) *C.char, values []C.uchar, page uintptr, smaps []byte, ranges ...[2]uintptr) error {
	if C.wrong_small() != 0 {
		return errors.New("a small block has other contents afterwards")
	}
	end := (*C.char)(unsafe.Add(unsafe.Pointer(big), bigSize))
	if n := C.wrong_between(big, end, C.size_t(page)); n != 0 {
		return fmt.Errorf("%d bytes of the block have other contents afterwards", n)
	}
	for i, want := range values {
		if got := C.uchar(C.touch(at(i), 0)); got != want {
			return fmt.Errorf("afterwards page %d holds %d, want %d", i, got, want)
		}
	}
	now, err := os.ReadFile("/proc/self/smaps")
	if err != nil {
		return err
	}
	for _, r := range ranges {
		if was, is := within(smaps, r), within(now, r); !slices.Equal(was, is) {
			return fmt.Errorf("mappings were %q and are %q", was, is)
		}
	}
	return nil
}

// within is what smaps says of a range: the mappings in it, their permissions, paths and flags. Bounds outside
// of the range are left out: the C library makes its heap larger, and mappings beside it.
func within(smaps []byte, r [2]uintptr) (list []string) {
	var lo, hi uintptr
	var what string
	for line := range strings.Lines(string(smaps)) {
		fields := strings.Fields(line)
		var a, b uintptr
		if n, _ := fmt.Sscanf(line, "%x-%x ", &a, &b); n == 2 {
			lo, hi, what = a, b, strings.Join(fields[1:], " ")
		} else if fields[0] == "VmFlags:" && lo < r[1] && r[0] < hi {
			list = append(list, fmt.Sprintf("%x-%x %s %s", max(lo, r[0]), min(hi, r[1]), what, strings.Join(fields[1:], " ")))
		}
	}
	return list
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

// attach finds the mapping of an address in the list and attaches it. at are its bounds.
func attach(p *profiler.Profiler, name string, addr uintptr, path string) (r *profiler.Region, at [2]uintptr, err error) {
	list, err := p.Mappings()
	if err != nil {
		return nil, at, err
	}
	for _, m := range list {
		if m.Start > addr || addr >= m.End {
			continue
		}
		if m.Kind != profiler.MappingPrivate || m.Path != path {
			return nil, at, fmt.Errorf("%s is %+v", name, m)
		}
		if m.Attach == "" {
			return nil, at, fmt.Errorf("%w: %s: %s", profiler.ErrNotSupported, name, m.Reason)
		}
		err = again(func() error { r, err = p.AttachMapping(m, profiler.WithName(name)); return err })
		return r, [2]uintptr{m.Start, m.End}, err
	}
	return nil, at, fmt.Errorf("%s at %#x is in no mapping", name, addr)
}

func again(f func() error) (err error) {
	for range 10 {
		if err = f(); !errors.Is(err, profiler.ErrBusy) {
			break
		}
	}
	return err
}
