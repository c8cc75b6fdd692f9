package uffd

import (
	"testing"

	"golang.org/x/sys/unix"
)

// toucher faults on one page after another from a goroutine of its own, in a system call.
type toucher struct {
	mem  []byte
	next chan int
	done chan error
}

// startToucher hands the pages whose numbers are sent on next to write(2).
func startToucher(t testing.TB, mem []byte) toucher {
	t.Helper()
	var pipe [2]int
	if err := unix.Pipe2(pipe[:], unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	work := toucher{mem: mem, next: make(chan int), done: make(chan error)}
	go func() {
		var b [1]byte
		for n := range work.next {
			_, err := unix.Write(pipe[1], page(mem, n)[:1])
			if err == nil {
				_, err = unix.Read(pipe[0], b[:])
			}
			work.done <- err
		}
		_ = unix.Close(pipe[0])
		_ = unix.Close(pipe[1])
		close(work.done)
	}()
	t.Cleanup(func() {
		close(work.next)
		<-work.done
	})
	return work
}

// faultOnce has page n touched, reads the message, fills the page and takes it away again.
func (w toucher) faultOnce(t testing.TB, fd *FD, msgs []Msg, n int) {
	w.next <- n
	got, err := fd.Read(msgs)
	if got != 1 || err != nil {
		t.Fatalf("%d messages, %v", got, err)
	}
	at := msgs[0].Address().AlignDown(uintptr(PageSize()))
	if _, err := fd.Zeropage(Range{at, at + Addr(PageSize())}, 0); err != nil {
		t.Fatal(err)
	}
	if err := <-w.done; err != nil {
		t.Fatal(err)
	}
	if err := unix.Madvise(page(w.mem, n), unix.MADV_DONTNEED); err != nil {
		t.Fatal(err)
	}
}

func TestReadAndFillsDoNotAllocate(t *testing.T) {
	if !inChild(t) {
		return
	}
	fd := openKernelMode(t)
	mem, source := anonymous(t, 1), pattern(1, 1)
	register(t, fd, mem, ModeMissing)
	work, msgs := startToucher(t, mem), make([]Msg, 16)
	work.faultOnce(t, fd, msgs, 0)
	start := RangeOf(mem).Start
	arg := copyArg{Dst: uint64(start), Len: uint64(PageSize()), Src: uint64(RangeOf(mem).Start)}
	for name, step := range map[string]func(){
		"Read and Zeropage": func() { work.faultOnce(t, fd, msgs, 0) },
		"Copy": func() {
			if n, err := fd.Copy(start, source, 0); n != len(source) || err != nil {
				t.Fatal(n, err)
			}
			if err := unix.Madvise(mem, unix.MADV_DONTNEED); err != nil {
				t.Fatal(err)
			}
		},
		"TryRead of nothing": func() {
			if n, err := fd.TryRead(msgs); n != 0 || err != nil {
				t.Fatal(n, err)
			}
		},
		"rawCopy refused": func() {
			arg.Mode = 1 << 40
			if errno := fd.rawCopy(&arg); errno != unix.EINVAL {
				t.Fatal(errno)
			}
		},
	} {
		if allocs := testing.AllocsPerRun(20, step); allocs != 0 {
			t.Errorf("%s: %v allocations", name, allocs)
		}
	}
}

// BenchmarkRead is one fault by a system call of another thread: wake the reader, read, fill, wake
// the toucher, and take the page away again.
func BenchmarkRead(b *testing.B) {
	fd := openKernelMode(b)
	const pages = 64
	mem := anonymous(b, pages)
	register(b, fd, mem, ModeMissing)
	work, msgs := startToucher(b, mem), make([]Msg, 16)
	work.faultOnce(b, fd, msgs, 0)
	b.ReportAllocs()
	for n := 0; b.Loop(); n++ {
		work.faultOnce(b, fd, msgs, n%pages)
	}
}

// benchmarkFill fills one page an iteration, nobody waiting. The pages are taken away in bulk.
func benchmarkFill(b *testing.B, fill func(fd *FD, page Range) error) {
	fd := openTest(b)
	const pages = 1024
	mem := anonymous(b, pages)
	register(b, fd, mem, ModeMissing)
	b.SetBytes(int64(PageSize()))
	b.ReportAllocs()
	for n := 0; b.Loop(); n++ {
		if n > 0 && n%pages == 0 {
			b.StopTimer()
			if err := unix.Madvise(mem, unix.MADV_DONTNEED); err != nil {
				b.Fatal(err)
			}
			b.StartTimer()
		}
		if err := fill(fd, pageRange(mem, n%pages)); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCopy(b *testing.B) {
	source := pattern(1, 1)
	benchmarkFill(b, func(fd *FD, page Range) error { _, err := fd.Copy(page.Start, source, 0); return err })
}

func BenchmarkRawCopy(b *testing.B) {
	source := anonymous(b, 1)
	arg := copyArg{Src: uint64(RangeOf(source).Start), Len: uint64(PageSize())}
	benchmarkFill(b, func(fd *FD, page Range) error {
		arg.Dst = uint64(page.Start)
		if errno := fd.rawCopy(&arg); errno != 0 {
			return errno
		}
		return nil
	})
}

func BenchmarkZeropage(b *testing.B) {
	benchmarkFill(b, func(fd *FD, page Range) error { _, err := fd.Zeropage(page, 0); return err })
}

func BenchmarkProbe(b *testing.B) {
	openTest(b)
	for b.Loop() {
		if r := Probe(); r.OpenPath == nil {
			b.Fatal(r.Reason)
		}
	}
}
