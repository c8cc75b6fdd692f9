//go:build linux && (amd64 || arm64)

package profiler

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"reflect"
	"regexp"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/firsttouch/firsttouch/internal/testproc"
	"golang.org/x/sys/unix"
)

// others are signals that are not the engine's, and what becomes of them in a Go program. Each runs without a
// profiler and with one. Those that the program survives are made more than once, so that a handler that answers
// only the first fails.
var others = []other{
	{name: "truncated file", make: func(b *bystander) {
		m := b.truncated()
		defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
		for range 3 {
			b.wantFault(m, pageSize, func() { sink = m[pageSize] })
			b.wantFault(m, pageSize+1, func() { m[pageSize+1] = 1 })
			b.wantFault(m, pageSize, func() { copy(make([]byte, 100), m[pageSize:]) })
		}
	}},
	{name: "truncated file in a system call", make: func(b *bystander) {
		m := b.truncated()
		for range 3 {
			b.touch()
			_, err := unix.Getcwd(m[pageSize:])
			saw("%T %v", err, err)
			if err != unix.EFAULT {
				b.Errorf("getcwd(2) into what the file does not have: %v", err)
			}
		}
	}},
	{name: "attached file that is truncated", make: func(b *bystander) {
		m, _ := b.attachedAndTruncated()
		defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
		for range 3 {
			for page := 4; page < 8; page++ { // touched before, and not
				b.wantFault(m, page*pageSize+7, func() { sink = m[page*pageSize+7] })
			}
		}
		wordAt(b.T, m, 3*pageSize)
		b.faults += 4 // that one, and those behind the end that were armed
	}},
	{name: "somebody else's mapping where a region was", make: func(b *bystander) {
		path := newFile(b.T, 8*pageSize)
		file := mapFile(b.T, path, 8*pageSize, unix.PROT_READ, unix.MAP_SHARED)
		b.attach(path)
		wordAt(b.T, file, 0)
		mapOver(b.T, addressOf(file), 8*pageSize)
		arena := b.memory(8)
		arena[0] = 1
		mapOver(b.T, addressOf(arena), 8*pageSize)
		defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
		for range 3 {
			for page := range 8 {
				b.wantFault(file, page*pageSize, func() { sink = file[page*pageSize] })
				b.wantFault(arena, page*pageSize, func() { sink = arena[page*pageSize] })
			}
		}
		b.faults += 2 // those before it was mapped over
	}},
	{name: "no access", make: func(b *bystander) {
		path := newFile(b.T, 8*pageSize)
		file := mapFile(b.T, path, 8*pageSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
		b.attach(path)
		defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
		memory := b.memory(8)
		for _, m := range b.byRights(file, memory) {
			for page := 1; page < 4; page++ {
				sink = m[page*pageSize]
			}
			b.faults += 2
		}
		for _, m := range [][]byte{mapMemory(b.T, 8), memory, file} {
			m[0] = 1
			must(b.T, unix.Mprotect(m[:4*pageSize], unix.PROT_NONE))
			for range 3 {
				for page := range 4 { // touched before, and not
					b.wantFault(m, page*pageSize+9, func() { sink = m[page*pageSize+9] })
					b.wantFault(m, page*pageSize+10, func() { m[page*pageSize+10] = 1 })
				}
				b.wantFault(m, pageSize, func() { copy(make([]byte, 100), m[pageSize:]) })
			}
			must(b.T, unix.Mprotect(m[:4*pageSize], unix.PROT_READ|unix.PROT_WRITE))
			m[pageSize] = 1
		}
		b.faults += 4
	}},
	{name: "write to a file that may be read", make: func(b *bystander) {
		path := newFile(b.T, 8*pageSize)
		m := b.name(mapFile(b.T, path, 8*pageSize, unix.PROT_READ, unix.MAP_SHARED))
		b.attach(path)
		wordAt(b.T, m, 2*pageSize)
		defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
		for range 3 {
			for page := range 4 { // touched before, and not
				b.wantFault(m, page*pageSize+9, func() { m[page*pageSize+9] = 1 })
			}
		}
		b.faults++
	}},
	{name: "write to a file that may be read, fatal", dies: "fatal error: fault\n[signal SIGSEGV: segmentation violation", make: func(b *bystander) {
		path := newFile(b.T, 8*pageSize)
		m := b.name(mapFile(b.T, path, 8*pageSize, unix.PROT_READ, unix.MAP_SHARED))
		b.attach(path)
		b.die(func() { m[pageSize] = 1 })
	}},
	{name: "nil dereference", make: func(b *bystander) {
		for range 3 {
			var nothing *[16]byte
			var never func()
			for _, f := range []func(){func() { sink = nothing[8] }, func() { nothing[9] = 1 }, func() { never() }} {
				if err := b.recovered(nil, f); err == nil || !strings.Contains(err.Error(), "nil pointer dereference") {
					b.Errorf("recovered %v", err)
				}
			}
		}
	}},
	{name: "notified", make: func(b *bystander) {
		b.wantNotified(unix.SIGBUS, func() { kill(b.T, unix.SIGBUS) })
	}},
	{name: "SIGBUS from outside, notified", make: func(b *bystander) {
		b.wantNotified(unix.SIGBUS, func() { b.fromOutside(unix.SIGBUS) })
	}},
	{name: "SIGSEGV from outside, notified", make: func(b *bystander) {
		b.wantNotified(unix.SIGSEGV, func() { b.fromOutside(unix.SIGSEGV) })
	}},
	{name: "sent and ignored", make: func(b *bystander) {
		signal.Ignore(unix.SIGBUS)
		runtime.LockOSThread()
		for range 4 {
			b.touch()
			must(b.T, unix.Tgkill(os.Getpid(), unix.Gettid(), unix.SIGBUS)) // taken when it returns
		}
		b.wantNotified(unix.SIGBUS, func() { b.fromOutside(unix.SIGBUS) })
	}},
	{name: "fatal fault", dies: "fatal error: fault\n[signal SIGBUS: bus error", make: func(b *bystander) {
		m := b.truncated()
		b.die(func() { sink = m[pageSize] })
	}},
	{name: "fatal fault in copy", dies: "fatal error: fault\n[signal SIGBUS: bus error", make: func(b *bystander) {
		m := b.truncated()
		b.die(func() { copy(make([]byte, 100), m[pageSize:]) })
	}},
	{name: "fatal fault with GOTRACEBACK=crash", dies: "fatal error: fault\n[signal SIGBUS: bus error", env: "GOTRACEBACK=crash",
		make: func(b *bystander) {
			m := b.truncated()
			must(b.T, unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0)) // no core file
			b.die(func() { sink = m[pageSize] })
		}},
	{name: "fatal fault of an attached file", dies: "fatal error: fault\n[signal SIGBUS: bus error", make: func(b *bystander) {
		m, touched := b.attachedAndTruncated()
		b.die(func() { sink = m[touched+pageSize] })
	}},
	{name: "fatal fault of an attached file, touched before", dies: "fatal error: fault\n[signal SIGBUS: bus error", make: func(b *bystander) {
		m, touched := b.attachedAndTruncated()
		b.die(func() { sink = m[touched] })
	}},
	{name: "panic for a fault", dies: "panic: runtime error: invalid memory address or nil pointer dereference\n[signal SIGBUS: bus error",
		make: func(b *bystander) {
			m := b.truncated()
			b.die(func() {
				debug.SetPanicOnFault(true)
				m[pageSize] = 1
			})
		}},
	{name: "fatal nil dereference", dies: "panic: runtime error: invalid memory address or nil pointer dereference\n[signal SIGSEGV: segmentation violation",
		make: func(b *bystander) {
			var nothing *[16]byte
			b.die(func() { sink = nothing[8] })
		}},
	{name: "no access, fatal", dies: "fatal error: fault\n[signal SIGSEGV: segmentation violation", make: func(b *bystander) {
		m := b.memory(8)
		for _, m := range b.byRights(nil, m) {
			sink = m[pageSize]
		}
		must(b.T, unix.Mprotect(m, unix.PROT_NONE))
		b.die(func() { m[pageSize] = 1 })
	}},
	{name: "sent and not notified", dies: "SIGBUS: bus error\nPC=", anyThread: true, make: func(b *bystander) {
		kill(b.T, unix.SIGBUS)
		b.die(nil)
	}},
	{name: "sent to a thread and not notified", dies: "SIGBUS: bus error\nPC=", anyThread: true, make: func(b *bystander) {
		runtime.LockOSThread() // as raise(3)
		must(b.T, unix.Tgkill(os.Getpid(), unix.Gettid(), unix.SIGBUS))
		b.die(nil)
	}},
	{name: "SIGBUS from outside, not notified", dies: "SIGBUS: bus error\nPC=", anyThread: true, make: func(b *bystander) {
		b.fromOutside(unix.SIGBUS)
		b.die(nil)
	}},
	{name: "SIGSEGV from outside, not notified", dies: "SIGSEGV: segmentation violation\nPC=", anyThread: true, make: func(b *bystander) {
		b.fromOutside(unix.SIGSEGV)
		b.die(nil)
	}},
}

// other is a case of others.
type other struct {
	name      string
	make      func(b *bystander)
	dies      string // what the process says when it dies of it, "" when it lives
	anyThread bool   // may take it, so where the program was says nothing
	env       string
}

// bystander is what a case is given: a process that has a profiler, or none.
type bystander struct {
	*testing.T
	p      *Profiler // nil for none
	busy   []byte    // memory for touch
	next   int
	named  int
	faults uint64 // that the profiler must have seen
}

const (
	// sawLine begins the lines in which a case says what it saw, and baseLine those of what an address is told by.
	sawLine, baseLine = "saw ", "base "
	// plainly ends the name of a case that runs without a profiler.
	plainly = ", plainly"
	// outsideFD is where a case writes which signal it wants from the process that has started it.
	outsideFD = 3
)

func saw(format string, args ...any) { fmt.Printf(sawLine+format+"\n", args...) }

// name has the runtime's addresses in some memory told by its start.
func (b *bystander) name(m []byte) []byte {
	fmt.Printf("%smemory%d %#x %#x\n", baseLine, b.named, addressOf(m), len(m))
	b.named++
	return m
}

// touch touches a page for the first time.
func (b *bystander) touch() {
	if b.next*pageSize == len(b.busy) {
		b.busy, b.next = b.memory(256), 0
	}
	b.busy[b.next*pageSize] = 1
	b.next++
	b.faults++
}

// memory is an arena's or, without a profiler, memory like it.
func (b *bystander) memory(pages int) []byte {
	b.Helper()
	if b.p != nil {
		return b.name(newArena(b.T, b.p, fmt.Sprint("arena ", b.named), pages*pageSize).Bytes())
	}
	m, err := unix.Mmap(-1, 0, pages*pageSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	must(b.T, err)
	return b.name(m)
}

// byRights are those of a file and of an arena that are armed by their rights: what has none, since its owner took them before the first touch, cannot be
// told from what is armed, see docs/limits.md.
func (b *bystander) byRights(file, arena []byte) (list [][]byte) {
	b.Helper()
	if b.p == nil || haveGuards(b.T) {
		return nil
	}
	if file != nil {
		list = append(list, file)
	}
	if b.p.eng.Without() != nil { // else arenas have a userfaultfd
		list = append(list, arena)
	}
	return list
}

func (b *bystander) attach(path string) {
	b.Helper()
	if b.p != nil {
		attach(b.T, b.p, path)
	}
}

// truncated maps two pages of a file that has one.
func (b *bystander) truncated() []byte {
	b.Helper()
	path := newFile(b.T, 2*pageSize)
	m := mapFile(b.T, path, 2*pageSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	must(b.T, os.Truncate(path, int64(pageSize)))
	return b.name(m)
}

// attachedAndTruncated maps eight pages of a file that has four since; touched is where one of the others was touched.
func (b *bystander) attachedAndTruncated() (m []byte, touched int) {
	b.Helper()
	path := newFile(b.T, 8*pageSize)
	m = mapFile(b.T, path, 8*pageSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	b.attach(path)
	touched = 5 * pageSize
	wordAt(b.T, m, 0)
	wordAt(b.T, m, touched)
	b.faults += 2
	must(b.T, os.Truncate(path, int64(4*pageSize)))
	return b.name(m), touched
}

// recovered is the error that f panics with, of which it says everything, with its address from the start of m.
func (b *bystander) recovered(m []byte, f func()) (err error) {
	b.Helper()
	b.touch()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer func() {
		b.Helper()
		v := recover()
		var blocked unix.Sigset_t
		must(b.T, unix.PthreadSigmask(unix.SIG_BLOCK, nil, &blocked))
		var ok bool
		if err, ok = v.(runtime.Error); !ok {
			b.Errorf("recovered %T, which is no runtime.Error: %v", v, v)
			return
		}
		at := "no address"
		if a, ok := v.(interface{ Addr() uintptr }); ok {
			at = fmt.Sprintf("%#x", a.Addr()-addressOf(m))
		}
		saw("%T %q, %s, signals blocked since %x", v, err, at, blocked.Val[0])
	}()
	f()
	return nil
}

// wantFault wants the panic of a fault at an offset of m.
func (b *bystander) wantFault(m []byte, offset int, f func()) {
	b.Helper()
	err, ok := b.recovered(m, f).(interface {
		error
		Addr() uintptr
	})
	if want := addressOf(m) + uintptr(offset); !ok || err.Addr() != want {
		b.Errorf("recovered %v, want a fault at %#x", err, want)
	}
}

// wantNotified wants each of some signals on the channel.
func (b *bystander) wantNotified(s unix.Signal, send func()) {
	b.Helper()
	got := make(chan os.Signal, 8)
	signal.Notify(got, s)
	defer signal.Stop(got)
	for range 4 {
		b.touch()
		send()
		select {
		case g := <-got:
			saw("notified of %v", g)
			if g != s {
				b.Errorf("notified of %v", g)
			}
		case <-time.After(testproc.Budget(10 * time.Second)):
			b.Fatalf("no notification of %v", s)
		}
	}
	if len(got) != 0 {
		b.Errorf("one %v too many", s)
	}
}

// fromOutside has the process that has started this one send it a signal.
func (b *bystander) fromOutside(s unix.Signal) {
	b.Helper()
	_, err := unix.Write(outsideFD, fmt.Appendf(nil, "%d %d\n", os.Getpid(), s))
	must(b.T, err)
}

// die wants the process to end while f, which may be nil, runs in a goroutine where nobody recovers.
func (b *bystander) die(f func()) {
	b.Helper()
	b.touch()
	if f != nil {
		go f()
	}
	time.Sleep(testproc.Budget(10 * time.Second))
	b.Error("the process lives")
}

// live makes a case in this process.
func (o *other) live(t *testing.T, plain bool) {
	b := &bystander{T: t}
	if !plain {
		b.p = newProfiler(t, WithDelivery(DeliverySignal))
	}
	fmt.Printf("%scode %#x 0\n", baseLine, runtime.FuncForPC(reflect.ValueOf(TestOtherSignalsAreAsBefore).Pointer()).Entry())
	b.busy = b.memory(64)
	b.touch()
	o.make(b)
	if b.p == nil {
		return
	}
	if n := b.p.Snapshot().Stats.Faults; n != b.faults {
		t.Errorf("%d faults, want %d: those of memory that is the profiler's", n, b.faults)
	}
}

// run makes a case in a process of its own, and returns its account.
func (o *other) run(t *testing.T, top, name string) string {
	t.Helper()
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		for sc := bufio.NewScanner(read); sc.Scan(); {
			var pid, s int
			if _, err := fmt.Sscan(sc.Text(), &pid, &s); err != nil {
				t.Errorf("%q: %v", sc.Text(), err)
			} else if err := unix.Kill(pid, unix.Signal(s)); err != nil {
				t.Errorf("kill: %v", err)
			}
		}
	}()
	// Who dies leaves its files behind.
	env := []string{caseEnv + "=" + name, "GORACE=atexit_sleep_ms=0 halt_on_error=1", "TMPDIR=" + t.TempDir()}
	if o.env != "" {
		env = append(env, o.env)
	}
	r := testproc.Do(t, top, env, hangBudget, func(_ *testing.T, c *exec.Cmd) { c.ExtraFiles = []*os.File{write} })
	write.Close()
	<-sent
	read.Close()
	if reasons := r.Skips(); len(reasons) > 0 {
		t.Skip(testproc.InChild + strings.Join(reasons, "\n"))
	}
	died := new(exec.ExitError)
	switch {
	case r.TimedOut:
		t.Fatalf("%s did not finish:\n%s", name, r.Out)
	case o.dies == "" && (r.Err != nil || !strings.Contains(r.Out, "--- PASS: "+top+" ")):
		t.Fatalf("%s ended with %v:\n%s", name, r.Err, r.Out)
	case o.dies != "" && (!errors.As(r.Err, &died) || !strings.Contains(r.Out, o.dies)):
		t.Fatalf("%s ended with %v, and without %q:\n%s", name, r.Err, o.dies, r.Out)
	}
	return account(r.Out, r.Err, o.anyThread)
}

// A signal that is not the engine's does what it does in the same program without a profiler: the same panic with the
// same address, the same last words and the same end of the process, the same notification.
func TestOtherSignalsAreAsBefore(t *testing.T) {
	const top = "TestOtherSignalsAreAsBefore"
	if name := os.Getenv(caseEnv); name != "" {
		name, plain := strings.CutSuffix(name, plainly)
		i := slices.IndexFunc(others, func(o other) bool { return o.name == name })
		others[i].live(t, plain)
		return
	}
	for _, o := range others {
		t.Run(o.name, func(t *testing.T) {
			plain, profiled := o.run(t, top, o.name+plainly), o.run(t, top, o.name)
			if plain != profiled {
				t.Errorf("without a profiler:\n%s\nwith one:\n%s", plain, profiled)
			} else if testing.Verbose() {
				t.Log(plain)
			}
		})
	}
}

// ours is what engine.Dump says of a process that crashes.
var ours = regexp.MustCompile(`^(firsttouch profiles this process: |  (fault of )?thread \d+|  the surgeon of the profiler )`)

// account is what a process has seen, its last words and how it ended, with what differs from one process to the
// next taken out. Of addresses the bases that it has named are taken out. Where any thread may have
// taken the signal, what the program did there says nothing.
func account(out string, err error, anyThread bool) string {
	var lines []string
	var bases []base
	const (
		before = iota
		dying
		tracing
		after
	)
	phase := before
	for line := range strings.Lines(out) {
		if ours.MatchString(line) {
			continue // what TestLastWords is about
		}
		line = strings.TrimSuffix(line, "\n")
		switch phase {
		case before, dying:
			var b base
			switch _, is := fmt.Sscanf(line, baseLine+"%s %v %v", &b.name, &b.lo, &b.size); {
			case is == nil:
				bases = append(bases, b)
			case strings.HasPrefix(line, sawLine):
				lines = append(lines, line)
			case lastWords.MatchString(line):
				phase = dying
				lines = append(lines, lastWord(line, bases, anyThread))
			case phase == dying && anyThread && line == "":
				phase = after
			case phase == dying && strings.HasPrefix(line, "goroutine "):
				phase = tracing
				lines = append(lines, "goroutine"+line[strings.Index(line, " ["):])
			case phase == dying && line != "" && !anyThread:
				lines = append(lines, line)
			}
		case tracing:
			switch {
			case line == "":
				phase = after
			case strings.HasPrefix(line, "created by "):
				line, _, _ = strings.Cut(line, " in goroutine ")
				lines = append(lines, line)
			case !strings.HasPrefix(line, "\t"):
				lines = append(lines, line[:max(strings.LastIndex(line, "("), 0)]) // without the arguments
			}
		}
	}
	end := "lived"
	if died := new(exec.ExitError); errors.As(err, &died) {
		s := died.Sys().(syscall.WaitStatus)
		end = fmt.Sprintf("%v, status %#x", died, uint32(s))
	}
	return strings.Join(append(lines, end), "\n")
}

// base is where something lies in one process; code has no size.
type base struct {
	name     string
	lo, size uint64
}

var (
	lastWords = regexp.MustCompile(`^(panic: |fatal error: |unexpected fault address |\[signal |SIG[A-Z]+: |PC=|signal arrived)`)
	numbered  = regexp.MustCompile(`(pc=|PC=|addr=|address )(0x[0-9a-f]+)`)
	sentCode  = regexp.MustCompile(` sigcode=(0|18446744073709551610) `) // SI_USER, SI_TKILL
	machine   = regexp.MustCompile(` m=[0-9]+`)
)

func lastWord(line string, bases []base, anyThread bool) string {
	sent := sentCode.MatchString(line)
	line = machine.ReplaceAllString(line, " m=")
	return numbered.ReplaceAllStringFunc(line, func(s string) string {
		what := numbered.FindStringSubmatch(s)
		n, _ := strconv.ParseUint(what[2], 0, 64)
		code := strings.EqualFold(what[1], "pc=")
		switch {
		case code && anyThread, !code && sent: // the sender's numbers are where an address would be, siginfo_t
			return what[1]
		case n < 0x1000:
			return s
		}
		for _, b := range bases {
			if off := int64(n - b.lo); code && b.size == 0 && off > -1<<30 && off < 1<<30 {
				return fmt.Sprintf("%s%s%+#x", what[1], b.name, off)
			}
			if !code && n-b.lo < b.size {
				return fmt.Sprintf("%s%s+%#x", what[1], b.name, n-b.lo)
			}
		}
		if code {
			return what[1] + "elsewhere" // in a library
		}
		return s
	})
}

// mapOver puts a file without a page in the place of what is there.
func mapOver(t *testing.T, addr uintptr, size int) {
	t.Helper()
	fd, err := unix.MemfdCreate("over", unix.MFD_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if _, _, e := unix.Syscall6(unix.SYS_MMAP, addr, uintptr(size), unix.PROT_READ|unix.PROT_WRITE,
		unix.MAP_SHARED|unix.MAP_FIXED, uintptr(fd), 0); e != 0 {
		t.Fatal(e)
	}
}

// ofC are signals that are not the engine's in a program with C code, which may have a handler of SIGBUS and SIGSEGV in
// front of Go's; see bystanders in testdata/cbus.
var ofC = []struct{ name, ends string }{
	{"recovered", "lived"},
	{"Go", "exit status 2"},
	{"C", "exit status 2"},
	{"a thread of C's", "signal: bus error"},
	{"nil in Go", "exit status 2"},
	{"nil in C", "exit status 2"},
	{"nil in a thread of C's", "signal: segmentation fault"},
	{"raised by C", "exit status 2"},
	{"raised by a thread of C's", "signal: bus error"},
}

// What TestOtherSignalsAreAsBefore holds of Go's handler holds of C's, and of threads that Go does not know.
func TestHandlerOfCCodeIsAsBefore(t *testing.T) {
	aside(t)
	program := buildCProgram(t.Context(), t, "cbus")
	run := func(t *testing.T, ends string, args ...string) string {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), testproc.Budget(hangBudget))
		defer cancel()
		c := exec.CommandContext(ctx, program, args...)
		c.Env = append(os.Environ(), "GOTRACEBACK=all")
		out, err := c.CombinedOutput()
		if reason, skipped := strings.CutPrefix(strings.TrimSpace(string(out)), "skip: "); skipped {
			t.Skip(reason)
		}
		a := account(string(out), err, false)
		if !strings.Contains(a, ends) {
			t.Fatalf("%q ended with %v, want %q:\n%s", args, err, ends, out)
		}
		return a
	}
	for _, o := range ofC {
		for _, handler := range []string{"", "handler"} {
			t.Run(strings.TrimSpace(o.name+" "+handler), func(t *testing.T) {
				plain, profiled := run(t, o.ends, o.name, handler), run(t, o.ends, o.name, handler, "profiler")
				if plain != profiled {
					t.Errorf("without a profiler:\n%s\nwith one:\n%s", plain, profiled)
				} else if testing.Verbose() {
					t.Log(plain)
				}
			})
		}
	}
}

// With delivery by signal the engine has handlers that stay, and one that is put in front of them is
// reported.
func TestHandlerInFront(t *testing.T) {
	for _, sig := range []unix.Signal{unix.SIGBUS, unix.SIGSEGV} {
		name := unix.SignalName(sig)
		inChild(t, "TestHandlerInFront", name, nil, func(t *testing.T) {
			p := newProfiler(t, WithDelivery(DeliverySignal), WithRescan(time.Millisecond))
			a := newArena(t, p, "arena", 8*pageSize).Bytes()
			a[0] = 1
			// struct sigaction, include/linux/signal_types.h: the handler is the first word.
			ignore := [4]uintptr{1} // SIG_IGN
			if _, _, e := unix.Syscall6(unix.SYS_RT_SIGACTION, uintptr(sig), uintptr(unsafe.Pointer(&ignore)), 0, 8, 0, 0); e != 0 {
				t.Fatal(e)
			}
			deadline := time.Now().Add(testproc.Budget(10 * time.Second))
			for !strings.Contains(strings.Join(p.Snapshot().Stats.Notes, "\n"), "the handler of "+name+" was taken") {
				if time.Now().After(deadline) {
					t.Fatalf("no note of the handler: %q", p.Snapshot().Stats.Notes)
				}
				time.Sleep(time.Millisecond)
			}
		})
	}
}
