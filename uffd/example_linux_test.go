package uffd_test

import (
	"errors"
	"fmt"
	"log"
	"os"
	"slices"

	"github.com/firsttouch/firsttouch/uffd"
	"golang.org/x/sys/unix"
)

// The examples serve memory of their own process, so that they can run here. Each touch is one of a system call: see
// "Own memory" in the package's documentation for what happens to others. A real handler serves another process.

// mapped is memory for an example.
func mapped(pages int) []byte {
	mem, err := unix.Mmap(-1, 0, pages*uffd.PageSize(), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		log.Fatal(err)
	}
	return mem
}

// kernelReads touches mem by write(2) to a pipe, and answers with what the kernel found there.
func kernelReads(mem []byte) <-chan string {
	found := make(chan string, 1)
	go func() {
		r, w, err := os.Pipe()
		if err != nil {
			log.Fatal(err)
		}
		defer r.Close()
		defer w.Close()
		if _, err := unix.Write(int(w.Fd()), mem); err != nil {
			found <- err.Error()
			return
		}
		buf := make([]byte, len(mem))
		n, _ := r.Read(buf)
		found <- string(buf[:n])
	}()
	return found
}

// Missing pages: who touches one waits, and the handler says what it holds.
func ExampleFD_Copy() {
	fd, err := uffd.Open(uffd.WithPaths(uffd.PathDevice, uffd.PathSyscall))
	if err != nil {
		log.Fatal(err)
	}
	defer fd.Close()
	mem := mapped(4)
	if _, err := fd.Register(uffd.RangeOf(mem), uffd.ModeMissing); err != nil {
		log.Fatal(err)
	}

	found := kernelReads(mem[:8])

	var msgs [8]uffd.Msg
	n, err := fd.Read(msgs[:])
	if err != nil {
		log.Fatal(err)
	}
	page := make([]byte, uffd.PageSize())
	copy(page, "restored")
	for _, m := range msgs[:n] {
		fmt.Println("a", m.Flags(), "of page", int(m.Address()-uffd.RangeOf(mem).Start)/uffd.PageSize())
		if _, err := fd.Copy(m.Address().AlignDown(uintptr(uffd.PageSize())), page, 0); err != nil {
			log.Fatal(err)
		}
	}
	fmt.Println(<-found)
	// Output:
	// a missing read of page 0
	// restored
}

// Minor faults: the page is in the file already, and is looked at, or changed through another mapping, before it is
// mapped where it is touched.
func ExampleFD_Continue() {
	file, err := unix.MemfdCreate("example", unix.MFD_CLOEXEC)
	if err != nil {
		log.Fatal(err)
	}
	defer unix.Close(file)
	if err := unix.Ftruncate(file, int64(uffd.PageSize())); err != nil {
		log.Fatal(err)
	}
	var views [2][]byte
	for i := range views {
		if views[i], err = unix.Mmap(file, 0, uffd.PageSize(), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED); err != nil {
			log.Fatal(err)
		}
	}
	guest, handler := views[0], views[1]
	copy(handler, "sent before")

	fd, err := uffd.Open(uffd.WithPaths(uffd.PathDevice, uffd.PathSyscall))
	if err != nil {
		log.Fatal(err)
	}
	defer fd.Close()
	if _, err := fd.Register(uffd.RangeOf(guest), uffd.ModeMinor); err != nil {
		log.Fatal(err)
	}
	found := kernelReads(guest[:11])

	var msgs [1]uffd.Msg
	if _, err := fd.Read(msgs[:]); err != nil {
		log.Fatal(err)
	}
	fmt.Println(msgs[0].Flags())
	copy(handler, "sent later ") // only now
	if _, err := fd.Continue(uffd.RangeOf(guest), 0); err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%q\n", <-found)
	// Output:
	// minor read
	// "sent later "
}

// Write protection: who writes waits until the handler has kept what was there.
func ExampleFD_Protect() {
	fd, err := uffd.Open(uffd.WithPaths(uffd.PathDevice, uffd.PathSyscall))
	if err != nil {
		log.Fatal(err)
	}
	defer fd.Close()
	mem := mapped(1)
	copy(mem, "before")
	page := uffd.RangeOf(mem)
	if _, err := fd.Register(page, uffd.ModeWP); err != nil {
		log.Fatal(err)
	}
	if err := fd.Protect(page); err != nil {
		log.Fatal(err)
	}

	r, w, err := os.Pipe()
	if err != nil {
		log.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	fmt.Fprint(w, "after ")
	written := make(chan error)
	go func() {
		_, err := unix.Read(int(r.Fd()), mem[:6]) // the kernel writes
		written <- err
	}()

	var msgs [1]uffd.Msg
	if _, err := fd.Read(msgs[:]); err != nil {
		log.Fatal(err)
	}
	snapshot := slices.Clone(mem[:6])
	if err := fd.Unprotect(page); err != nil {
		log.Fatal(err)
	}
	if err := <-written; err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%v: kept %q, now %q\n", msgs[0].Flags(), snapshot, mem[:6])
	// Output: write-protected write: kept "before", now "after "
}

// Move takes pages from elsewhere in the process, without a copy.
func ExampleFD_Move() {
	fd, err := uffd.Open()
	if err != nil {
		log.Fatal(err)
	}
	defer fd.Close()
	mem, staging := mapped(2), mapped(2)
	if _, err := fd.Register(uffd.RangeOf(mem), uffd.ModeMissing); err != nil {
		log.Fatal(err)
	}
	copy(staging, "first")
	copy(staging[uffd.PageSize():], "second")
	n, err := fd.Move(uffd.RangeOf(mem).Start, uffd.RangeOf(staging), 0)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(n/uffd.PageSize(), "pages:", string(mem[:5]), string(mem[uffd.PageSize():][:6]))
	fmt.Println("the source holds", staging[0])
	// Output:
	// 2 pages: first second
	// the source holds 0
}

// A page that cannot be restored: who touches it gets SIGBUS, or EFAULT in a system call, and does not read zeros.
func ExampleFD_Poison() {
	fd, err := uffd.Open()
	if err != nil {
		log.Fatal(err)
	}
	defer fd.Close()
	mem := mapped(1)
	if _, err := fd.Register(uffd.RangeOf(mem), uffd.ModeMissing); err != nil {
		log.Fatal(err)
	}
	if _, err := fd.Poison(uffd.RangeOf(mem), 0); err != nil {
		log.Fatal(err)
	}
	fmt.Println(<-kernelReads(mem[:8]))
	// Output: bad address
}

// Several pages that belong together: nobody sees one of them without the others.
func ExampleBatch() {
	fd, err := uffd.Open()
	if err != nil {
		log.Fatal(err)
	}
	defer fd.Close()
	mem := mapped(3)
	if _, err := fd.Register(uffd.RangeOf(mem), uffd.ModeMissing); err != nil {
		log.Fatal(err)
	}
	page := make([]byte, uffd.PageSize())
	batch := fd.Batch()
	for n := range 3 {
		copy(page, fmt.Sprint("page ", n))
		if _, err := batch.Copy(uffd.RangeOf(mem[n*len(page):]).Start, page, 0); err != nil {
			log.Fatal(err)
		}
	}
	if err := batch.Wake(); err != nil { // who waits for one of the three goes on now
		log.Fatal(err)
	}
	fmt.Println(string(mem[:6]), string(mem[2*len(page):][:6]))
	// Output: page 0 page 2
}

// The memory of a process that also discards, moves and unmaps it. What a page holds is known only after the events of a
// batch were applied, so these come before the faults, whatever their order; a fault whose fill says ErrAgain is tried
// again after what came since. Package serve is all of this, made ready.
func Example_events() {
	fd, err := uffd.Open(uffd.WithFeatures(uffd.FeatureEventRemove), uffd.WithPaths(uffd.PathDevice, uffd.PathSyscall))
	if err != nil {
		log.Fatal(err)
	}
	defer fd.Close()
	mem := mapped(1)
	if _, err := fd.Register(uffd.RangeOf(mem), uffd.ModeMissing); err != nil {
		log.Fatal(err)
	}
	contents := make([]byte, uffd.PageSize())
	copy(contents, "snapshot")

	handled := make(chan error, 1)
	go func() {
		var msgs [16]uffd.Msg
		var faults []uffd.Msg // new and deferred ones
		for {
			if len(faults) == 0 { // else there may be no message any more
				if err := fd.Wait(); err != nil {
					handled <- err
					return
				}
			}
			n, err := fd.TryRead(msgs[:])
			if err != nil {
				handled <- err
				return
			}
			for i := range msgs[:n] {
				switch m := &msgs[i]; m.Event {
				case uffd.EventRemove:
					fmt.Println("discarded")
					clear(contents)
				case uffd.EventPagefault:
					faults = append(faults, *m)
				}
			}
			var again []uffd.Msg
			for _, m := range faults {
				_, err := fd.Copy(m.Address().AlignDown(uintptr(uffd.PageSize())), contents, 0)
				switch {
				case errors.Is(err, uffd.ErrAgain):
					again = append(again, m)
				case err != nil:
					handled <- err
					return
				}
			}
			faults = again
		}
	}()

	fmt.Printf("%q\n", <-kernelReads(mem[:8]))
	if err := unix.Madvise(mem, unix.MADV_DONTNEED); err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%q\n", <-kernelReads(mem[:8]))
	if err := fd.Close(); err != nil {
		log.Fatal(err)
	}
	fmt.Println(errors.Is(<-handled, uffd.ErrClosed))
	// Output:
	// "snapshot"
	// discarded
	// "\x00\x00\x00\x00\x00\x00\x00\x00"
	// true
}

// Which pages were written to since the last look, without a message or a wait: a checkpoint, or a round of a live
// migration.
func ExamplePagemap_Scan() {
	fd, err := uffd.Open(uffd.WithFeatures(uffd.FeatureWPAsync))
	if err != nil {
		log.Fatal(err)
	}
	defer fd.Close()
	mem := mapped(64)
	_ = unix.Madvise(mem, unix.MADV_NOHUGEPAGE) // else a huge page is written to as one
	whole := uffd.RangeOf(mem)
	if _, err := fd.Register(whole, uffd.ModeWP); err != nil {
		log.Fatal(err)
	}
	if err := fd.Protect(whole); err != nil { // what was never protected counts as written
		log.Fatal(err)
	}
	pagemap, err := uffd.OpenPagemap(0)
	if err != nil {
		log.Fatal(err)
	}
	defer pagemap.Close()

	mem[3*uffd.PageSize()], mem[4*uffd.PageSize()], mem[40*uffd.PageSize()] = 1, 1, 1

	query := uffd.ScanQuery{Flags: uffd.ScanWPMatching | uffd.ScanCheckWPAsync, All: uffd.PageIsWritten, Return: uffd.PageIsWritten}
	for range 2 { // the first look protects again what it reports
		pages := 0
		err = pagemap.Scan(whole, query, make([]uffd.PageRegion, 16), func(regions []uffd.PageRegion) bool {
			for _, r := range regions {
				pages += int(r.Len()) / uffd.PageSize()
			}
			return true
		})
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(pages, "pages were written to")
	}
	// Output:
	// 3 pages were written to
	// 0 pages were written to
}

// A process hands its descriptor to a handler, with what the handler has to know. Both are this process here.
func ExampleReceive() {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		log.Fatal(err)
	}
	theirs, ours := os.NewFile(uintptr(pair[0]), "theirs"), os.NewFile(uintptr(pair[1]), "ours")
	defer theirs.Close()
	defer ours.Close()

	mem := mapped(1)
	sender, err := uffd.Open(uffd.WithFeatures(uffd.FeatureThreadID), uffd.WithPaths(uffd.PathDevice, uffd.PathSyscall))
	if err != nil {
		log.Fatal(err)
	}
	if _, err := sender.Register(uffd.RangeOf(mem), uffd.ModeMissing); err != nil {
		log.Fatal(err)
	}
	if err := sender.Send(theirs, []byte("the page of Thursday")); err != nil {
		log.Fatal(err)
	}
	sender.Close() // the registration lasts as long as the duplicate

	var hello [64]byte
	fd, n, err := uffd.Receive(ours, hello[:])
	if err != nil {
		log.Fatal(err)
	}
	defer fd.Close()
	fmt.Printf("%s, with %v\n", hello[:n], fd.Enabled())
	found := kernelReads(mem[:8])
	var msgs [1]uffd.Msg
	if _, err := fd.Read(msgs[:]); err != nil {
		log.Fatal(err)
	}
	contents := make([]byte, uffd.PageSize())
	copy(contents, "Thursday")
	if _, err := fd.Copy(msgs[0].Address(), contents, 0); err != nil {
		log.Fatal(err)
	}
	fmt.Println(<-found)
	// Output:
	// the page of Thursday, with THREAD_ID
	// Thursday
}
