package touchorder

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"runtime"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// One thread reads: it tells the kernel of the ranges ahead, and reads behind, which waits until they are there. Measured with 4,000 ranges
// of 54 MiB that is faster than 4 to 64 threads that read.
const (
	aheadPieces = 128     // ranges that the kernel was told of and that were not read yet
	aheadBytes  = 8 << 20 // and their size
	// While the process reads itself: what its own reads may have to wait behind.
	yieldPieces = 4
	yieldBytes  = 256 << 10
	// One call reads ahead at most what the device's read_ahead_kb says, 128 KiB as a rule, and drops the rest without a word
	// (force_page_cache_ra, mm/readahead.c).
	adviseMost = 128 << 10
	bufferSize = 256 << 10
)

// reader is a thread that reads.
type reader struct {
	ctx    context.Context
	opts   Options
	order  *Order
	result Result
	buffer []byte
	at     *atomic.Int64

	budget int64 // bytes of memory that may be filled
	spare  int64 // bytes that have to stay free
	looked int64 // Done when it was looked last whether they are
	slept  time.Duration
	others int64 // what the process's other threads have read from storage
	busy   bool  // they have read since the last look
}

// run reads on a thread with a table of descriptors of its own: closing any descriptor of a file drops the record locks that the table's
// owner has on it (locks_remove_posix, fs/locks.c), and a service's SQLite or LMDB holds such locks.
//
// at is how many bytes are done.
func (o *Order) run(ctx context.Context, opts Options, at *atomic.Int64) (result Result, err error) {
	apart(func(refused error) {
		if err = refused; err == nil {
			// Not of the Go heap, which may be armed.
			var buffer []byte
			if buffer, err = unix.Mmap(-1, 0, bufferSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS); err != nil {
				return
			}
			defer unix.Munmap(buffer)
			r := &reader{ctx: ctx, opts: opts, order: o, at: at, buffer: buffer}
			err = r.read()
			result = r.result
		}
	})
	return result, err
}

func (r *reader) read() error {
	begin := time.Now()
	free, err := freeMemory()
	if err != nil {
		return fmt.Errorf("how much memory is free is not known: %w", err)
	}
	r.budget = int64(float64(free) * r.opts.Memory)
	r.spare = free - r.budget
	pieces, files := r.order.pieces()
	r.result.Wanted = r.order.Bytes()
	before := readBy(unix.RUSAGE_THREAD)
	defer func() {
		for _, f := range files {
			f.close()
			if f.why != "" {
				r.result.Files = append(r.result.Files, FileResult{f.Path, f.skipped, f.why})
			}
		}
		r.result.Storage = readBy(unix.RUSAGE_THREAD) - before
		r.result.Took, r.result.Paused = time.Since(begin), r.slept
	}()
	r.look()
	ahead, aheadOf := 0, int64(0) // pieces that the kernel was told of, and bytes of those that were not read yet
	for i, p := range pieces {
		if err := r.ctx.Err(); err != nil {
			r.stop(pieces[i:], "it was interrupted")
			return err
		}
		if r.result.Done+p.Length > r.budget || r.short() {
			r.stop(pieces[i:], fmt.Sprintf("no more than %d bytes, %.0f%% of the memory that was free, are filled", r.budget, 100*r.opts.Memory))
			break
		}
		count, size := aheadPieces, int64(aheadBytes)
		if r.busy || r.opts.Bandwidth > 0 {
			count, size = yieldPieces, yieldBytes
		}
		for ahead < len(pieces) && ahead < i+count && (ahead == i || aheadOf < size && r.result.Done+aheadOf+pieces[ahead].Length <= r.budget) {
			r.advise(pieces[ahead])
			aheadOf += pieces[ahead].Length
			ahead++
		}
		start := time.Now()
		r.take(p)
		aheadOf -= p.Length
		if p.file.left--; p.file.left == 0 {
			p.file.close()
		}
		r.at.Store(r.result.Done)
		r.pause(begin, time.Since(start))
	}
	return nil
}

// stop leaves out what is left.
func (r *reader) stop(left []piece, why string) {
	r.result.Stopped = why
	for _, p := range left {
		if !p.file.out {
			p.file.skip(p.Length, why)
		}
	}
}

// whyMost is how long a reason may grow.
const whyMost = 200

func (f *open) skip(n int64, why string) {
	f.skipped += n
	switch {
	case f.why == "":
		f.why = why
	case len(f.why) < whyMost && !strings.Contains(f.why, why):
		f.why += "; " + why
	}
}

func (f *open) close() {
	if f.fd >= 0 {
		_ = unix.Close(f.fd) // it was read only
		f.fd = -1
	}
}

// advise tells the kernel of a range. Where that does nothing, reading it does it.
func (r *reader) advise(p piece) {
	if !r.ready(p.file) {
		return
	}
	for at := p.Offset; at < p.End(); at += adviseMost {
		_ = unix.Fadvise(p.file.fd, at, min(adviseMost, p.End()-at), unix.FADV_WILLNEED)
	}
}

// ready opens a file at its first range, and reports whether it is read.
func (r *reader) ready(f *open) bool {
	if f.fd >= 0 {
		return true
	}
	if f.out {
		return false
	}
	fd, v := r.openFile(f.File)
	if f.why = v.note; v.skip != nil {
		f.why, f.out, f.skipped = v.skip.Error(), true, f.Bytes()
		return false
	}
	f.fd = fd
	return true
}

// take reads a range, and so waits until it is there.
func (r *reader) take(p piece) {
	if p.file.fd < 0 {
		return // skipped as a whole
	}
	for at := p.Offset; at < p.End(); {
		n, err := unix.Pread(p.file.fd, r.buffer[:min(int64(len(r.buffer)), p.End()-at)], at)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			p.file.skip(p.End()-at, fmt.Sprintf("reading %d bytes at %d: %v", p.End()-at, at, err))
			return
		case n == 0:
			p.file.skip(p.End()-at, fmt.Sprintf("it ends before %d, where it was read when the order was written", p.End()))
			return
		}
		at += int64(n)
		r.result.Done += int64(n)
	}
}

// pause keeps the bandwidth, and lets the process's own reads go first.
func (r *reader) pause(begin time.Time, took time.Duration) {
	wait := time.Duration(0)
	if r.opts.Bandwidth > 0 {
		wait = time.Duration(float64(r.result.Done)/float64(r.opts.Bandwidth)*float64(time.Second)) - time.Since(begin)
	}
	if r.opts.Yield {
		if r.look(); r.busy {
			wait = max(wait, took)
		}
	}
	if wait > 0 {
		r.slept += wait
		select {
		case <-time.After(wait):
		case <-r.ctx.Done():
		}
	}
}

// look sees whether other threads of the process have read from storage since the last look.
func (r *reader) look() {
	if !r.opts.Yield {
		return
	}
	others := readBy(unix.RUSAGE_SELF) - readBy(unix.RUSAGE_THREAD)
	r.busy, r.others = others > r.others && r.others != 0, max(others, 1)
}

// readBy is how many bytes were read from storage.
func readBy(who int) int64 {
	var u unix.Rusage
	if unix.Getrusage(who, &u) != nil {
		return 0
	}
	return u.Inblock * 512
}

// openFile opens a file that may be read, and compares it with what the order knows of it.
func (r *reader) openFile(f *File) (fd int, v verdict) {
	fd, st, err := r.opts.open(f.Path)
	if err != nil {
		return -1, verdict{skip: err}
	}
	// Otherwise the kernel reads ahead by itself, which is in vain here.
	_ = unix.Fadvise(fd, 0, 0, unix.FADV_RANDOM)
	if v = f.judge(st.Size, unix.TimespecToNsec(st.Mtim), st.Ino, readerAt(fd)); v.skip != nil {
		unix.Close(fd)
		return -1, v
	}
	return fd, v
}

// open opens a regular file, if it may be opened.
func (o *Options) open(name string) (fd int, st unix.Stat_t, err error) {
	open := func(flags int) (int, error) { return unix.Open(name, flags, 0) }
	if len(o.Under) > 0 {
		dir, rest, ok := o.beneath(name)
		if !ok {
			return -1, st, fmt.Errorf("it is in none of the directories that were asked for, %q", o.Under)
		}
		root, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		if err != nil {
			return -1, st, &fs.PathError{Op: "open", Path: dir, Err: err}
		}
		defer unix.Close(root)
		open = func(flags int) (int, error) {
			fd, err := unix.Openat2(root, rest, &unix.OpenHow{Flags: uint64(flags), Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_MAGICLINKS})
			if errors.Is(err, unix.EXDEV) {
				err = fmt.Errorf("a link leads out of %s: %w", dir, err)
			}
			return fd, err
		}
	}
	// Opening a device or a pipe may do something: first it is looked at.
	path, err := open(unix.O_PATH | unix.O_CLOEXEC)
	if err != nil {
		return -1, st, err
	}
	defer unix.Close(path)
	if err := unix.Fstat(path, &st); err != nil {
		return -1, st, err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return -1, st, errNotRegular
	}
	if fd, err = open(unix.O_RDONLY | unix.O_CLOEXEC | unix.O_NONBLOCK | unix.O_NOCTTY); err != nil {
		return -1, st, err
	}
	if err := unix.Fstat(fd, &st); err != nil || st.Mode&unix.S_IFMT != unix.S_IFREG {
		unix.Close(fd)
		return -1, st, errNotRegular
	}
	return fd, st, nil
}

// identify looks at the files on a thread with a table of descriptors of its own, as run does, and for the same reason.
func (o *Order) identify() map[string]error {
	failed := make(map[string]error)
	apart(func(refused error) {
		for i := range o.Files {
			f := &o.Files[i]
			err := refused
			if err == nil {
				err = f.identify()
			}
			if err != nil {
				failed[f.Path] = err
			}
		}
	})
	return failed
}

func (f *File) identify() error {
	fd, st, err := (&Options{}).open(f.Path)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return f.is(st.Size, time.Unix(st.Mtim.Unix()), st.Ino, readerAt(fd))
}

// readerAt is a descriptor to read samples from.
type readerAt int

// ReadAt is that of io.ReaderAt.
func (fd readerAt) ReadAt(b []byte, offset int64) (n int, err error) {
	for n < len(b) {
		k, err := unix.Pread(int(fd), b[n:], offset+int64(n))
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return n, err
		}
		if k == 0 {
			return n, io.EOF
		}
		n += k
	}
	return n, nil
}

// apart runs do on a thread of its own, with a table of descriptors of its own that is empty but for those that Go's scheduler polls. The
// thread ends with do. It is not the first thread, whose table is the one of /proc/self/fd.
func apart(do func(refused error)) {
	done := make(chan struct{})
	var begin func()
	begin = func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with its goroutine
		if unix.Gettid() == unix.Getpid() {
			held := make(chan struct{})
			go func() { defer close(held); begin() }()
			<-held // until then the first thread is kept from the other one
			runtime.UnlockOSThread()
			return
		}
		defer close(done)
		do(separate())
	}
	go begin()
	<-done
}
