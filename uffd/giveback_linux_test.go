package uffd

import (
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// The kernel wakes the waiters of a range that is given back only where it is registered for missing pages
// (userfaultfd_unregister in fs/userfaultfd.c). FD.Unregister wakes the others.
func TestUnregisterWakesEachKindOfWaiter(t *testing.T) {
	if !inChild(t) {
		return
	}
	for _, raw := range []bool{false, true} {
		for _, c := range []struct {
			name string
			kind MemoryKind
			mode RegisterMode
		}{
			{"missing", MemoryAnonymous, ModeMissing},
			{"protected", MemoryAnonymous, ModeWP},
			{"minor", MemoryMemfd, ModeMinor},
		} {
			name := c.name
			if raw {
				name += " by ioctl(2)"
			}
			t.Run(name, func(t *testing.T) {
				needsMode(t, c.kind, c.mode)
				a := newArea(t, c.kind, 1)
				if c.mode == ModeWP {
					a.mem[0] = 1
				} else if c.mode == ModeMinor {
					a.alias[0] = 1
				}
				fd := openKernelMode(t)
				register(t, fd, a.mem, c.mode)
				if c.mode == ModeWP {
					noErr(t, "protect", fd.Protect(a.rng()))
				}
				// The store is read(2)'s: in a system call no signal of Go's interrupts the wait.
				var pipe [2]int
				if err := unix.Pipe2(pipe[:], unix.O_CLOEXEC); err != nil {
					t.Fatal(err)
				}
				defer unix.Close(pipe[0])
				defer unix.Close(pipe[1])
				if _, err := unix.Write(pipe[1], []byte{2}); err != nil {
					t.Fatal(err)
				}
				stored := make(chan error, 1)
				go func() { _, err := unix.Read(pipe[0], a.mem[1:2]); stored <- err }()
				readFault(t, fd)
				if raw {
					arg := toArg(a.rng())
					if errno := fd.rawUnregister(&arg); errno != 0 {
						t.Fatal(errno)
					}
				} else {
					noErr(t, "unregister", fd.Unregister(a.rng()))
				}
				select {
				case err := <-stored:
					noErr(t, "read", err)
				case <-time.After(500 * time.Millisecond):
					if !raw {
						t.Error("the thread still waits")
					}
					t.Logf("the kernel leaves the thread asleep")
					noErr(t, "wake", fd.Wake(a.rng()))
					noErr(t, "read", <-stored)
				}
			})
		}
	}
}

// A range may have holes, wherever they are, and mappings of several kinds; where one of them is of a kind that is not
// taken, nothing is registered.
func TestRangeOfSeveralMappings(t *testing.T) {
	if !inChild(t) {
		return
	}
	all := newArea(t, MemoryAnonymous, 6)
	unmap := func(n int) {
		noErr(t, "munmap", unix.MunmapPtr(addressOf(all.page(n)), uintptr(all.size)))
	}
	unmap(0)
	unmap(3)
	file := memfd(t, false, all.size)
	defer unix.Close(file)
	if errno := rawMapFixed(all.pageRange(4).Start, all.size, file); errno != 0 {
		t.Fatal(errno)
	}
	fd := openTest(t)
	register(t, fd, all.mem, ModeMissing)
	for _, n := range []int{1, 2, 4, 5} {
		if _, err := fd.Zeropage(all.pageRange(n), 0); err != nil {
			t.Errorf("page %d: %v", n, err)
		}
	}
	noErr(t, "unregister", fd.Unregister(all.rng()))
	disk := diskFile(t, all.size)
	defer unix.Close(disk)
	if errno := rawMapFixed(all.pageRange(4).Start, all.size, disk); errno != 0 {
		t.Fatal(errno)
	}
	if _, err := fd.Register(all.rng(), ModeMissing); !isErr(err, ErrInvalid, unix.EINVAL) {
		t.Errorf("with a file in it: %v", err)
	}
	if _, err := fd.Zeropage(all.pageRange(1), 0); !isErr(err, ErrNotRegistered, unix.ENOENT) {
		t.Errorf("a part of what was refused is registered: %v", err)
	}
}

// Beyond the end of the file there is no page to fill. The errnos of shared memory are not those of 6.18 in 7.3: COPY
// and ZEROPAGE had EFAULT and have ENOMEM, CONTINUE had EINVAL and has EFAULT.
func TestBeyondTheEndOfTheFile(t *testing.T) {
	if !inChild(t) {
		return
	}
	file := memfd(t, false, PageSize())
	defer unix.Close(file)
	for name, flags := range map[string]int{"shared": unix.MAP_SHARED, "private": unix.MAP_PRIVATE} {
		mem, err := unix.Mmap(file, 0, 2*PageSize(), unix.PROT_READ|unix.PROT_WRITE, flags)
		if err != nil {
			t.Fatal(err)
		}
		fd := openTest(t)
		mode := ModeMissing
		if _, err := HaveRegister(MemoryMemfd, ModeMissing|ModeMinor, 0); err == nil {
			mode |= ModeMinor
		}
		register(t, fd, mem, mode)
		beyond := pageRange(mem, 1)
		fills := map[Ioctl]func() (int, error){
			IoctlCopy:     func() (int, error) { return fd.Copy(beyond.Start, pattern(1, 1), 0) },
			IoctlZeropage: func() (int, error) { return fd.Zeropage(beyond, 0) },
			IoctlPoison:   func() (int, error) { return fd.Poison(beyond, 0) },
		}
		for request, fill := range fills {
			if HaveIoctl(request) != nil {
				continue
			}
			n, err := fill()
			newer := flags == unix.MAP_SHARED && request != IoctlPoison && isErr(err, ErrNoMemory, unix.ENOMEM)
			if n != 0 || !newer && !isErr(err, ErrFault, unix.EFAULT) {
				t.Errorf("%s, %v: %d, %v", name, request, n, err)
			}
		}
		// shmem_get_folio in mm/shmem.c has an errno of its own for it.
		n, err := fd.Continue(beyond, 0)
		if HaveIoctl(IoctlContinue) == nil && (n != 0 || !isErr(err, ErrInvalid, unix.EINVAL) && !isErr(err, ErrFault, unix.EFAULT)) {
			t.Errorf("%s, CONTINUE: %d, %v", name, n, err)
		}
		noErr(t, "close", fd.Close())
	}
}

// A poison goes with its page, to where that is moved, and to a forked child.
func TestPoisonIsInherited(t *testing.T) {
	needs(t, FeaturePoison|FeatureEventRemap)
	if !inChild(t) {
		return
	}
	runtime.GOMAXPROCS(4)
	fd := openTest(t, WithFeatures(FeatureEventRemap))
	a := newArea(t, MemoryAnonymous, 1)
	register(t, fd, a.mem, ModeMissing)
	if _, err := fd.Poison(a.rng(), 0); err != nil {
		t.Fatal(err)
	}
	child := forkChild(t, stepDie(unix.SIGBUS), stepLoad(a.rng().Start, 0))
	if status := child.wait(t); !status.Signaled() || status.Signal() != unix.SIGBUS {
		t.Errorf("the child: signaled %v, %v", status.Signaled(), status.ExitStatus())
	}
	to := a.hole(t)
	moved := make(chan unix.Errno, 1)
	go func() { moved <- rawRemap(a.rng(), to) }()
	readEvent(t, fd, EventRemap)
	if errno := <-moved; errno != 0 {
		t.Fatal(errno)
	}
	var b byte
	if comesThrough(func() { b = bytesAt(Range{to, to + 1})[0] }) {
		t.Errorf("what was poisoned reads as %d at its new place", b)
	}
}

// The thread of a message is numbered in the PID namespace of the thread, not of the reader.
func TestThreadIsTheFaultersNumber(t *testing.T) {
	if os.Getenv(senderEnv) != "" {
		sendAndTouch(t)
		return
	}
	if os.Getuid() != 0 {
		t.Skip("only root can make a PID namespace here")
	}
	if !inChild(t) {
		return
	}
	conn, file := socketPair(t)
	cmd := exec.Command("/proc/self/exe", "-test.run=^TestThreadIsTheFaultersNumber$", "-test.v")
	cmd.Env, cmd.ExtraFiles = append(os.Environ(), senderEnv+"=1"), []*os.File{file}
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWPID}
	if err := cmd.Start(); err != nil {
		t.Skipf("user namespace of its own is not permitted: %v", err)
	}
	fd, _, err := Receive(conn, make([]byte, 64))
	if err != nil {
		t.Fatal(err)
	}
	defer fd.Close()
	msgs := make([]Msg, 4)
	for left := 4; left > 0; {
		n, err := fd.Read(msgs)
		if err != nil {
			t.Fatal(err)
		}
		for i := range msgs[:n] {
			// Its threads are the first ones of the namespace; here they have the numbers that follow its own.
			if id := int(msgs[i].Thread()); id <= 0 || id >= cmd.Process.Pid {
				t.Errorf("%v, of a process that is %d here", &msgs[i], cmd.Process.Pid)
			}
			at := msgs[i].Address().AlignDown(uintptr(PageSize()))
			filled, err := fd.Copy(at, pattern(byte(5-left), 1), 0)
			if err != nil {
				t.Fatal(err)
			}
			left -= filled / PageSize()
		}
	}
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
}
