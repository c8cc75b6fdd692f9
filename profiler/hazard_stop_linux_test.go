//go:build linux && (amd64 || arm64)

package profiler

import (
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"strconv"
	"testing"
	"time"
	"unsafe"

	"github.com/firsttouch/firsttouch/internal/testproc"
	"golang.org/x/sys/unix"
)

// A process that is stopped and continued again and again loses no fault.
func TestStoppedAndContinued(t *testing.T) {
	aside(t)
	const top = "TestStoppedAndContinued"
	inChild(t, top, "all", []string{"GOGC=1"}, func(t *testing.T) {
		if pid := victim(); pid != 0 {
			over := untilEOF()
			fmt.Println("ready")
			for i := 0; ; i++ {
				select {
				case <-over:
					fmt.Printf("stopped it %d times\n", i)
					return
				default:
				}
				unix.Kill(pid, unix.SIGSTOP)
				time.Sleep(time.Duration(rand.IntN(3000)) * time.Microsecond)
				unix.Kill(pid, unix.SIGCONT)
				time.Sleep(time.Duration(rand.IntN(3000)) * time.Microsecond)
			}
		}
		p := newProfiler(t)
		end := disturb(t, top)
		underStorm(t, p, 1000, testproc.Times(3, 8), func(int) { time.Sleep(20 * time.Millisecond) })
		end()
	})
}

// A debugger attaches to all threads, the engine's too, while they fault, looks at their registers, and
// lets them go: no fault is lost and no signal either.
func TestDebuggerAttaches(t *testing.T) {
	aside(t)
	const top = "TestDebuggerAttaches"
	inChild(t, top, "all", []string{"GOGC=1"}, func(t *testing.T) {
		if pid := victim(); pid != 0 {
			debugThreads(t, pid)
			return
		}
		// Where the Yama module lets only parents trace; EINVAL where there is none.
		unix.Prctl(unix.PR_SET_PTRACER, ^uintptr(0), 0, 0, 0)
		p := newProfiler(t)
		end := disturb(t, top)
		underStorm(t, p, 1000, testproc.Times(3, 8), func(int) { time.Sleep(50 * time.Millisecond) })
		end()
	})
}

// debugThreads attaches to every thread of a process, holds all of them for a moment, and detaches.
func debugThreads(t *testing.T, pid int) {
	runtime.LockOSThread() // a tracer is a thread
	over := untilEOF()
	stops, signals := 0, 0
	seize(t, pid)
	if _, ok := hold(pid); !ok {
		t.Fatalf("thread %d was not stopped", pid)
	}
	if err := unix.PtraceDetach(pid); err != nil {
		t.Fatal(err)
	}
	fmt.Println("ready")
	for round := 0; ; round++ {
		select {
		case <-over:
			fmt.Printf("attached %d times, stopped %d threads, passed on %d signals\n", round, stops, signals)
			if stops == 0 {
				t.Error("no thread was ever stopped")
			}
			return
		default:
		}
		held := map[int]int{} // the signal to pass on, by thread
		for _, tid := range tasks(pid) {
			// A thread that ends gives EPERM until it is gone, see ptrace_attach in kernel/ptrace.c.
			if err := unix.PtraceSeize(tid); err == unix.ESRCH || err == unix.EPERM {
				continue
			} else if err != nil {
				t.Fatal(err)
			}
			if sig, ok := hold(tid); ok {
				held[tid] = sig
			}
		}
		time.Sleep(time.Duration(rand.IntN(2000)) * time.Microsecond)
		for tid, sig := range held {
			stops++
			if sig != 0 {
				signals++
			}
			unix.RawSyscall6(unix.SYS_PTRACE, unix.PTRACE_DETACH, uintptr(tid), 0, uintptr(sig), 0, 0)
		}
		time.Sleep(time.Duration(rand.IntN(4000)) * time.Microsecond)
	}
}

// seize makes this thread the tracer of another process's thread that does not end, or skips where it may not.
func seize(t *testing.T, tid int) {
	t.Helper()
	if err := unix.PtraceSeize(tid); err == unix.EPERM {
		t.Skipf("%s%v: run as root, or sysctl -w kernel.yama.ptrace_scope=0", noPtrace, err)
	} else if err != nil {
		t.Fatalf("ptrace: %v", err)
	}
}

// hold stops a thread that is traced and reads its registers. It returns the signal that the thread was
// about to get.
func hold(tid int) (sig int, ok bool) {
	const eventStop = 128 // PTRACE_EVENT_STOP, include/uapi/linux/ptrace.h
	if unix.PtraceInterrupt(tid) != nil {
		return 0, false
	}
	var st unix.WaitStatus
	for {
		switch _, err := unix.Wait4(tid, &st, unix.WALL, nil); {
		case err == unix.EINTR:
			continue
		case err != nil || !st.Stopped():
			return 0, false
		}
		break
	}
	var regs [512]byte
	vec := unix.Iovec{Base: &regs[0], Len: uint64(len(regs))}
	const status = 1 // NT_PRSTATUS, include/uapi/linux/elf.h
	if _, _, e := unix.RawSyscall6(unix.SYS_PTRACE, unix.PTRACE_GETREGSET, uintptr(tid), status, uintptr(unsafe.Pointer(&vec)), 0, 0); e != 0 {
		fmt.Println("registers:", e)
	}
	if int(st)>>16 == eventStop {
		return 0, true
	}
	return int(st.StopSignal()), true
}

// tasks lists the threads of a process.
func tasks(pid int) (tids []int) {
	entries, _ := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	for _, e := range entries {
		if tid, err := strconv.Atoi(e.Name()); err == nil {
			tids = append(tids, tid)
		}
	}
	return tids
}
