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
// from a snapshot of that memory, which begins at base, when it is first touched. The process discards
// memory as well (FeatureEventRemove), so the events of a batch are applied before its faults are filled,
// and a fill that comes in the middle of a change is tried again. Package serve does all of it.
func ExampleFD_Read() {
	var (
		received = 5          // came over a Unix socket
		snapshot []byte       // for example a mapped file
		base     uffd.Addr    // where the other process has it
		msgs     [64]uffd.Msg // reused for every batch
		faults   []uffd.Msg   // that have to be filled still
		gone     []uffd.Range // what was discarded
		size     = uffd.Addr(uffd.PageSize())
	)
	fd, err := uffd.Adopt(received, uffd.WithFeatures(uffd.FeatureEventRemove))
	if err != nil {
		log.Fatal(err)
	}
	defer fd.Close()
	contents := func(page uffd.Addr) []byte {
		for _, r := range gone {
			if r.Contains(page) {
				return make([]byte, size)
			}
		}
		return snapshot[page-base : page-base+size]
	}
	for {
		read := fd.Read
		if len(faults) > 0 {
			read = fd.TryRead // there may be no message, and what waits has to be tried again
		}
		n, err := read(msgs[:])
		if errors.Is(err, uffd.ErrClosed) {
			return // someone called fd.Close
		}
		if err != nil {
			log.Fatal(err)
		}
		for _, m := range msgs[:n] {
			switch m.Event {
			case uffd.EventRemove:
				gone = append(gone, m.Removed())
			case uffd.EventPagefault:
				faults = append(faults, m)
			}
		}
		var again []uffd.Msg
		for _, m := range faults {
			page := m.Address().AlignDown(uintptr(size))
			switch _, err := fd.Copy(page, contents(page), 0); {
			case errors.Is(err, uffd.ErrAgain):
				again = append(again, m)
			case errors.Is(err, uffd.ErrGone):
				return // the other process has ended
			case err != nil:
				log.Fatal(err)
			}
		}
		faults = again
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
