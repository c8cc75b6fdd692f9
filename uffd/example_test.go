package uffd_test

import (
	"errors"
	"fmt"
	"log"

	"github.com/firsttouch/firsttouch/uffd"
)

func ExampleRange() {
	r, ok := uffd.RangeAt(0x7f000000, 0x2000)
	fmt.Println(r, r.Len(), r.Contains(0x7f001fff), ok)
	_, ok = uffd.RangeAt(^uffd.Addr(0), 2)
	fmt.Println("beyond the address space:", ok)
	// Output:
	// [0x7f000000,0x7f002000) 8192 true true
	// beyond the address space: false
}

func ExampleFeatures() {
	want := uffd.FeatureThreadID | uffd.FeatureExactAddress
	fmt.Println(want, want.Has(uffd.FeatureMove))
	// Output: THREAD_ID|EXACT_ADDRESS false
}

// A program that cannot use userfaultfd tells its user what to change.
func ExampleOpen() {
	fd, err := uffd.Open(
		uffd.WithFeatures(uffd.FeatureThreadID),
		uffd.WithOptionalFeatures(uffd.FeatureExactAddress),
	)
	if refused, ok := errors.AsType[*uffd.OpenError](err); ok {
		for _, r := range refused.Refusals {
			fmt.Printf("%v: %v: %s\n", r.Path, r.Err, r.Remedy)
		}
		return
	}
	if err != nil {
		log.Fatal(err)
	}
	defer fd.Close()
	if fd.UserModeOnly() {
		fmt.Println("do not hand armed memory to system calls")
	}
}

// Serving the memory of another process, whose monitor sent the descriptor: each page is copied
// from a snapshot of that memory, which begins at base, when it is first touched.
func ExampleFD_Read() {
	var (
		received = 5          // came over a Unix socket
		snapshot []byte       // for example a mapped file
		base     uffd.Addr    // where the other process has it
		msgs     [64]uffd.Msg // reused for every batch
	)
	fd, err := uffd.Adopt(received)
	if err != nil {
		log.Fatal(err)
	}
	defer fd.Close()
	size := uffd.Addr(uffd.PageSize())
	for {
		n, err := fd.Read(msgs[:])
		if errors.Is(err, uffd.ErrClosed) {
			return // someone called fd.Close
		}
		if err != nil {
			log.Fatal(err)
		}
		for i := range msgs[:n] {
			if !msgs[i].IsPagefault() {
				continue // no event was asked for
			}
			page := msgs[i].Address().AlignDown(uintptr(size))
			from := page - base
			if _, err := fd.Copy(page, snapshot[from:from+size], 0); errors.Is(err, uffd.ErrGone) {
				return // the other process has ended
			} else if err != nil {
				log.Fatal(err)
			}
		}
	}
}

// Doctor-like output, for people.
func ExampleProbe() {
	report := uffd.Probe()
	for _, p := range report.Paths {
		fmt.Printf("%-15v %-8s %s %s\n", p.Path, p.Available, p.Reason, p.Remedy)
	}
	for _, m := range report.Memory {
		for _, mode := range m.Modes {
			fmt.Printf("%-15s %-18s %-8s %v\n", m.Kind, mode.Modes, mode.Available, mode.Ioctls)
		}
	}
}
