package agent

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/firsttouch/firsttouch/internal/hostile"
	"github.com/firsttouch/firsttouch/internal/testproc"
	"github.com/firsttouch/firsttouch/profiler"
)

// stall sends a request to the debug endpoint and reads nothing of the answer.
func stall(t *testing.T, a *Agent, path string) {
	t.Helper()
	// A small window, so that little of the answer is in the sockets' buffers.
	d := net.Dialer{Control: func(_, _ string, c syscall.RawConn) (err error) {
		bad := c.Control(func(fd uintptr) { err = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, 4<<10) })
		if bad != nil {
			return bad
		}
		return err
	}}
	c, err := d.DialContext(t.Context(), "tcp", a.DebugAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if _, err := fmt.Fprintf(c, "GET %s%s HTTP/1.1\r\nHost: localhost\r\n\r\n", basePath, path); err != nil {
		t.Fatal(err)
	}
}

// manyFaults is an agent whose answers are some megabytes.
func manyFaults(t *testing.T) *Agent {
	t.Helper()
	const pages = 40_000
	a := start(t, WithDebugAddr(":0"), WithStacks(profiler.StacksNone()))
	cache, err := a.Profiler().NewArena("cache", pages*os.Getpagesize())
	if err != nil {
		t.Fatal(err)
	}
	sum := byte(0)
	for i := range pages {
		sum += cache.Bytes()[i*os.Getpagesize()] // by reading, which takes no memory
	}
	if s := a.Profiler().Snapshot(); sum != 0 || len(s.Faults) != pages {
		t.Fatalf("%d, %d faults", sum, len(s.Faults))
	}
	return a
}

// clients is how many read nothing at a time, more than are answered at a time.
const clients = 5

// Clients that read nothing cost little memory, keep nobody from being answered, and keep neither the memory nor Shutdown.
func TestClientsThatReadNothing(t *testing.T) {
	a := manyFaults(t)
	live := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := live()
	for range clients {
		stall(t, a, "snapshot?faults=100000")
	}
	if code, body := get(t, "http://"+a.DebugAddr().String()+basePath+"snapshot"); code != 200 || !strings.Contains(body, `"active":true`) {
		t.Errorf("%d %.100s", code, body)
	}
	for range clients {
		stall(t, a, "snapshot?faults=100000")
	}
	if after := live(); after > before+32<<20 {
		t.Errorf("their answers take %d MiB", (after-before)>>20)
	}
	done := make(chan error, 1)
	go func() { done <- a.Shutdown(context.Background()) }()
	eventually(t, "the memory is given back", func() bool { return a.Profiler().Snapshot().Regions[0].Detached })
	select {
	case err := <-done:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(testproc.Budget(15 * time.Second)):
		t.Fatal("Shutdown does not return")
	}
}

// Shutdown returns when its context ends, and has given back what it can at once; another call finds nothing left to do.
func TestShutdownWithinItsContext(t *testing.T) {
	for _, most := range []time.Duration{-1, time.Millisecond, 300 * time.Millisecond} {
		a := manyFaults(t)
		for range 4 {
			stall(t, a, "snapshot?faults=100000")
		}
		ctx, cancel := context.WithTimeout(t.Context(), most)
		done := make(chan error, 1)
		go func() { done <- a.Shutdown(ctx) }()
		select {
		case err := <-done:
			t.Log(most, err)
		case <-time.After(testproc.Budget(5 * time.Second)):
			t.Fatalf("Shutdown does not return after %v", most)
		}
		cancel()
		eventually(t, "the memory is given back", func() bool { return a.Profiler().Snapshot().Regions[0].Detached })
		if err := a.Shutdown(t.Context()); err != nil && !strings.Contains(err.Error(), "cut off") {
			t.Errorf("again: %v", err)
		}
		if err := a.Shutdown(t.Context()); err != nil {
			t.Errorf("a third time: %v", err)
		}
	}
}

// A page of another site cannot have a window recorded, wherever the handler is.
func TestPagesOfOtherSitesArmNothing(t *testing.T) {
	a := start(t)
	for _, path := range []string{"profile?seconds=1", "address?seconds=1", "recording?seconds=1", "snapshot", "recording"} {
		code, _ := ask(t, a.Handler(), basePath+path, func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") })
		if code != http.StatusForbidden {
			t.Errorf("%s: %d", path, code)
		}
	}
}

// Where the service's server has no deadlines, and hides its connections, an answer is complete all the same.
func TestHandlerBehindOthers(t *testing.T) {
	a := manyFaults(t)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a.Handler().ServeHTTP(struct{ http.ResponseWriter }{w}, r)
	}))
	defer server.Close()
	if code, body := get(t, server.URL+basePath+"snapshot?faults=100000"); code != 200 || strings.Count(body, `"seq":`) != 40_000 || !strings.HasSuffix(body, "}\n") {
		t.Errorf("%d, %d bytes", code, len(body))
	}
}

// What the page and the table of mappings show of names is text.
func TestHostileNamesOnPages(t *testing.T) {
	a := start(t)
	for i, name := range hostile.Names {
		if strings.ContainsRune(name, 0) {
			continue
		}
		r, err := a.Profiler().NewArena(name, os.Getpagesize())
		if err != nil {
			t.Logf("%q: %v", name, err) // names may be refused
			continue
		}
		r.Bytes()[0] = byte(i)
	}
	_, page := ask(t, a.Handler(), basePath, nil)
	if strings.Contains(page, "<script>alert") || !strings.Contains(page, "&lt;script&gt;alert") {
		t.Error("the page has a script of a name")
	}
	_, text := ask(t, a.Handler(), basePath+"mappings?text=true", nil)
	if strings.ContainsAny(text, "\x1b\r\x07\u009b\u202e") {
		t.Errorf("%q", text)
	}
}
