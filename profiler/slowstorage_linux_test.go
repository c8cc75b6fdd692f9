//go:build linux && (amd64 || arm64)

package profiler

import (
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/firsttouch/firsttouch/internal/slowfs"
	"golang.org/x/sys/unix"
)

// slowEnv is the file that the parent serves.
const slowEnv = "FIRSTTOUCH_TEST_SLOW_FILE"

// A thread that waits for slow storage in read(2), which no signal ends, is not in the way: memory is armed again while
// it waits.
func TestRearmWhileStorageIsSlow(t *testing.T) {
	aside(t)
	const top = "TestRearmWhileStorageIsSlow"
	var env []string
	if os.Getenv(slowEnv) == "" {
		env = []string{slowEnv + "=" + slowfs.Serve(t, slowfs.File{Contents: make([]byte, 1<<20), Delay: 300 * time.Millisecond, Direct: true})}
	}
	inChild(t, top, "all", env, func(t *testing.T) {
		f, err := os.Open(os.Getenv(slowEnv))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		p := newProfiler(t)
		path := newFile(t, 8*pageSize)
		m := mapFile(t, path, 8*pageSize, unix.PROT_READ, unix.MAP_SHARED)
		r := attach(t, p, path)
		var reads atomic.Int64
		var over atomic.Bool
		done := make(chan error)
		go func() {
			var err error
			for b := make([]byte, 16); err == nil && !over.Load(); reads.Add(1) {
				_, err = unix.Pread(int(f.Fd()), b, 0)
			}
			done <- err
		}()
		meanwhile := 0
		for range 5 {
			readPages(m)
			for n := reads.Load(); reads.Load() == n; { // the next read begins now
				time.Sleep(time.Millisecond)
			}
			time.Sleep(10 * time.Millisecond)
			n := reads.Load()
			before := p.Snapshot().Stats.Records
			rearm(t, r)
			if reads.Load() == n {
				meanwhile++
			}
			readPages(m)
			if got := p.Snapshot().Stats.Records - before; got != 8 {
				t.Errorf("%d pages were touched for the first time since they were armed again, want 8", got)
			}
		}
		over.Store(true)
		if err := <-done; err != nil {
			t.Error(err)
		}
		if meanwhile == 0 {
			t.Error("memory was never armed while a thread waited for storage")
		}
	})
}

func readPages(m []byte) {
	for i := 0; i < len(m); i += pageSize {
		sink = m[i]
	}
}
