//go:build linux && (amd64 || arm64)

package profiler

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/firsttouch/firsttouch/internal/testproc"
	"github.com/firsttouch/firsttouch/uffd"
	"golang.org/x/sys/unix"
)

// naiveBudget is many times what the engine needs for the same work on the same machine.
const naiveBudget = 3 * time.Second

// The work of the copy cases hangs when a goroutine resolves the faults, so these tests can fail; the
// same goroutine finishes it when nothing collects garbage, so it resolves correctly; and the engine
// finishes it.
func TestGoroutineAsResolverHangs(t *testing.T) {
	aside(t)
	const top = "TestGoroutineAsResolverHangs"
	if name := os.Getenv(caseEnv); name != "" {
		copyUnder(t, name)
		return
	}
	for _, c := range []struct {
		name, gogc string
		hangs      bool
	}{
		{"engine", "1", false},
		{undisturbed, "off", false},
		{"goroutine", "1", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			env := []string{caseEnv + "=" + c.name, "GOMAXPROCS=4", "GOGC=" + c.gogc, "GORACE=atexit_sleep_ms=0"}
			if !c.hangs {
				testproc.Run(t, top, env, hangBudget)
				return
			}
			r := testproc.Do(t, top, env, naiveBudget)
			if strings.Contains(r.Out, "--- SKIP") {
				t.Skip(r.Out)
			}
			if !strings.Contains(r.Out, "copying\n") {
				t.Fatalf("the child did not come to the copies: %v\n%s", r.Err, r.Out)
			}
			if !r.TimedOut || strings.Contains(r.Out, "copied\n") {
				t.Errorf("want a hang within %v, got %v\n%s", naiveBudget, r.Err, r.Out)
			}
		})
	}
}

// undisturbed is the case of a goroutine as resolver that one other goroutine, and no garbage
// collection, needs.
const undisturbed = "goroutine undisturbed"

// copyUnder copies memory whose faults are resolved as the case says.
func copyUnder(t *testing.T, resolver string) {
	const pages = 4096
	a := &armed{want: make([]byte, pages*pageSize)}
	if resolver == "engine" {
		p := newProfiler(t)
		a.region = newArena(t, p, "arena", len(a.want))
		a.memory = a.region.Bytes()
	} else {
		a.region = &Region{name: "arena"}
		a.memory = naive(t, len(a.want))
	}
	workers := 1
	if resolver != undisturbed {
		workers = 8
		collecting(t)
	}
	fmt.Println("copying")
	a.spread(t, workers, hangCopy)
	fmt.Println("copied")
}

// naive is memory whose faults a goroutine resolves.
func naive(t *testing.T, size int) []byte {
	t.Helper()
	fd, err := uffd.Open()
	if errors.Is(err, uffd.ErrNotSupported) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	b, err := unix.Mmap(-1, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		t.Fatal(err)
	}
	smallPages(t, b)
	lo := uffd.Addr(addressOf(b))
	if _, err := fd.Register(uffd.Range{Start: lo, End: lo + uffd.Addr(size)}, uffd.ModeMissing); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		fd.Close()
		unix.Munmap(b)
	})
	go func() {
		msgs := make([]uffd.Msg, 16)
		zeros := make([]byte, pageSize)
		for {
			n, err := fd.Read(msgs)
			if err != nil {
				return // closed
			}
			for _, m := range msgs[:n] {
				if _, err := fd.Copy(m.Address()&^uffd.Addr(pageSize-1), zeros, 0); err != nil {
					fmt.Println("resolver:", err)
				}
			}
		}
	}()
	return b
}
