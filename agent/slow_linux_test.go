package agent

import (
	"os"
	"sync"
	"testing"
	"time"

	"github.com/firsttouch/firsttouch/internal/slowfs"
	"github.com/firsttouch/firsttouch/internal/testproc"
	"github.com/firsttouch/firsttouch/uffd"
	"golang.org/x/sys/unix"
)

const slowEnv = "AGENT_TEST_SLOW"

// Storage that takes more than a second for a page is not the profiler's doing, and nor is that others wait behind it.
func TestFuseAndSlowStorage(t *testing.T) {
	const name, pages, slow = "TestFuseAndSlowStorage", 24, 1200 * time.Millisecond
	if path := os.Getenv(slowEnv); path != "" {
		mem := mapFile(t, path, pages*uffd.PageSize())
		if err := unix.Madvise(mem, unix.MADV_RANDOM); err != nil {
			t.Fatal(err)
		}
		a := start(t, WithFiles(path))
		var wg sync.WaitGroup
		for i := range pages { // more than the engine has threads for them
			wg.Go(func() {
				if got := touchPage(mem, i); got != byte(i) {
					t.Errorf("page %d has %d", i, got)
				}
			})
		}
		wg.Wait()
		r := a.Profiler().Snapshot().Region(path)
		if r == nil || r.Faults != pages || r.Stall.Max < slow/2 {
			t.Errorf("%+v", r)
		}
		if h := a.Profiler().Health(); h.Broken != nil || a.Reason() != "" {
			t.Errorf("%v, %s", h.Broken, a.Reason())
		}
		t.Logf("seen: %d first touches, the longest of %v", r.Faults, r.Stall.Max)
		return
	}
	contents := make([]byte, pages*uffd.PageSize()) // each page has its number
	for i := range pages {
		contents[i*uffd.PageSize()] = byte(i)
	}
	testproc.Run(t, name, []string{slowEnv + "=" + slowfs.Serve(t, slowfs.File{Contents: contents, Delay: slow})}, time.Minute)
}
