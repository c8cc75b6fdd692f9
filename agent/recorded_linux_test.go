//go:build linux && (amd64 || arm64)

package agent

import (
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unsafe"

	"github.com/firsttouch/firsttouch/internal/calls"
	"github.com/firsttouch/firsttouch/internal/testproc"
	"golang.org/x/sys/unix"
)

const (
	recordedEnv = "AGENT_TEST_RECORDED" // which part of TestRecordedProfile the process is
	allowedEnv  = "AGENT_TEST_ALLOWED"  // numbers of the system calls in the profile
)

// recordedService is a service like many: it maps a file, answers requests from it, and collects garbage. It begins
// with start, and calls between after some requests.
func recordedService(t *testing.T, start, between func()) {
	t.Helper()
	const pages = 64
	page := os.Getpagesize()
	path := filepath.Join(t.TempDir(), "data")
	content := make([]byte, pages*page)
	for i := range pages {
		content[i*page] = byte(i + 1)
	}
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("FIRSTTOUCH_FILES", path)
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	memory, err := unix.Mmap(int(file.Fd()), 0, len(content), unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		t.Fatal(err)
	}
	start()
	server := http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		i, _ := strconv.Atoi(strings.TrimPrefix(r.URL.Path, "/"))
		fmt.Fprint(w, memory[i*page])
	})}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go server.Serve(l)
	defer server.Close()
	for i := range pages {
		if i == pages/2 {
			between()
		}
		resp, err := http.Get(fmt.Sprintf("http://%s/%d", l.Addr(), i))
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || string(body) != strconv.Itoa(i+1) {
			t.Fatalf("request %d: %q, %v", i, body, err)
		}
		if i%8 == 0 {
			runtime.GC()
			time.Sleep(time.Millisecond)
		}
	}
}

// allowOnly makes every system call fail with errno whose number is not in the list.
func allowOnly(t *testing.T, numbers []uint32, errno unix.Errno) {
	t.Helper()
	const load, equal, ret = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, unix.BPF_RET | unix.BPF_K
	filter := []unix.SockFilter{{Code: load, K: 0}}
	for _, n := range numbers {
		filter = append(filter, unix.SockFilter{Code: equal, K: n, Jf: 1}, unix.SockFilter{Code: ret, K: unix.SECCOMP_RET_ALLOW})
	}
	filter = append(filter, unix.SockFilter{Code: ret, K: unix.SECCOMP_RET_ERRNO | uint32(errno)})
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		t.Fatal(err)
	}
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	thread, _, e := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_TSYNC, uintptr(unsafe.Pointer(&program)))
	if e == unix.ENOSYS || e == unix.EINVAL {
		t.Skipf("the kernel has no seccomp filters: %v", e)
	}
	if e != 0 || thread != 0 {
		t.Fatalf("seccomp: %v, thread %d could not take the filter", e, thread)
	}
}

// A seccomp profile is often made by recording what a service does. Under one that was recorded without the agent the
// service runs as it did, and the agent says which system calls are missing; so it does where the profile allows the device.
func TestRecordedProfile(t *testing.T) {
	part := os.Getenv(recordedEnv)
	if part == "" {
		made := testproc.Strace(t, t.Name(), []string{recordedEnv + "=plain"}, time.Minute)
		numbers := make(map[uint32]bool)
		for c := range made {
			numbers[uint32(c.Number)] = true
		}
		t.Logf("recorded: %d system calls", len(numbers))
		for name, more := range map[string][]uint32{
			"as it is":                      nil,
			"with the device":               {unix.SYS_OPENAT, unix.SYS_IOCTL},
			"with the system call":          {unix.SYS_USERFAULTFD, unix.SYS_IOCTL},
			"with all but one of the calls": allBut(unix.SYS_CLOSE_RANGE),
		} {
			for _, errno := range []unix.Errno{unix.EPERM, unix.ENOSYS} {
				t.Run(name+" "+unix.ErrnoName(errno), func(t *testing.T) {
					all := slices.Concat(slices.Collect(maps.Keys(numbers)), more)
					list := make([]string, len(all))
					for i, n := range all {
						list[i] = strconv.Itoa(int(n))
					}
					out := testproc.Run(t, "TestRecordedProfile", []string{
						recordedEnv + "=" + strconv.Itoa(int(errno)), allowedEnv + "=" + strings.Join(list, ","),
					}, time.Minute)
					for line := range strings.Lines(out) {
						if strings.Contains(line, "seen:") {
							t.Log(strings.TrimSpace(line))
						}
					}
				})
			}
		}
		return
	}
	if part == "plain" {
		recordedService(t, func() {}, func() {})
		return
	}
	var numbers []uint32
	for _, text := range strings.Split(os.Getenv(allowedEnv), ",") {
		n, err := strconv.ParseUint(text, 10, 32)
		if err != nil {
			t.Fatal(err)
		}
		numbers = append(numbers, uint32(n))
	}
	errno, err := strconv.Atoi(part)
	if err != nil {
		t.Fatal(err)
	}
	var a *Agent
	recordedService(t, func() {
		allowOnly(t, append(numbers, unix.SYS_SECCOMP, unix.SYS_PRCTL), unix.Errno(errno))
		if a, err = Start(t.Context()); err != nil {
			t.Fatal(err)
		}
	}, func() {})
	missing := 0
	for _, c := range calls.List() {
		if n, _ := c.Number(); slices.Contains(numbers, uint32(n)) || c.Mute() {
			continue
		}
		missing++
		if !strings.Contains(a.Reason(), c.Name) {
			t.Errorf("the reason does not name %s: %s", c.Name, a.Reason())
		}
	}
	if missing == 0 || a.Profiler() != nil {
		t.Errorf("%d calls are missing, and the agent works: %q", missing, a.Reason())
	}
	if err := a.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	t.Logf("seen: %d calls are missing; %s", missing, a.Reason())
}

// allBut are the numbers of the list without one.
func allBut(number uint32) (out []uint32) {
	out = []uint32{unix.SYS_OPENAT, unix.SYS_IOCTL, unix.SYS_USERFAULTFD, unix.SYS_EVENTFD2}
	for _, c := range calls.List() {
		if n, _ := c.Number(); uint32(n) != number {
			out = append(out, uint32(n))
		}
	}
	return out
}
