// Package slowfs gives tests storage that takes its time: a file system with one file, served over FUSE by the calling process
// (include/uapi/linux/fuse.h). Nothing ends the wait of a thread that reads it, as with a disk that does not answer. So another process
// has to use it: one that waits for itself may wait for ever.
package slowfs

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// File is the one file, which can be read.
type File struct {
	Contents []byte
	Delay    time.Duration                    // of each read that reaches the storage
	Late     func(offset int64) time.Duration // a longer one, of a read that begins there; 0 is none. Nil is none of all
	Direct   bool                             // every read(2) reaches it, not those of pages that are in no cache alone; it cannot be mapped shared then
	Keep     bool                             // who opens it anew finds in the page cache what was read before, as of a disk; otherwise that is dropped
}

// The requests (enum fuse_opcode).
const (
	opLookup, opForget, opGetattr, opOpen, opRead, opRelease = 1, 2, 3, 14, 15, 18
	opFlush, opInit, opInterrupt, opBatchForget              = 25, 26, 36, 42
)

const (
	name      = "data"
	rootNode  = 1
	fileNode  = 2
	directIO  = 1       // FOPEN_DIRECT_IO
	keepCache = 2       // FOPEN_KEEP_CACHE
	forever   = 1 << 30 // seconds that names and attributes stay true
	inHeader  = 40      // struct fuse_in_header
	outHeader = 16      // struct fuse_out_header
)

var le = binary.LittleEndian // of both architectures

// refusals are how a system says that it has no FUSE, or that root may not use it in a container.
var refusals = []unix.Errno{unix.ENOENT, unix.ENODEV, unix.ENXIO, unix.EPERM, unix.EACCES}

// Serve mounts the file until the test ends, and returns its path. Where the system refuses, it skips the test.
func Serve(t testing.TB, f File) (path string) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root can mount a file system")
	}
	failed := func(what string, err error) {
		t.Helper()
		if slices.ContainsFunc(refusals, func(e unix.Errno) bool { return errors.Is(err, e) }) {
			t.Skipf("slow storage cannot be made: %s: %v", what, err)
		}
		t.Fatalf("%s: %v", what, err)
	}
	// Not through Go's poller: it would ask the kernel to tell when there is something to read before the device has a file system, and
	// would never be told.
	fd, err := unix.Open("/dev/fuse", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		failed("/dev/fuse", err)
	}
	dir := t.TempDir()
	options := fmt.Sprintf("fd=%d,rootmode=40000,user_id=%d,group_id=%d", fd, os.Geteuid(), os.Getegid())
	if err := unix.Mount("slow", dir, "fuse", unix.MS_NODEV|unix.MS_NOSUID, options); err != nil {
		unix.Close(fd)
		failed("mount", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
		unix.Close(fd)
	})
	go (&server{f, fd}).serve()
	return filepath.Join(dir, name)
}

type server struct {
	File
	fd int
}

// serve answers the kernel's requests until the file system is gone.
func (s *server) serve() {
	for request := make([]byte, 1<<17); ; {
		n, err := unix.Read(s.fd, request)
		if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.EINTR) {
			continue // the request was taken back
		}
		if err != nil || n < inHeader {
			return
		}
		s.answer(le.Uint32(request[4:]), le.Uint64(request[8:]), le.Uint64(request[16:]), request[inHeader:n])
	}
}

func (s *server) answer(op uint32, unique, node uint64, in []byte) {
	switch op {
	case opForget, opBatchForget, opInterrupt: // have no answer
	case opInit:
		b := make([]byte, 64)      // struct fuse_init_out; no reading ahead
		le.PutUint32(b, 7)         // of the protocol 7.31
		le.PutUint32(b[4:], 31)    //
		le.PutUint32(b[20:], 4096) // max_write
		s.reply(unique, 0, b)
	case opLookup:
		if string(in[:len(in)-1]) != name {
			s.reply(unique, unix.ENOENT, nil)
			return
		}
		b := make([]byte, 40) // struct fuse_entry_out without its attributes
		le.PutUint64(b, fileNode)
		le.PutUint64(b[16:], forever)
		le.PutUint64(b[24:], forever)
		s.reply(unique, 0, append(b, s.attributes(fileNode)...))
	case opGetattr:
		b := make([]byte, 16) // struct fuse_attr_out without its attributes
		le.PutUint64(b, forever)
		s.reply(unique, 0, append(b, s.attributes(node)...))
	case opOpen:
		b := make([]byte, 16) // struct fuse_open_out
		switch {
		case s.Direct:
			le.PutUint32(b[8:], directIO)
		case s.Keep:
			le.PutUint32(b[8:], keepCache)
		}
		s.reply(unique, 0, b)
	case opRead:
		from, length := min(le.Uint64(in[8:]), uint64(len(s.Contents))), uint64(le.Uint32(in[16:]))
		part := s.Contents[from:min(from+length, uint64(len(s.Contents)))]
		delay := s.Delay
		if s.Late != nil {
			delay = max(delay, s.Late(int64(from)))
		}
		time.AfterFunc(delay, func() { s.reply(unique, 0, part) })
	case opRelease, opFlush:
		s.reply(unique, 0, nil)
	default:
		s.reply(unique, unix.ENOSYS, nil)
	}
}

// attributes are a struct fuse_attr.
func (s *server) attributes(node uint64) []byte {
	b := make([]byte, 88)
	le.PutUint64(b, node)
	mode := uint32(unix.S_IFDIR | 0o755)
	if node != rootNode {
		mode = unix.S_IFREG | 0o444
		le.PutUint64(b[8:], uint64(len(s.Contents)))
		le.PutUint64(b[16:], uint64(len(s.Contents)+511)/512)
	}
	le.PutUint32(b[60:], mode)
	le.PutUint32(b[64:], 1) // links
	return b
}

// reply answers a request. It fails where whoever asked is gone.
func (s *server) reply(unique uint64, errno unix.Errno, body []byte) {
	out := make([]byte, outHeader, outHeader+len(body))
	le.PutUint32(out, uint32(outHeader+len(body)))
	le.PutUint32(out[4:], uint32(-int32(errno)))
	le.PutUint64(out[8:], unique)
	_, _ = unix.Write(s.fd, append(out, body...))
}
