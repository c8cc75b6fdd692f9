package bbolttest

import (
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/firsttouch/firsttouch/internal/testproc"
	"github.com/firsttouch/firsttouch/profiler"
	"golang.org/x/sys/unix"
)

const lockEnv = "FIRSTTOUCH_BBOLTTEST_LOCKS"

// The POSIX record locks of a process live until it closes any descriptor of the file (fcntl(2)):
// nothing that the profiler does with a mapping may do that.
func TestRecordLocksSurvive(t *testing.T) {
	if !inChild(t, nil) {
		return
	}
	f := newFile(t, 64)
	for _, l := range []unix.Flock_t{
		{Type: unix.F_WRLCK, Whence: io.SeekStart, Start: 0, Len: 100},
		{Type: unix.F_RDLCK, Whence: io.SeekStart, Start: 5000, Len: 10},
	} {
		if err := unix.FcntlFlock(f.Fd(), unix.F_SETLK, &l); err != nil {
			t.Fatal(err)
		}
	}
	pid := os.Getpid()
	held := fmt.Sprintf("locks: %d of %d, %d of %d", unix.F_WRLCK, pid, unix.F_RDLCK, pid)
	check := func(when, want string) {
		t.Helper()
		if got := otherProcessSees(t, f.Name()); got != want {
			t.Errorf("%s another process sees %q, want %q", when, got, want)
		}
	}
	b := mapFile(t, f, 0, 64, unix.PROT_READ|unix.PROT_WRITE)
	check("before attaching", held)
	p := start(t, profiler.WithRescan(time.Millisecond))
	r := attach(t, p, f.Name())
	check("after attaching", held)
	touch(b, 3)
	check("after touches", held)
	rearm(t, r)
	touch(b, 2)
	check("in the second window", held)
	look(t, p, r, f)
	check("after a mapping came and went", held)
	unmap(t, b[:32*page])
	look(t, p, r, f)
	check("after a part was unmapped", held)
	detach(t, r)
	check("after detaching", held)
	detach(t, attach(t, p, f.Name()))
	check("after attaching once more", held)
	// That the locks can be lost, and that this test sees it.
	other, err := os.Open(f.Name())
	if err != nil {
		t.Fatal(err)
	}
	other.Close()
	check("after a close", fmt.Sprintf("locks: %d of 0, %d of 0", unix.F_UNLCK, unix.F_UNLCK))
}

// otherProcessSees returns the line about the locks of the file that a new process prints.
func otherProcessSees(t *testing.T, path string) string {
	t.Helper()
	out := testproc.Run(t, "TestPrintLocks", []string{lockEnv + "=" + path}, budget)
	for line := range strings.Lines(out) {
		if strings.HasPrefix(line, "locks: ") {
			return strings.TrimSpace(line)
		}
	}
	t.Fatalf("no line about locks in:\n%s", out)
	return ""
}

// TestPrintLocks is the other process of TestRecordLocksSurvive.
func TestPrintLocks(t *testing.T) {
	path := os.Getenv(lockEnv)
	if path == "" {
		t.Skip("runs as a child of TestRecordLocksSurvive")
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var found []string
	for _, at := range []int64{50, 5005} {
		l := unix.Flock_t{Type: unix.F_WRLCK, Whence: io.SeekStart, Start: at, Len: 1}
		if err := unix.FcntlFlock(f.Fd(), unix.F_GETLK, &l); err != nil {
			t.Fatal(err)
		}
		if l.Type == unix.F_UNLCK {
			l.Pid = 0
		}
		found = append(found, fmt.Sprintf("%d of %d", l.Type, l.Pid))
	}
	fmt.Println("locks: " + strings.Join(found, ", "))
}
