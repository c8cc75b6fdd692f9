package main

import (
	"errors"
	"math/rand/v2"
	"os"
	"testing"

	"github.com/firsttouch/firsttouch/internal/uffdtest"
	"github.com/firsttouch/firsttouch/uffd"
	"golang.org/x/sys/unix"
)

// TestCheckpoints: each checkpoint has the pages that were written to since the last, and no other.
func TestCheckpoints(t *testing.T) {
	size := os.Getpagesize()
	const pages = 2000
	mem, err := unix.Mmap(-1, 0, pages*size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Munmap(mem)
	for n := range pages / 2 {
		mem[n*size] = 1
	}
	tracker, err := track(mem)
	if errors.Is(err, uffd.ErrNotSupported) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	for round := range 20 {
		written := make([]bool, pages)
		for range rand.IntN(pages) {
			n := rand.IntN(pages)
			mem[n*size+8]++
			written[n] = true
			uffdtest.Touch(mem[(n+1)%pages*size:]) // a read is no write
		}
		got := make([]bool, pages)
		err := tracker.checkpoint(func(r uffd.Range) {
			for at := r.Start; at < r.End; at += uffd.Addr(size) {
				n := int(at-uffd.RangeOf(mem).Start) / size
				if got[n] {
					t.Errorf("round %d: page %d is reported twice", round, n)
				}
				got[n] = true
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		for n := range pages {
			if got[n] != written[n] {
				t.Errorf("round %d: page %d changed: %v, reported: %v", round, n, written[n], got[n])
			}
		}
	}
	if err := tracker.Close(); err != nil {
		t.Error(err)
	}
}
