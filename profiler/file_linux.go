//go:build linux && (amd64 || arm64)

package profiler

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sort"
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

// coming are mappings of a region, ascending by address, that are to be armed, and did not exist yet when all of the region's were covered last.
type coming struct {
	*Region
	list []procMap

	// Answers: all is false where one of them is not armed; one that went while we looked is no error.
	all  bool
	errs []error
}

func (c *coming) refuse(err error) {
	if c.all = false; !errors.Is(err, engine.ErrGone) {
		c.errs = append(c.errs, err)
	}
}

// cover is coverAll for one region, whose mapping may have a guard.
func (r *Region) cover(l *Look, list []procMap) (all bool, err error) {
	c := &coming{Region: r, list: list}
	r.p.coverAll(l, []*coming{c}, r.guard())
	return c.all, errors.Join(c.errs...)
}

// coverAll arms mappings of several regions, in as few stops of the other threads as fit. The caller holds mu of each of the regions.
func (p *Profiler) coverAll(l *Look, all []*coming, guard engine.Guard) {
	var files []engine.File
	var of []*coming
	all = slices.DeleteFunc(all, func(c *coming) bool { c.all = true; return len(c.list) == 0 })
	if len(all) == 0 {
		return
	}
	locks, err := p.locks(p.readMaps)
	if err != nil {
		for _, c := range all {
			c.refuse(err)
		}
		return
	}
	for _, c := range all {
		for i := range c.list {
			m := &c.list[i]
			if !m.shared {
				c.refuse(fmt.Errorf("%w: a private mapping of a file (MAP_PRIVATE) cannot be covered; map it shared", ErrNotSupported))
				continue
			}
			fs, err := l.fileSystemOf(m)
			if err != nil {
				c.refuse(err)
				continue
			}
			done, err := c.coverShared(m, fs)
			if done {
				continue
			}
			onFault := false
			if err == nil {
				onFault, err = locks.file(m.lo, m.hi)
			}
			if err != nil {
				c.refuse(err)
				continue
			}
			files = append(files, engine.File{
				Region: c.eng, Granule: uintptr(c.config.granule), Sample: c.sample(c.limit),
				Lo: m.lo, Hi: m.hi, Offset: m.offset, Dev: m.dev, Inode: m.inode, Prot: m.prot, Mincore: c.file.mincore, OnFault: onFault,
			})
			of = append(of, c)
		}
	}
	if len(files) == 0 {
		return
	}
	sort.Sort(byAddress{files, of})
	regions, complete := make(map[RegionID]*Region), make(map[RegionID]time.Duration)
	for _, c := range of {
		regions[c.id], complete[c.id] = c.Region, c.complete
	}
	p.eng.Begin(of[0].eng, len(files))
	covered := p.eng.Cover(files, p.know, guard, func(done []*engine.Target, took time.Duration) {
		armed := make(map[*Region][]*mapping)
		for _, g := range done {
			r := regions[RegionID(g.Region)]
			m := &mapping{Target: g, prot: g.Prot()}
			if since := complete[r.id]; since != 0 {
				m.latency = g.Since - since
			}
			armed[r] = append(armed[r], m)
		}
		for r, list := range armed {
			r.longest = max(r.longest, took)
			r.add(list...)
			r.openHeld(list)
		}
	})
	for i, c := range covered {
		if c.Err != nil {
			of[i].refuseOnce(p.wrap(c.Err))
		}
	}
}

// refuseOnce is refuse, with one error for what several mappings have in common.
func (c *coming) refuseOnce(err error) {
	if slices.ContainsFunc(c.errs, func(have error) bool { return have.Error() == err.Error() }) {
		return
	}
	c.refuse(err)
}

// byAddress sorts files, and whose they are.
type byAddress struct {
	files []engine.File
	of    []*coming
}

func (b byAddress) Len() int           { return len(b.files) }
func (b byAddress) Less(i, j int) bool { return b.files[i].Lo < b.files[j].Lo }
func (b byAddress) Swap(i, j int) {
	b.files[i], b.files[j] = b.files[j], b.files[i]
	b.of[i], b.of[j] = b.of[j], b.of[i]
}

// add takes over mappings that are armed. The caller holds r.mu.
func (r *Region) add(list ...*mapping) {
	for _, m := range list {
		m.region = r
	}
	r.maps, r.takenBy = append(r.maps, list...), nil
}
