package agent

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/firsttouch/firsttouch/internal/testproc"
	"github.com/firsttouch/firsttouch/profiler"
	"github.com/firsttouch/firsttouch/uffd"
	"golang.org/x/sys/unix"
)

// start starts an agent for the test, also where the kernel serves user mode only. Where the system refuses, the
// test is skipped, with its reason.
func start(t *testing.T, opts ...Option) *Agent {
	t.Helper()
	a, err := Start(t.Context(), append(opts, Required(), WithFailingSystemCalls())...)
	if errors.Is(err, profiler.ErrNotSupported) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stop(t, a) })
	look(t, a)
	return a
}

// look has the agent find what is mapped now, which Start does not wait for.
func look(t *testing.T, a *Agent) {
	t.Helper()
	if err := a.Look(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// ownNotes are those of an agent but for what can fail in user mode only.
func ownNotes(a *Agent) []string {
	return slices.DeleteFunc(a.Notes(), func(n string) bool { return strings.HasPrefix(n, "system calls of this service can fail") })
}

// stop ends an agent. One runs in a process at a time.
func stop(t *testing.T, a *Agent) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), testproc.Budget(time.Minute))
	defer cancel()
	if err := a.Shutdown(ctx); err != nil {
		t.Error(err)
	}
}

// database maps a file of so many pages, each filled with its number, as a library would.
func database(t *testing.T, pages int) (path string, mem []byte) {
	t.Helper()
	page := uffd.PageSize()
	content := make([]byte, pages*page)
	for i := range pages {
		content[i*page] = byte(i)
	}
	path = filepath.Join(t.TempDir(), "data.db")
	if err := os.WriteFile(path, content, 0o644); err != nil {
		t.Fatal(err)
	}
	return path, mapFile(t, path, len(content))
}

func mapFile(t *testing.T, path string, size int) []byte {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	mem, err := unix.Mmap(int(f.Fd()), 0, size, unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Munmap(mem); err != nil {
			t.Error(err)
		}
	})
	return mem
}

// eventually waits for a state that other threads bring about; the budget is for a loaded machine.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(testproc.Budget(30 * time.Second)); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within 30s", what)
		}
	}
}

//go:noinline
func touchPage(mem []byte, page int) byte { return mem[page*uffd.PageSize()] }
