//go:build linux && (amd64 || arm64)

package profiler

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
	"unsafe"

	"github.com/firsttouch/firsttouch/internal/engine"
	"golang.org/x/sys/unix"
)

// fileID recognises the mappings of a file. A file system may show another device in the list of
// mappings than in stat (overlayfs, btrfs), so the path counts too. The file is never opened for
// this: closing any descriptor of a file drops the POSIX record locks that the process holds on it.
type fileID struct {
	path       string // absolute, without links
	dev, inode uint64
	handle     string // or empty, see handleOf
	mincore    bool
}

// identify looks a file up without opening it.
func identify(path string) (*fileID, os.FileInfo, error) {
	full, err := filepath.Abs(path)
	if err != nil {
		return nil, nil, err
	}
	// A link of /proc/self/fd leads to a memfd, which has no path.
	if to, err := filepath.EvalSymlinks(full); err == nil {
		full = to
	}
	info, err := os.Stat(full)
	if err != nil {
		return nil, nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, nil, fmt.Errorf("%w: %s is not a regular file", ErrInvalid, path)
	}
	var st unix.Stat_t
	if err := unix.Stat(full, &st); err != nil {
		return nil, nil, &os.PathError{Op: "stat", Path: path, Err: err}
	}
	id := &fileID{path: full, inode: st.Ino, dev: uint64(unix.Major(st.Dev))<<32 | uint64(unix.Minor(st.Dev))}
	id.handle = handleOf(full)
	// The kernel tells the state of the page cache only to who owns the file or may write it
	// (can_do_mincore, mm/mincore.c).
	id.mincore = int(st.Uid) == os.Geteuid() || unix.Access(full, unix.W_OK) == nil
	return id, info, nil
}

func (id *fileID) is(m *procMap) bool {
	return m.inode != 0 && (m.inode == id.inode && m.dev == id.dev ||
		m.inode == id.inode && strings.TrimSuffix(m.path, " (deleted)") == id.path)
}

// size is the file's length now, or the last one known once the file is gone.
func (r *Region) fileSize() int64 {
	if info, err := os.Stat(r.file.path); err == nil {
		return info.Size()
	}
	var top int64
	for _, m := range r.maps {
		top = max(top, m.Offset+int64(m.Hi-m.Lo))
	}
	return top
}

// MapFile maps a file read-only and shared, and observes the first touches of its pages. The
// contents stay coherent with writes to the file. Bytes is the file's extent at the time of the call.
// The file is opened and closed: POSIX record locks that the process holds on it are lost, as with
// any close (fcntl(2)).
func (p *Profiler) MapFile(path string, opts ...RegionOption) (*Region, error) {
	id, info, err := identify(path)
	if err != nil {
		return nil, fmt.Errorf("map file: %w", err)
	}
	if info.Size() == 0 {
		return nil, fmt.Errorf("%w: %s is empty: there is nothing to map", ErrInvalid, path)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if o := p.regionOf(id, KindAttached); o != nil {
		return nil, fmt.Errorf("map file %s: %w: region %q observes every mapping of it, so map it without the profiler", path, ErrRegistered, o.name)
	}
	b, err := mapShared(id.path, int(info.Size()))
	if err != nil {
		return nil, err
	}
	r, err := p.newRegion(path, KindMappedFile, info.Size(), opts)
	if err != nil {
		unmap(b)
		return nil, err
	}
	defer r.mu.Unlock()
	r.file, r.bytes = id, b
	if p.observes() {
		lo, hi := bounds(b)
		r.seeRange(lo, hi)
		r.publishMaps(info.Size())
		return r, nil
	}
	r.eng.KnowFile(id.path, id.dev, id.inode)
	lo := uintptr(unsafe.Pointer(unsafe.SliceData(b)))
	l, err := p.newLook()
	if err == nil {
		list := l.list
		i := slices.IndexFunc(list, func(m procMap) bool { return m.lo <= lo && lo < m.hi })
		if i < 0 || !list[i].shared {
			err = fmt.Errorf("%w: %s", ErrNotMapped, path)
		} else {
			m := list[i] // may have merged with a neighbour of ours
			m.offset += int64(lo - m.lo)
			m.lo, m.hi = lo, lo+pages(len(b))
			r.expect([]procMap{m})
			var all bool
			if all, err = r.cover(l, []procMap{m}); err == nil && !all {
				err = fmt.Errorf("%w: %s", ErrNotMapped, path)
			}
		}
	}
	if err != nil {
		unmap(b)
		r.bytes = nil
		r.closed.Store(true)
		p.forget(r)
		return nil, fmt.Errorf("map file %s: %w", path, err)
	}
	r.publishMaps(info.Size())
	return r, nil
}

func pages(n int) uintptr {
	page := unix.Getpagesize()
	return uintptr((n + page - 1) &^ (page - 1))
}

func mapShared(path string, size int) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("map file: %w", err)
	}
	defer f.Close()
	at, err := unix.MmapPtr(int(f.Fd()), 0, nil, uintptr(size), unix.PROT_READ, unix.MAP_SHARED)
	if err == unix.EAGAIN { // mlock_future_ok, mm/mmap.c
		return nil, fmt.Errorf("%w: the process locks all of its new memory (mlockall with MCL_FUTURE), and the %d bytes of %s cannot be: raise RLIMIT_MEMLOCK: mmap: %w", ErrLocked, size, path, err)
	}
	if err != nil {
		return nil, fmt.Errorf("map file %s: %w", path, err)
	}
	return unsafe.Slice((*byte)(at), size), nil
}

// cover arms mappings, ascending by address, which did not exist yet when all of them were covered last. all is false where one of
// them is not armed; one that went while we looked is no error. The caller holds r.mu.
func (r *Region) cover(l *Look, list []procMap) (all bool, err error) {
	if len(list) == 0 {
		return true, nil
	}
	fs, err := l.fileSystems()
	if err != nil {
		return false, err
	}
	locks, err := r.p.locks()
	if err != nil {
		return false, err
	}
	all = true
	var errs []error
	refuse := func(err error) {
		if all = false; !errors.Is(err, engine.ErrGone) {
			errs = append(errs, err)
		}
	}
	var files []engine.File
	for i := range list {
		m := &list[i]
		if !m.shared {
			refuse(fmt.Errorf("%w: a private mapping of a file (MAP_PRIVATE) cannot be covered; map it shared", ErrNotSupported))
			continue
		}
		done, err := r.coverShared(m, fs.of(m))
		if done {
			continue
		}
		onFault := false
		if err == nil {
			onFault, err = locks.file(m.lo, m.hi)
		}
		if err != nil {
			refuse(err)
			continue
		}
		files = append(files, engine.File{
			Lo: m.lo, Hi: m.hi, Offset: m.offset, Dev: m.dev, Inode: m.inode, Prot: m.prot, Mincore: r.file.mincore, OnFault: onFault,
		})
	}
	complete := r.complete
	covered := r.p.eng.Cover(r.eng, files, uintptr(r.config.granule), r.sample(r.limit), r.know, r.guard(), func(done []*engine.Target, took time.Duration) {
		r.longest = max(r.longest, took)
		armed := make([]*mapping, len(done))
		for i, g := range done {
			armed[i] = &mapping{Target: g, prot: g.Prot()}
			if complete != 0 {
				armed[i].latency = g.Since - complete
			}
		}
		r.add(armed...)
		r.openHeld(armed)
	})
	seen := make(map[string]bool) // one error for what all of them have in common
	for _, c := range covered {
		if c.Err != nil && !seen[c.Err.Error()] {
			seen[c.Err.Error()] = true
			refuse(r.p.wrap(c.Err))
		}
	}
	return all, errors.Join(errs...)
}

// add takes over mappings that are armed. The caller holds r.mu.
func (r *Region) add(list ...*mapping) {
	r.maps, r.takenBy = append(r.maps, list...), nil
}
