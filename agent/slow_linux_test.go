package agent

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

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
	dir := slowStorage(t, pages*uffd.PageSize(), slow)
	testproc.Run(t, name, []string{slowEnv + "=" + filepath.Join(dir, "data")}, time.Minute)
}

// slowStorage mounts a file system with one file, of pages that hold their number, each of which takes that long. It
// is served by this process, so another one has to use it. See include/uapi/linux/fuse.h.
func slowStorage(t *testing.T, size int, slow time.Duration) (dir string) {
	t.Helper()
	fd, err := unix.Open("/dev/fuse", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Skipf("slow storage cannot be made: /dev/fuse: %v", err)
	}
	dir = t.TempDir()
	options := fmt.Sprintf("fd=%d,rootmode=40000,user_id=%d,group_id=%d", fd, os.Getuid(), os.Getgid())
	if err := unix.Mount("slow", dir, "fuse", unix.MS_NODEV|unix.MS_NOSUID, options); err != nil {
		unix.Close(fd)
		t.Skipf("slow storage cannot be made: mount: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
		unix.Close(fd)
	})
	le := binary.LittleEndian
	attributes := func(b []byte, node uint64) []byte { // struct fuse_attr
		mode, n := uint32(unix.S_IFDIR|0o755), uint64(0)
		if node != 1 {
			mode, n = unix.S_IFREG|0o444, uint64(size)
		}
		b = le.AppendUint64(le.AppendUint64(le.AppendUint64(b, node), n), n/512)
		b = append(b, make([]byte, 3*8+3*4)...) // times
		b = le.AppendUint32(le.AppendUint32(b, mode), 1)
		return append(b, make([]byte, 5*4)...)
	}
	const forever = 1 << 30
	reply := func(unique uint64, errno unix.Errno, body []byte) {
		b := le.AppendUint32(nil, uint32(16+len(body)))
		b = le.AppendUint32(b, uint32(-int32(errno)))
		unix.Write(fd, append(le.AppendUint64(b, unique), body...)) // ENOENT: who asked is gone
	}
	go func() {
		buf := make([]byte, 1<<20)
		for {
			n, err := unix.Read(fd, buf)
			if errors.Is(err, unix.EINTR) || errors.Is(err, unix.ENOENT) {
				continue
			} else if err != nil || n < 40 {
				return // unmounted
			}
			code, unique, node, in := le.Uint32(buf[4:]), le.Uint64(buf[8:]), le.Uint64(buf[16:]), buf[40:n]
			switch code {
			case 26: // INIT
				b := le.AppendUint32(le.AppendUint32(nil, 7), 31)
				b = append(b, make([]byte, 4+4+2+2)...) // no reading ahead
				b = le.AppendUint32(b, 4096)
				reply(unique, 0, append(b, make([]byte, 64-len(b))...))
			case 1: // LOOKUP
				b := le.AppendUint64(le.AppendUint64(nil, 2), 0)
				b = le.AppendUint64(le.AppendUint64(b, forever), forever)
				reply(unique, 0, attributes(append(b, make([]byte, 8)...), 2))
			case 3: // GETATTR
				reply(unique, 0, attributes(append(le.AppendUint64(nil, forever), make([]byte, 8)...), node))
			case 14: // OPEN
				reply(unique, 0, make([]byte, 16))
			case 15: // READ
				from, length := int(le.Uint64(in[8:])), int(le.Uint32(in[16:]))
				go func() {
					time.Sleep(slow)
					b := make([]byte, max(min(length, size-from), 0))
					for i := range b {
						if (from+i)%uffd.PageSize() == 0 {
							b[i] = byte((from + i) / uffd.PageSize())
						}
					}
					reply(unique, 0, b)
				}()
			case 2, 36, 42: // INTERRUPT is 36, FORGET 2, BATCH_FORGET 42: no answer
			case 18, 25: // RELEASE, FLUSH
				reply(unique, 0, nil)
			default:
				reply(unique, unix.ENOSYS, nil)
			}
		}
	}()
	return dir
}
