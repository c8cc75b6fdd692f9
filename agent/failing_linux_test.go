package agent

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unsafe"

	"github.com/firsttouch/firsttouch/internal/testproc"
	"github.com/firsttouch/firsttouch/profiler"
	"github.com/firsttouch/firsttouch/uffd"
	"golang.org/x/sys/unix"
)

// asNobody runs the calling test once more in a process of its own, as a user without privileges, and reports whether
// this is that process.
func asNobody(t *testing.T, env ...string) bool {
	t.Helper()
	const mark = "AGENT_TEST_NOBODY"
	if os.Getenv(mark) == t.Name() {
		return true
	}
	var opts []testproc.Option
	if os.Getuid() == 0 {
		opts = append(opts, testproc.AsUser(65534))
	}
	testproc.Run(t, t.Name(), append(env, mark+"="+t.Name()), time.Minute, opts...)
	return false
}

// needUserModeOnly skips where this user's system calls are served too.
func needUserModeOnly(t *testing.T) {
	t.Helper()
	fd, err := uffd.Open()
	if errors.Is(err, uffd.ErrNotSupported) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer fd.Close()
	if !fd.UserModeOnly() {
		t.Skip("Stats.UserModeOnly is false: this user's system calls are served too")
	}
}

// handed is memory of a file on a disk, mapped shared, with a page for each of what hands memory to system calls.
type handed struct {
	mem  []byte
	file *os.File
	page int // next
}

// next is a page that nobody has touched yet.
func (h *handed) next() []byte {
	size := uffd.PageSize()
	h.page++
	return h.mem[(h.page-1)*size : h.page*size]
}

const (
	handedPages = 64
	httpPages   = 32 // at its end, for one HTTP answer
)

// hand maps a new file to be read and written.
func hand(t *testing.T, name string) *handed {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	size := handedPages * uffd.PageSize()
	content := make([]byte, size)
	for i := range handedPages { // each page is a path that everyone can open
		copy(content[i*uffd.PageSize():], "/\x00")
	}
	if _, err := f.Write(content); err != nil {
		t.Fatal(err)
	}
	mem, err := unix.Mmap(int(f.Fd()), 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Munmap(mem) })
	return &handed{mem: mem, file: f}
}

// systemCalls are what a service does with memory: each gets a page that was not touched.
var systemCalls = []struct {
	name string
	call func(t *testing.T, page []byte) error
}{
	{"File.Write", func(t *testing.T, page []byte) error {
		f, err := os.Create(filepath.Join(t.TempDir(), "out"))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		_, err = f.Write(page)
		return err
	}},
	{"writev", func(t *testing.T, page []byte) error {
		f, err := os.Create(filepath.Join(t.TempDir(), "out"))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		_, err = unix.Writev(int(f.Fd()), [][]byte{page})
		return err
	}},
	{"pipe", func(t *testing.T, page []byte) error {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		defer w.Close()
		_, err = w.Write(page)
		return err
	}},
	{"UDP", func(t *testing.T, page []byte) error {
		to, err := net.ListenPacket("udp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer to.Close()
		c, err := net.Dial("udp", to.LocalAddr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		_, err = c.Write(page[:100])
		return err
	}},
	{"read", func(t *testing.T, page []byte) error {
		f, err := os.Open("/dev/zero")
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		_, err = f.Read(page[100:200])
		return err
	}},
	{"open with a path", func(t *testing.T, page []byte) error {
		fd, _, errno := unix.Syscall6(unix.SYS_OPENAT, ^uintptr(99), uintptr(unsafe.Pointer(&page[0])), unix.O_RDONLY|unix.O_CLOEXEC, 0, 0, 0) // AT_FDCWD
		if errno != 0 {
			return errno
		}
		return unix.Close(int(fd))
	}},
	{"futex", func(t *testing.T, page []byte) error {
		const wake = 1 // FUTEX_WAKE, of all processes: what unlocking a mutex of LMDB calls
		_, _, errno := unix.Syscall6(unix.SYS_FUTEX, uintptr(unsafe.Pointer(&page[0])), wake, 1, 0, 0, 0)
		if errno != 0 {
			return errno
		}
		return nil
	}},
}

// answerOverHTTP sends memory as one answer of net/http, and returns how much of it arrived.
func answerOverHTTP(t *testing.T, mem []byte) (n int64, err error) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", fmt.Sprint(len(mem)))
		w.Write(mem)
	})}
	go srv.Serve(l)
	defer srv.Close()
	resp, err := http.Get("http://" + l.Addr().String())
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	return io.Copy(io.Discard, resp.Body)
}

// checkCalls makes every system call with a page of its own, and an answer over HTTP, and wants them all to work or
// all to fail with EFAULT.
func (h *handed) checkCalls(t *testing.T, work bool) {
	t.Helper()
	for _, c := range systemCalls {
		err := c.call(t, h.next())
		if work && err != nil || !work && !errors.Is(err, unix.EFAULT) {
			t.Errorf("%s: %v, want it to work: %v", c.name, err, work)
		}
	}
	mem := h.mem[(handedPages-httpPages)*uffd.PageSize():]
	n, err := answerOverHTTP(t, mem)
	if whole := err == nil && n == int64(len(mem)); whole != work {
		t.Errorf("HTTP: %d bytes of %d arrived, %v, want them all: %v", n, len(mem), err, work)
	}
}

// Where system calls of the service would fail, the agent does nothing and says so first, with the ways to full service
// and the setting that allows it. The service does not notice.
func TestNothingIsArmedUnlessAllowed(t *testing.T) {
	if !asNobody(t) {
		return
	}
	needUserModeOnly(t)
	h := hand(t, "data.db")
	t.Setenv("FIRSTTOUCH_FILES", h.file.Name())
	t.Setenv("FIRSTTOUCH_DELIVERY", "thread")
	out := &logged{}
	a, err := Start(t.Context(), WithWindows(100*time.Millisecond), WithLogger(slog.New(slog.NewTextHandler(out, nil))))
	if err != nil {
		t.Fatal(err)
	}
	defer stop(t, a)
	checkRefusal(t, a.Reason())
	if line, _, _ := strings.Cut(out.String(), "\n"); !strings.Contains(line, "system calls of this service would fail") {
		t.Errorf("the log does not begin with it:\n%s", out)
	}
	h.checkCalls(t, true)
	checkIdle(t, a)
	if text := render(t, a.page("h:1")); strings.Index(text, "system calls of this service would fail") > strings.Index(text, "</div>") {
		t.Errorf("the page does not say it first:\n%s", text)
	}
	if _, err := Start(t.Context(), Required()); !errors.Is(err, profiler.ErrUserModeOnly) || !errors.Is(err, profiler.ErrNotSupported) {
		t.Errorf("required: %v, want ErrUserModeOnly", err)
	} else {
		checkRefusal(t, strings.TrimPrefix(err.Error(), "firsttouch agent: "))
	}
	t.Logf("seen: %s", a.Reason())
}

// checkRefusal wants a text of one line that says first what would fail, then all ways to full service, then the setting.
func checkRefusal(t *testing.T, text string) {
	t.Helper()
	at := 0
	for _, want := range []string{"EFAULT", "CAP_SYS_PTRACE", "vm.unprivileged_userfaultfd=1", "seccomp", "WithFailingSystemCalls", "FIRSTTOUCH_ALLOW_FAILING_SYSTEM_CALLS=true"} {
		i := strings.Index(text[at:], want)
		if i < 0 {
			t.Errorf("%q is missing, or comes too early: %s", want, text)
			continue
		}
		at += i
	}
	if !strings.HasPrefix(text, "system calls of this service would fail") || !strings.Contains(text, "/dev/userfaultfd") || strings.Contains(text, "\n") {
		t.Errorf("%q", text)
	}
}

// Where it is allowed, the first note says what can fail, and it does.
func TestAllowedToFail(t *testing.T) {
	if !asNobody(t) {
		return
	}
	needUserModeOnly(t)
	h := hand(t, "data.db")
	t.Setenv("FIRSTTOUCH_FILES", h.file.Name()) // a path, so that a writable mapping is observed
	t.Setenv("FIRSTTOUCH_ALLOW_FAILING_SYSTEM_CALLS", "true")
	t.Setenv("FIRSTTOUCH_DELIVERY", "thread")
	t.Setenv("FIRSTTOUCH_FILLES", "misspelt, which a note says too")
	out := &logged{}
	a, err := Start(t.Context(), WithLogger(slog.New(slog.NewTextHandler(out, nil))))
	if err != nil {
		t.Fatal(err)
	}
	defer stop(t, a)
	if a.Reason() != "" {
		t.Fatal(a.Reason())
	}
	look(t, a)
	if lines := strings.Split(out.String(), "\n"); len(lines) < 2 || !strings.Contains(lines[1], "system calls of this service can fail") {
		t.Errorf("the log does not say at the start what can fail:\n%s", out)
	}
	checkSaidFirst(t, a, "WithFailingSystemCalls", "CAP_SYS_PTRACE", "vm.unprivileged_userfaultfd=1", "/dev/userfaultfd", "seccomp")
	h.checkCalls(t, false)
}

// checkSaidFirst wants the first note, of agent, document, page and snapshot, to say what can fail, and to say it once.
func checkSaidFirst(t *testing.T, a *Agent, words ...string) {
	t.Helper()
	doc := a.document(selection{})
	for where, notes := range map[string][]string{
		"agent": a.Notes(), "document": doc.Engine.Notes, "page": a.page("h:1").Engine.Notes, "snapshot": a.Profiler().Snapshot().Stats.Notes,
	} {
		said := 0
		for i, n := range notes {
			if strings.HasPrefix(n, "system calls of this service can fail") {
				said++
				for _, w := range append(words, "EFAULT", "futex") {
					if i != 0 || !strings.Contains(n, w) {
						t.Errorf("%s, note %d lacks %q: %s", where, i, w, n)
					}
				}
			}
		}
		if said != 1 {
			t.Errorf("%s: said %d times: %q", where, said, notes)
		}
	}
}

// Choosing delivery by signal allows it too, also for root, and is said.
func TestDeliveryBySignalLetsSystemCallsFail(t *testing.T) {
	if !inChild(t) {
		return
	}
	h := hand(t, "data.db")
	a, err := Start(t.Context(), WithDelivery(profiler.DeliverySignal), WithFiles(h.file.Name()), Required())
	if errors.Is(err, profiler.ErrNotSupported) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer stop(t, a)
	look(t, a)
	checkSaidFirst(t, a, "delivery by signal", "delivery by thread")
	h.checkCalls(t, false)
}

// Where the kernel serves system calls, they are served whether it is allowed or not, and nothing is said of it.
func TestSystemCallsAreServed(t *testing.T) {
	if !inChild(t) {
		return
	}
	for _, opts := range [][]Option{nil, {WithFailingSystemCalls()}} {
		h := hand(t, "data.db")
		a, err := Start(t.Context(), append(opts, WithFiles(filepath.Dir(h.file.Name())+"/*"), WithDelivery(profiler.DeliveryThread), Required())...)
		if errors.Is(err, profiler.ErrNotSupported) {
			t.Skip(err)
		}
		if err != nil {
			t.Fatal(err)
		}
		if a.Profiler().Snapshot().Stats.UserModeOnly {
			t.Skip("Stats.UserModeOnly: a system call that is given memory not yet touched fails with EFAULT")
		}
		look(t, a)
		h.checkCalls(t, true)
		want := uint64(len(systemCalls) + httpPages)
		if s := a.Profiler().Snapshot(); s.Stats.Faults != want || len(s.Regions) != 1 || s.Regions[0].Faults != want {
			t.Errorf("%d faults, want %d: %+v", s.Stats.Faults, want, s.Regions)
		}
		if notes := a.Notes(); len(notes) != 0 {
			t.Errorf("notes %q", notes)
		}
		stop(t, a)
	}
}

// Where system calls can fail, what a pattern finds is observed where it cannot be written to, and given back when it
// can be; what is named by its path is observed whatever it is.
func TestWritableMappingsFoundByAPattern(t *testing.T) {
	if !inChild(t) {
		return
	}
	lock, both, named := hand(t, "lock.mdb"), hand(t, "both.mdb"), hand(t, "named.mdb")
	size := 8 * uffd.PageSize()
	reading, err := unix.Mmap(int(both.file.Fd()), 0, size, unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Munmap(reading)
	pattern := func(h *handed) string { return filepath.Dir(h.file.Name()) + "/*.md[b]" }
	t.Setenv("FIRSTTOUCH_FILES", strings.Join([]string{pattern(lock), pattern(both), pattern(named), named.file.Name()}, ":"))
	// Delivery by signal is as user mode only, and root can have it too.
	a, err := Start(t.Context(), WithDelivery(profiler.DeliverySignal), WithRescan(5*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	if a.Reason() != "" {
		t.Skip(a.Reason())
	}
	defer stop(t, a)
	look(t, a)
	check := func(when string, wantBoth int) {
		t.Helper()
		for h, want := range map[*handed]int{lock: -1, both: wantBoth, named: len(named.mem)} {
			name := h.file.Name()
			got := func() int {
				if r := a.Profiler().Snapshot().Region(name); r != nil {
					return int(r.Mapped)
				}
				return -1
			}
			eventually(t, fmt.Sprintf("%s: %d bytes of %s observed", when, want, name), func() bool { return got() == want })
		}
	}
	check("at the start", size)
	lock.checkCalls(t, true)
	both.checkCalls(t, true) // by the mapping that can be written to
	if err := systemCalls[0].call(t, reading[:100]); !errors.Is(err, unix.EFAULT) {
		t.Errorf("File.Write from what is observed: %v, want EFAULT", err)
	}
	if err := unix.Mprotect(reading, unix.PROT_READ|unix.PROT_WRITE); err != nil {
		t.Fatal(err)
	}
	check("as it can be written to", 0)
	for _, r := range a.owned() { // what can be written to is not armed again, either
		if err := r.Rearm(); err != nil {
			t.Error(err)
		}
	}
	check("after Rearm", 0)
	for _, c := range systemCalls {
		if err := c.call(t, reading[:uffd.PageSize()]); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	if err := unix.Mprotect(reading, unix.PROT_READ); err != nil {
		t.Fatal(err)
	}
	check("as it cannot any more", size)
	// What an agent names that observes nothing is safe to copy.
	if hint := observable(true); strings.Contains(hint, lock.file.Name()) || strings.Contains(hint, both.file.Name()) {
		t.Errorf("%s", hint)
	}
	notes := strings.Join(append(a.Notes(), a.Profiler().Snapshot().Stats.Notes...), "\n")
	for _, want := range []string{lock.file.Name() + " is not profiled", "region " + both.file.Name() + ": mappings that can be written to are left alone"} {
		if strings.Count(notes, want) != 1 {
			t.Errorf("%q is not said once:\n%s", want, notes)
		}
	}
}

// A path is what no pattern could be, whatever it holds.
func TestPathOrPattern(t *testing.T) {
	for text, want := range map[string]bool{
		"/a/lock.mdb": true, "/a/*": false, "/a/lock.md?": false, "/a/[l]ock.mdb": false, "/*/lock.mdb": false,
		`/a/\*`: true, `/a/\\*`: false, `/a/\[x]`: true, `/a/b\\c`: true, "/a/x]": true,
	} {
		if p := (&pattern{text: text}); p.isPath() != want {
			t.Errorf("%s is a path: %v", text, p.isPath())
		}
	}
}
