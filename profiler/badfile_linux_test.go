//go:build linux && (amd64 || arm64)

package profiler

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/firsttouch/firsttouch/internal/testproc"
	"golang.org/x/sys/unix"
)

// A private mapping is refused when it is all there is, and noted next to one that is not.
func TestPrivateMapping(t *testing.T) {
	p := newProfiler(t, WithRescan(time.Millisecond))
	path := newFile(t, 4*pageSize)
	private := mapFile(t, path, 4*pageSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE)
	private[0] = 'x'
	_, err := p.AttachFile(path)
	wantError(t, "private", err, ErrNotSupported, path, "MAP_PRIVATE")
	if private[0] != 'x' || private[8] != 9 {
		t.Error("the private mapping changed")
	}
	shared := mapFile(t, path, 4*pageSize, unix.PROT_READ, unix.MAP_SHARED)
	r := attach(t, p, path)
	wordAt(t, shared, 8)
	sink = private[pageSize]
	s := p.Snapshot()
	if got := s.Regions[r.ID()]; got.Faults != 1 || got.Mapped != 4*int64(pageSize) {
		t.Errorf("%d faults in %d bytes mapped", got.Faults, got.Mapped)
	}
	noted := func() bool {
		for _, n := range p.Snapshot().Stats.Notes {
			if strings.Contains(n, path) && strings.Contains(n, "MAP_PRIVATE") {
				return true
			}
		}
		return false
	}
	for deadline := time.Now().Add(testproc.Budget(30 * time.Second)); !noted(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("notes %q do not tell of the private mapping", p.Snapshot().Stats.Notes)
		}
	}
}

// A mapping that is locked in memory was touched all over when it was locked.
func TestLockedMapping(t *testing.T) {
	p := newProfiler(t)
	path := newFile(t, 4*pageSize)
	b := mapFile(t, path, 4*pageSize, unix.PROT_READ, unix.MAP_SHARED)
	if err := unix.Mlock(b); err != nil {
		t.Skipf("mlock of 4 pages: %v: raise RLIMIT_MEMLOCK", err)
	}
	_, err := p.AttachFile(path)
	wantError(t, "locked", err, ErrNotSupported, path, "mlock")
	wordAt(t, b, 8)
}

// A file that the user may not read is refused with the system's reason; so is one in a directory
// that the user may not enter.
func TestFileWithoutPermission(t *testing.T) {
	const env = "FIRSTTOUCH_TEST_FORBIDDEN"
	if dir := os.Getenv(env); dir != "" {
		p := newProfiler(t)
		for _, name := range []string{"unreadable", "closed/readable"} {
			path := filepath.Join(dir, name)
			_, err := p.MapFile(path)
			wantError(t, "map", err, fs.ErrPermission, path)
		}
		_, err := p.AttachFile(filepath.Join(dir, "closed/readable"))
		wantError(t, "attach", err, fs.ErrPermission, "closed")
		return
	}
	if os.Getuid() != 0 {
		t.Skip("only root can make a file that another user may not read")
	}
	dir := testproc.PublicDir(t)
	if err := os.Mkdir(filepath.Join(dir, "closed"), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, mode := range map[string]os.FileMode{"unreadable": 0o600, "closed/readable": 0o644} {
		if err := os.WriteFile(filepath.Join(dir, name), contents(pageSize), mode); err != nil {
			t.Fatal(err)
		}
	}
	testproc.Run(t, t.Name(), []string{env + "=" + dir}, time.Minute, testproc.AsUser(nobody))
}
