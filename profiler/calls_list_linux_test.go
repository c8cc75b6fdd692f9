//go:build linux && (amd64 || arm64)

package profiler

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/firsttouch/firsttouch/internal/calls"
	"github.com/firsttouch/firsttouch/internal/testproc"
	"github.com/firsttouch/firsttouch/uffd"
	"golang.org/x/sys/unix"
)

// TestPlainForStrace is a Go service as it is without a profiler: it maps files, answers requests, and collects garbage.
func TestPlainForStrace(t *testing.T) {
	if os.Getenv("FIRSTTOUCH_TEST_CORE") == "" {
		t.Skip("runs as a child of TestCallsAreListed")
	}
	memory := mapFile(t, newFile(t, 64*pageSize), 64*pageSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	newMemfd(t, pageSize, 0)
	server := http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s %d", r.URL.Path, memory[len(r.URL.Path)*pageSize])
	})}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	go server.Serve(l)
	defer server.Close()
	for i := range 20 {
		resp, err := http.Get(fmt.Sprintf("http://%s/%d", l.Addr(), i))
		must(t, err)
		_, err = io.Copy(io.Discard, resp.Body)
		must(t, err)
		resp.Body.Close()
		busy := time.Now()
		for time.Since(busy) < 5*time.Millisecond {
		}
		runtime.GC()
		time.Sleep(time.Millisecond)
	}
}

// The list has every system call that only the engine makes, as strace sees it, and none that it does not make: so a
// seccomp profile of a service, and this list, are enough for the service with the profiler.
func TestCallsAreListed(t *testing.T) {
	aside(t)
	env := []string{"FIRSTTOUCH_TEST_CORE=1"}
	plain := testproc.Strace(t, "TestPlainForStrace", env, time.Minute)
	made := testproc.Strace(t, "TestCoreForStrace", append(env, testproc.DeliveryEnv+"="+DeliveryThread.String()), time.Minute)
	for c, n := range testproc.Strace(t, "TestCoreForStrace", append(env, testproc.DeliveryEnv+"="+DeliverySignal.String()), time.Minute) {
		made[c] += n
	}
	list := calls.List()
	writes := !newProfiler(t).Snapshot().Stats.UserModeOnly // see attach in calls_core_linux_test.go
	for c, n := range made {
		own := c.Number == unix.SYS_USERFAULTFD || c.Command == uintptr(uffd.IoctlNew)
		if plain[c] == 0 && !own && !slices.ContainsFunc(list, func(l calls.Call) bool {
			number, command := l.Number()
			return number == c.Number && command == c.Command
		}) {
			t.Errorf("%v is made %d times with the profiler, never without it, and is not in the list", c, n)
		}
	}
	for _, l := range list {
		number, command := l.Number()
		n := 0
		for c := range made {
			if c.Number == number && c.Command == command {
				n += made[c]
			}
		}
		if n == 0 && l.Rare == "" && (writes || command != uintptr(uffd.IoctlWriteProtect)) {
			t.Errorf("%s is in the list and was not made", l.Name)
		}
	}
}
