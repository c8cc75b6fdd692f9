package agent

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/firsttouch/firsttouch/exporter/recording"
	"github.com/firsttouch/firsttouch/internal/engine"
	"github.com/firsttouch/firsttouch/internal/testproc"
	"github.com/firsttouch/firsttouch/profiler"
	"github.com/firsttouch/firsttouch/uffd"
	"golang.org/x/sys/unix"
)

const fusePages = 64

// fused is a service with an arena and a file, of both of which the first half was touched.
type fused struct {
	a     *Agent
	arena *Arena
	path  string
	file  []byte
	torn  bool // its mapping may be left in pieces, or doubled: where mremap is refused, or a thread of the engine is gone
}

func newFused(t *testing.T, opts ...Option) *fused {
	t.Helper()
	path, file := database(t, fusePages)
	f := &fused{a: start(t, append([]Option{WithFiles(path)}, opts...)...), path: path, file: file}
	var err error
	if f.arena, err = f.a.Arena("cache", fusePages*uffd.PageSize()); err != nil {
		t.Fatal(err)
	}
	for i := range fusePages / 2 {
		f.arena.Bytes()[i*uffd.PageSize()] = byte(i + 1)
		touchPage(file, i)
	}
	return f
}

// checkOff waits until the profiler is off and everything was given back, and checks what has to hold from then on.
func (f *fused) checkOff(t *testing.T, why ...string) {
	t.Helper()
	a := f.a
	select {
	case <-a.Off():
	case <-time.After(testproc.Budget(20 * time.Second)):
		t.Fatalf("it is not off: %q, %+v", a.Reason(), a.Profiler().Health())
	}
	eventually(t, "memory is given back", func() bool { return strings.Contains(a.Reason(), "all memory was given back") })
	reason := a.Reason()
	for _, w := range why {
		if !strings.Contains(reason, w) {
			t.Errorf("the reason does not say %q: %s", w, reason)
		}
	}
	if strings.ContainsAny(reason, "\r\n") {
		t.Errorf("the reason is not one line: %q", reason)
	}
	before := a.Profiler().Snapshot()
	for i := range fusePages {
		want := byte(0)
		if i < fusePages/2 {
			want = byte(i + 1)
		}
		if got := f.arena.Bytes()[i*uffd.PageSize()]; got != want {
			t.Errorf("page %d of the arena has %d, want %d", i, got, want)
		}
		if got := touchPage(f.file, i); got != byte(i) {
			t.Errorf("page %d of the file has %d", i, got)
		}
	}
	s := a.Profiler().Snapshot()
	if s.Stats.Faults != before.Stats.Faults || s.Stats.Faults == 0 {
		t.Errorf("%d faults, and %d when it was off", s.Stats.Faults, before.Stats.Faults)
	}
	if !strings.Contains(reason, s.Stats.Off) || s.Stats.Off == "" {
		t.Errorf("the snapshot says %q, the agent %q", s.Stats.Off, reason)
	}
	for _, r := range s.Regions {
		if !r.Detached || len(r.Mappings) > 0 {
			t.Errorf("region %s is still observed", r.Name)
		}
	}
	if n := mappingsOf(t, f.path); n != 1 && !f.torn {
		t.Errorf("the file has %d mappings, want the one that its owner made", n)
	}

	// Nothing is armed again, by whichever way.
	plain, err := a.Arena("late", uffd.PageSize())
	if err != nil || plain.Region() != nil {
		t.Errorf("an arena afterwards: %v, %v", plain, err)
	}
	plain.Bytes()[0] = 1
	if err := plain.Close(); err != nil {
		t.Error(err)
	}
	if _, err := a.AttachFile(f.path); !errors.Is(err, profiler.ErrNotSupported) || !strings.Contains(err.Error(), s.Stats.Off) {
		t.Errorf("AttachFile afterwards: %v", err)
	}
	if _, err := a.Profiler().AttachFile(f.path); !errors.Is(err, profiler.ErrClosed) {
		t.Errorf("AttachFile of the profiler afterwards: %v", err)
	}
	if err := f.arena.Region().Rearm(); !errors.Is(err, profiler.ErrClosed) {
		t.Errorf("Rearm afterwards: %v", err)
	}

	// What was seen can still be read.
	var rec bytes.Buffer
	if err := a.WriteRecording(&rec, "a test"); err != nil {
		t.Fatal(err)
	}
	if r, err := recording.Read(&rec); err != nil || r.Snapshot.Stats.Off != s.Stats.Off || r.Snapshot.Stats.Faults != s.Stats.Faults {
		t.Errorf("the recording: %v", err)
	}
	for name, want := range map[string]int{
		"": 200, "snapshot": 200, "profile": 200, "address": 200, "recording": 200, "mappings": 200,
		"profile?seconds=1": 503, "recording?seconds=1": 503,
	} {
		code, body := serve(t, a, basePath+name)
		if code != want {
			t.Errorf("%q: %d, want %d", name, code, want)
		}
		if why := strings.ReplaceAll(s.Stats.Off, `\`, `\\`); name == "snapshot" && !strings.Contains(body, why) ||
			want == 503 && !strings.Contains(body, s.Stats.Off) {
			t.Errorf("%q does not say why: %.2000s", name, body)
		}
		if name == "" && !(strings.Contains(body, "not profiled any more") && strings.Contains(body, f.path)) {
			t.Errorf("the page: %s", body)
		}
	}
	if d := a.document(selection{after: -1}); d.Active || d.Reason != reason || len(d.Regions) != 2 {
		t.Errorf("document: active %v, %q, %d regions", d.Active, d.Reason, len(d.Regions))
	}
	t.Logf("seen: %s", reason)
}

// mappingsOf counts the mappings of a file.
func mappingsOf(t *testing.T, path string) (n int) {
	t.Helper()
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(maps)) {
		if strings.HasSuffix(strings.TrimSpace(line), path) {
			n++
		}
	}
	return n
}

// By hand: the method, and the endpoint with the guards of all endpoints and one more.
func TestSwitchOff(t *testing.T) {
	t.Run("method", func(t *testing.T) {
		f := newFused(t, WithWindows(shortestWindow), WithBudget("50%"))
		if r := f.a.Reason(); r != "" {
			t.Fatal(r)
		}
		if err := f.a.SwitchOff(t.Context(), "the operator\x1b[31m\nsaid so"); err != nil {
			t.Fatal(err)
		}
		if err := f.a.SwitchOff(t.Context(), "again"); err != nil {
			t.Fatal(err)
		}
		f.checkOff(t, "by hand: the operator", "said so")
		if strings.Contains(f.a.Reason(), "\x1b") {
			t.Errorf("%q", f.a.Reason())
		}
		if f.a.WorkingSets() == nil {
			t.Error("what windows showed is lost")
		}
	})
	t.Run("endpoint", func(t *testing.T) {
		const secret = "0123456789abcdef"
		f := newFused(t, WithToken(secret))
		post := func(with map[string]string) (int, string) {
			return ask(t, f.a.Handler(), basePath+"off?reason=too+slow", func(r *http.Request) {
				r.Method = http.MethodPost
				for k, v := range with {
					r.Header.Set(k, v)
				}
			})
		}
		bearer := "Bearer " + secret
		for _, c := range []struct {
			with map[string]string
			want int
		}{
			{nil, 401},
			{map[string]string{"Authorization": bearer, "Sec-Fetch-Site": "cross-site"}, 403},
			{map[string]string{"Authorization": bearer, "Sec-Fetch-Site": "same-site"}, 403},
			{map[string]string{"Authorization": bearer, "Origin": "https://elsewhere.example"}, 403},
			{map[string]string{"Authorization": bearer, "Origin": "null"}, 403},
		} {
			if code, body := post(c.with); code != c.want || f.a.Reason() != "" {
				t.Errorf("%v: %d %s, want %d and no effect", c.with, code, body, c.want)
			}
		}
		w := httptest.NewRecorder()
		r := httptest.NewRequest(http.MethodGet, basePath+"off", nil)
		r.Header.Set("Authorization", bearer)
		if f.a.Handler().ServeHTTP(w, r); w.Code != http.StatusMethodNotAllowed || f.a.Reason() != "" {
			t.Errorf("GET: %d", w.Code)
		}
		code, body := post(map[string]string{"Authorization": bearer})
		if code != 200 || !strings.Contains(body, "asked for over HTTP: too slow") || strings.TrimSpace(body) != f.a.Reason() {
			t.Errorf("%d %s", code, body)
		}
		f.a.cfg.token = "" // for what follows
		f.a.guard = f.a.newGuard()
		f.checkOff(t, "too slow")
	})
	t.Run("in a storm", func(t *testing.T) {
		f := newFused(t, WithWindows(shortestWindow))
		var stop atomic.Bool
		var storm sync.WaitGroup
		for g := range 4 {
			storm.Go(func() {
				for i := g; !stop.Load(); i++ {
					if got := touchPage(f.file, i%fusePages); got != byte(i%fusePages) {
						t.Errorf("page %d of the file has %d", i%fusePages, got)
						return
					}
					_ = touchPage(f.arena.Bytes(), i%fusePages)
				}
			})
		}
		var offs sync.WaitGroup
		for range 3 {
			offs.Go(func() {
				if err := f.a.SwitchOff(t.Context(), "at once"); err != nil {
					t.Error(err)
				}
			})
		}
		offs.Wait()
		stop.Store(true)
		storm.Wait()
		f.checkOff(t, "at once")
	})
	t.Run("with nothing there", func(t *testing.T) {
		a, err := Start(t.Context(), Disabled())
		if err := errors.Join(err, a.SwitchOff(t.Context(), "x")); err != nil {
			t.Error(err)
		}
	})
}

// A region that cannot be given back stays served and is tried again, which the reason says; the rest is given back.
func TestOffIsTriedAgain(t *testing.T) {
	f := newFused(t)
	path, file := database(t, 4)
	var mayGive atomic.Bool
	_, err := f.a.AttachFile(path, profiler.WithGuard(func(critical func()) error {
		if !mayGive.Load() && f.a.Reason() != "" {
			return errors.New("the owner is busy")
		}
		critical()
		return nil
	}))
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- f.a.SwitchOff(t.Context(), "a test") }()
	eventually(t, "the reason says what is left", func() bool {
		return strings.Contains(f.a.Reason(), "stays served") && strings.Contains(f.a.Reason(), "the owner is busy")
	})
	w := httptest.NewRecorder()
	f.a.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, basePath, nil))
	if !strings.Contains(w.Body.String(), "the owner is busy") {
		t.Error("the page does not say what is left")
	}
	if touchPage(file, 1) != 1 { // served
		t.Error("contents are lost")
	}
	if n := mappingsOf(t, f.path); n != 1 {
		t.Errorf("the other file was not given back: %d mappings", n)
	}
	mayGive.Store(true)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if n := mappingsOf(t, path); n != 1 {
		t.Errorf("%d mappings of the file", n)
	}
	if !strings.Contains(f.a.Reason(), "all memory was given back") {
		t.Error(f.a.Reason())
	}
}

// fuseCases blow the fuse for real, each in a process of its own.
var fuseCases = []struct {
	name string
	run  func(t *testing.T)
}{
	{"threads are stopped all the time", func(t *testing.T) {
		f := newFused(t)
		const more = 50
		for range more { // each mapping of a file is armed on its own
			mapFile(t, f.path, len(f.file))
		}
		eventually(t, "all mappings are armed", func() bool {
			return len(f.a.Profiler().Snapshot().Region(f.path).Mappings) == more+1
		})
		r := f.a.owned()[0]
		for f.a.Reason() == "" {
			if err := r.Rearm(); err != nil && !errors.Is(err, profiler.ErrBusy) && !errors.Is(err, profiler.ErrClosed) {
				t.Fatal(err)
			}
		}
		if s := f.a.Profiler().Snapshot().Stats.Stopped; s < 600*time.Millisecond {
			t.Errorf("after %v, want 600 ms", s)
		}
		eventually(t, "given back", func() bool { return strings.Contains(f.a.Reason(), "all memory was given back") })
		if n := mappingsOf(t, f.path); n != more+1 {
			t.Errorf("the file has %d mappings, want %d", n, more+1)
		}
		if !strings.Contains(f.a.Reason(), "threads were stopped for") {
			t.Error(f.a.Reason())
		}
		t.Logf("seen: %s", f.a.Reason())
	}},
	{"a restore is refused", func(t *testing.T) {
		f := newFused(t)
		filter(t, unix.SECCOMP_RET_ERRNO|uint32(unix.EPERM), unix.SYS_MREMAP, -1, 0)
		touchPage(f.file, fusePages-1)
		f.torn = true
		f.checkOff(t, "a restore was refused", "mremap")
	}},
	{"a fill is refused", func(t *testing.T) {
		f := newFused(t)
		filter(t, unix.SECCOMP_RET_ERRNO|uint32(unix.EPERM), unix.SYS_IOCTL, 1, uint32(uffd.IoctlZeropage))
		touchPage(f.arena.Bytes(), fusePages-1)
		f.checkOff(t, "a restore was refused")
	}},
	{"messages cannot be read", func(t *testing.T) {
		f := newFused(t)
		filter(t, unix.SECCOMP_RET_ERRNO|uint32(unix.EPERM), unix.SYS_READ, 2, 32) // sizeof(struct uffd_msg)
		touchPage(f.arena.Bytes(), fusePages-1)
		f.checkOff(t, "messages cannot be read")
	}},
	{"a thread of the engine is killed", func(t *testing.T) {
		f := newFused(t)
		filter(t, unix.SECCOMP_RET_KILL_THREAD, unix.SYS_PPOLL, 1, 3) // by which the engine's readers wait, and nobody else
		touchPage(f.arena.Bytes(), fusePages-1)
		touchPage(f.arena.Bytes(), fusePages-2) // may wait until the memory is plain
		f.torn = true
		f.checkOff(t, "has ended")
	}},
	{"the signal is taken over", func(t *testing.T) {
		before := handlers()
		f := newFused(t)
		for sig, handler := range handlers() {
			if handler != before[sig] && sig >= 34 {
				undo := takeOver(t, syscall.Signal(sig))
				<-f.a.Off()
				// What lies over a file may only be given back while threads can be stopped: it stays served until then.
				for i := range fusePages {
					if got := touchPage(f.file, i); got != byte(i) {
						t.Errorf("page %d of the file has %d", i, got)
					}
				}
				undo()
				f.checkOff(t, fmt.Sprintf("signal %d was taken", sig))
				return
			}
		}
		t.Error("the profiler has installed no handler")
	}},
	{"SIGBUS is taken over", func(t *testing.T) {
		f := newFused(t, WithDelivery(profiler.DeliverySignal))
		takeOver(t, unix.SIGBUS)
		f.checkOff(t, "SIGBUS was taken")
	}},
	{"threads of the engine stand still", func(t *testing.T) {
		if os.Getenv(heldEnv) != "" {
			holdThreads(t)
			return
		}
		unix.Prctl(unix.PR_SET_PTRACER, ^uintptr(0), 0, 0, 0) // EINVAL without the Yama module
		f := newFused(t)
		release := hold(t, engineThreads(t)[:2]) // who reads messages
		touchPage(f.arena.Bytes(), fusePages-1)  // goes on after two seconds
		select {
		case <-f.a.Off():
		case <-time.After(testproc.Budget(20 * time.Second)):
			t.Errorf("it is not off: %+v", f.a.Profiler().Health())
		}
		release()
		f.checkOff(t, "stood still")
	}},
}

func TestFuse(t *testing.T) {
	for _, c := range fuseCases {
		inCase(t, "TestFuse", c.name, nil, c.run)
	}
}

// inCase is inChild for one of several cases of a test, named as those of the hazards matrix are.
func inCase(t *testing.T, top, name string, env []string, run func(t *testing.T)) {
	t.Helper()
	const kase = "FIRSTTOUCH_TEST_CASE"
	const inside = "AGENT_TEST_CASE"
	if os.Getenv(inside) != "" {
		if os.Getenv(inside) == name {
			run(t)
		}
		return
	}
	if want := os.Getenv(kase); want != "" && want != name {
		return
	}
	t.Run(name, func(t *testing.T) {
		fmt.Println(testproc.CaseMark(name))
		t.Log(testproc.Run(t, top, append(env, inside+"="+name, "GORACE=atexit_sleep_ms=0"), time.Minute))
	})
}

// filter has seccomp do action at a system call, of which the argument with a number, if that is not negative, has a value.
func filter(t *testing.T, action, call uint32, arg int, value uint32) {
	t.Helper()
	const load, equal, ret = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, unix.BPF_RET | unix.BPF_K
	code := []unix.SockFilter{{Code: load, K: 0}, {Code: equal, K: call, Jf: 1}, {Code: ret, K: action}, {Code: ret, K: unix.SECCOMP_RET_ALLOW}}
	if arg >= 0 {
		code = slices.Insert(code, 2, unix.SockFilter{Code: load, K: 16 + 8*uint32(arg)}, unix.SockFilter{Code: equal, K: value, Jf: 1})
		code[1].Jf = 3
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		t.Fatal(err)
	}
	program := unix.SockFprog{Len: uint16(len(code)), Filter: &code[0]}
	thread, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER,
		unix.SECCOMP_FILTER_FLAG_TSYNC, uintptr(unsafe.Pointer(&program)))
	if errno == unix.ENOSYS || errno == unix.EINVAL {
		t.Skipf("the kernel has no seccomp filters: %v", errno)
	}
	if errno != 0 || thread != 0 {
		t.Fatalf("seccomp: %v, thread %d", errno, thread)
	}
}

// takeOver has a signal ignored, past the Go runtime, as a C library would set a handler of its own.
func takeOver(t *testing.T, signal syscall.Signal) (undo func()) {
	t.Helper()
	var before [4]uint64
	action := [4]uint64{1} // SIG_IGN; struct sigaction of the kernel, include/linux/signal_types.h
	set := func(new, old *[4]uint64) {
		if _, _, e := unix.Syscall6(unix.SYS_RT_SIGACTION, uintptr(signal), uintptr(unsafe.Pointer(new)), uintptr(unsafe.Pointer(old)), 8, 0, 0); e != 0 {
			t.Fatal(e)
		}
	}
	set(&action, &before)
	return func() { set(&before, nil) }
}

// handlers are those of all signals.
func handlers() (all [65]uint64) {
	for sig := 1; sig < len(all); sig++ {
		var now [4]uint64
		unix.Syscall6(unix.SYS_RT_SIGACTION, uintptr(sig), 0, uintptr(unsafe.Pointer(&now)), 8, 0, 0)
		all[sig] = now[0]
	}
	return all
}

// engineThreads are the threads of the engine in the order in which they started: they alone block every signal.
func engineThreads(t *testing.T) (tids []int) {
	t.Helper()
	const all = 13
	eventually(t, "the engine's threads", func() bool {
		tids = nil
		tasks, err := os.ReadDir("/proc/self/task")
		if err != nil {
			t.Fatal(err)
		}
		for _, task := range tasks {
			tid, _ := strconv.Atoi(task.Name())
			if _, blocks := engine.Blocks(tid, unix.SIGURG); blocks {
				tids = append(tids, tid)
			}
		}
		return len(tids) == all
	})
	slices.Sort(tids)
	return tids
}

const heldEnv = "AGENT_TEST_HELD"

// hold has a process of its own stop threads of this one, as a debugger does, until release.
func hold(t *testing.T, tids []int) (release func()) {
	t.Helper()
	c := exec.Command(os.Args[0], "-test.count=1", "-test.run=^TestFuse$")
	c.Env = append(os.Environ(), heldEnv+"="+strings.Trim(fmt.Sprint(tids), "[]"))
	c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	in, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	said := make([]byte, 512)
	n, _ := out.Read(said)
	if _, why, refused := strings.Cut(string(said[:n]), noPtrace); refused {
		t.Skip(noPtrace + strings.TrimSpace(why))
	}
	if string(said[:n]) != "ready\n" {
		t.Fatalf("the holder says %q", said[:n])
	}
	return func() {
		in.Close()
		if err := c.Wait(); err != nil {
			t.Error(err)
		}
	}
}

const noPtrace = "ptrace is not permitted: "

func holdThreads(t *testing.T) {
	runtime.LockOSThread() // a tracer is a thread
	for _, f := range strings.Fields(os.Getenv(heldEnv)) {
		tid, _ := strconv.Atoi(f)
		if err := unix.PtraceSeize(tid); err != nil {
			fmt.Printf("%s%v: run as root, or sysctl -w kernel.yama.ptrace_scope=0\n", noPtrace, err)
			return
		}
		if err := unix.PtraceInterrupt(tid); err != nil {
			t.Fatal(err)
		}
		var st unix.WaitStatus
		if _, err := unix.Wait4(tid, &st, unix.WALL, nil); err != nil {
			t.Fatal(err)
		}
	}
	fmt.Println("ready")
	os.Stdin.Read(make([]byte, 1)) // they go on when their tracer ends
}

// A short start with much to arm does not blow the fuse, a trickle in the long run does, and a storm does at once.
func TestFuseShare(t *testing.T) {
	at := time.Now()
	feed := func(f *fuse, total *time.Duration, lasts, stopPerSecond time.Duration) string {
		for range int(lasts / fuseTick) {
			at = at.Add(fuseTick)
			*total += stopPerSecond / time.Duration(time.Second/fuseTick)
			if why := f.look(at, profiler.Health{Stopped: *total}); why != "" {
				return why
			}
		}
		return ""
	}
	newFuse := func() (*fuse, *time.Duration) { return &fuse{history: []stopped{{at: at}}}, new(time.Duration) }
	f, total := newFuse()
	if why := feed(f, total, time.Second, 500*time.Millisecond); why != "" {
		t.Errorf("half a second in the first one: %s", why)
	}
	if why := feed(f, total, time.Hour, 0) + feed(f, total, time.Hour, 9*time.Millisecond); why != "" {
		t.Errorf("0.9%% for an hour: %s", why)
	}
	if why := feed(f, total, 2*time.Minute, 11*time.Millisecond); why == "" {
		t.Error("1.1% for two minutes does not")
	}
	f, total = newFuse()
	if why := feed(f, total, 3*time.Second, 300*time.Millisecond); why == "" {
		t.Error("30% for three seconds does not")
	}
	f, _ = newFuse()
	if why := f.look(at, profiler.Health{Broken: errors.New("broken")}); why != "broken" {
		t.Errorf("%q", why)
	}
}
