// Command dirtypages shows which pages of a large table change between checkpoints: go run ./examples/dirtypages
//
// The kernel itself notes the first write to each page (FeatureWPAsync, Linux 6.7), and one PAGEMAP_SCAN reports what
// was written since the last one and begins anew. No handler is needed, and nothing waits for a message. mprotect(2)
// with a handler of SIGSEGV would need a mapping for each dirty page, of which there are 65,530.
package main

import (
	"errors"
	"fmt"
	"log"
	"math/rand/v2"
	"os"
	"time"

	"github.com/firsttouch/firsttouch/uffd"
	"golang.org/x/sys/unix"
)

// tracker knows which pages of memory were written to.
type tracker struct {
	fd      *uffd.FD
	pagemap *uffd.Pagemap
	memory  uffd.Range
	buffer  [512]uffd.PageRegion
}

// track begins to track memory of its own mapping, whose pages count as clean from now on.
func track(mem []byte) (*tracker, error) {
	fd, err := uffd.Open(uffd.WithFeatures(uffd.FeatureWPAsync))
	if err != nil {
		return nil, err
	}
	pagemap, err := uffd.OpenPagemap(0)
	if err != nil {
		return nil, errors.Join(err, fd.Close())
	}
	t := &tracker{fd: fd, pagemap: pagemap, memory: uffd.RangeOf(mem)}
	// A huge page would be dirty as a whole. Where the kernel has none there is nothing to advise against.
	if err := unix.Madvise(mem, unix.MADV_NOHUGEPAGE); err != nil && err != unix.EINVAL {
		return nil, errors.Join(err, t.Close())
	}
	if _, err := fd.Register(t.memory, uffd.ModeWP); err != nil {
		return nil, errors.Join(err, t.Close())
	}
	// Until they are protected once, all pages count as written.
	if err := fd.Protect(t.memory); err != nil {
		return nil, errors.Join(err, t.Close())
	}
	return t, nil
}

// checkpoint calls save with each range that was written to since the last one. A write that races it is in this
// checkpoint or in the next: report and protection are one step.
func (t *tracker) checkpoint(save func(uffd.Range)) error {
	q := uffd.ScanQuery{
		Flags: uffd.ScanWPMatching | uffd.ScanCheckWPAsync,
		All:   uffd.PageIsWritten, Return: uffd.PageIsWritten,
	}
	return t.pagemap.Scan(t.memory, q, t.buffer[:], func(regions []uffd.PageRegion) bool {
		for _, r := range regions {
			save(r.Range)
		}
		return true
	})
}

// Close ends the protection; the memory stays as it is.
func (t *tracker) Close() error { return errors.Join(t.pagemap.Close(), t.fd.Close()) }

func main() {
	const size = 256 << 20
	table, err := unix.Mmap(-1, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		log.Fatal(err)
	}
	t, err := track(table)
	if err != nil {
		log.Fatal(err)
	}
	defer t.Close()
	keys := rand.NewZipf(rand.New(rand.NewPCG(1, 1)), 1.1, 1, size/64-1)
	for range 10 {
		for range 100_000 {
			table[keys.Uint64()*64]++
		}
		pages, ranges, began := uintptr(0), 0, time.Now()
		err := t.checkpoint(func(r uffd.Range) {
			pages += r.Len() / uintptr(os.Getpagesize())
			ranges++
		})
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("%6d of %d pages changed, in %d ranges, found in %v\n", pages, size/os.Getpagesize(), ranges, time.Since(began).Round(10*time.Microsecond))
	}
}
