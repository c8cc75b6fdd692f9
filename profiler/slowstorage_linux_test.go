//go:build linux && (amd64 || arm64)

package profiler

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// slowEnv is the file that slowStorage serves.
const slowEnv = "FIRSTTOUCH_TEST_SLOW_FILE"

// A thread that waits for slow storage in read(2), which no signal ends, is not in the way: memory is armed again while
// it waits.
func TestRearmWhileStorageIsSlow(t *testing.T) {
	const top = "TestRearmWhileStorageIsSlow"
	var env []string
	if os.Getenv(slowEnv) == "" {
		env = []string{slowEnv + "=" + slowStorage(t, 300*time.Millisecond)}
	}
	inChild(t, top, "all", env, func(t *testing.T) {
		slow := os.Getenv(slowEnv)
		if slow == "" {
			slow = env[0][len(slowEnv)+1:]
		}
		f, err := os.Open(slow)
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

// slowStorage mounts a file system with one file, each read of which takes so long and is not ended by signals once it has begun, as
// of a disk that does not answer (FUSE, include/uapi/linux/fuse.h). This process serves it.
func slowStorage(t *testing.T, delay time.Duration) (file string) {
	t.Helper()
	// Not through Go's poller: it would ask the kernel to tell when there is something to read before the device has a file system, and
	// would never be told.
	fd, err := unix.Open("/dev/fuse", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, os.ErrPermission) {
		t.Skipf("Only root can mount FUSE: %v", err)
	} else if err != nil {
		t.Fatal(err)
	}
	dev := os.NewFile(uintptr(fd), "/dev/fuse")
	dir := t.TempDir()
	if err := unix.Mount("slow", dir, "fuse", unix.MS_NOSUID|unix.MS_NODEV, fmt.Sprintf("fd=%d,rootmode=40000,user_id=%d,group_id=%d", dev.Fd(), os.Geteuid(), os.Getegid())); err != nil {
		dev.Close()
		t.Skipf("Only root can mount FUSE: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
		dev.Close()
	})
	go serveSlow(dev, delay)
	return filepath.Join(dir, "slow")
}

// serveSlow answers the kernel's requests until the file system is gone.
func serveSlow(dev *os.File, delay time.Duration) {
	const (
		lookup, forget, getattr, open, read, release, flush, initialize, interrupt, batchForget = 1, 2, 3, 14, 15, 18, 25, 26, 36, 42
		fileMode, dirMode, directIO                                                             = 0o100444, 0o40755, 1
	)
	le := binary.LittleEndian // of both architectures
	attributes := func(inode uint64, mode uint32) []byte {
		a := make([]byte, 88) // struct fuse_attr
		le.PutUint64(a, inode)
		le.PutUint64(a[8:], 1<<20)
		le.PutUint32(a[60:], mode)
		le.PutUint32(a[64:], 1)
		return a
	}
	for request := make([]byte, 1<<17); ; {
		n, err := dev.Read(request)
		if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.EINTR) {
			continue // the request was taken back
		}
		if err != nil || n < 40 {
			return
		}
		opcode, unique, node, in := le.Uint32(request[4:]), le.Uint64(request[8:]), le.Uint64(request[16:]), request[40:n]
		answer := func(errno unix.Errno, body []byte) {
			out := make([]byte, 16, 16+len(body))
			le.PutUint32(out, uint32(16+len(body)))
			le.PutUint32(out[4:], uint32(-int32(errno)))
			le.PutUint64(out[8:], unique)
			dev.Write(append(out, body...)) // fails where the request was taken back
		}
		switch opcode {
		case forget, batchForget, interrupt: // have no answer
		case initialize:
			body := make([]byte, 64) // struct fuse_init_out
			le.PutUint32(body, 7)
			le.PutUint32(body[4:], 31)
			le.PutUint32(body[20:], 4096)
			answer(0, body)
		case lookup:
			if string(in[:len(in)-1]) != "slow" {
				answer(unix.ENOENT, nil)
				continue
			}
			body := make([]byte, 40)
			le.PutUint64(body, 2)
			answer(0, append(body, attributes(2, fileMode)...))
		case getattr:
			mode := uint32(fileMode)
			if node == 1 {
				mode = dirMode
			}
			answer(0, append(make([]byte, 16), attributes(node, mode)...))
		case open:
			body := make([]byte, 16)
			le.PutUint32(body[8:], directIO)
			answer(0, body)
		case read:
			body := make([]byte, le.Uint32(in[16:]))
			time.AfterFunc(delay, func() { answer(0, body) })
		case release, flush:
			answer(0, nil)
		default:
			answer(unix.ENOSYS, nil)
		}
	}
}
