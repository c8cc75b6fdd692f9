//go:build linux && (amd64 || arm64)

package profiler

import (
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// A region of a file that nobody maps any more costs a little at each look. It is closed some time after its last mapping has gone:
// sooner where the file is gone as well, which then can only be mapped by who holds it open.
const (
	leaveGone     = time.Second
	leaveUnmapped = 10 * time.Second
)

// handleFID asks for a handle that only tells files apart, which more file systems give (AT_HANDLE_FID, Linux 6.5).
const handleFID = 0x200

// handleOf tells the file at a path from others, also from those that had its number before (name_to_handle_at(2): no file is
// opened). It is empty where the file system cannot.
func handleOf(path string) string {
	h, _, err := unix.NameToHandleAt(unix.AT_FDCWD, path, handleFID)
	if err != nil {
		h, _, err = unix.NameToHandleAt(unix.AT_FDCWD, path, 0)
	}
	if err != nil {
		return ""
	}
	return string(h.Bytes())
}

// isAt reports whether the path leads to the file, and taken whether that leads to another one which has its number now. A
// mapping keeps the number: where it is taken the file has none.
func (id *fileID) isAt(path string) bool { return inodeAt(path) == id.inode && id.same(path) }

func (id *fileID) taken(path string) bool { return inodeAt(path) == id.inode && !id.same(path) }

func (id *fileID) same(path string) bool {
	h := handleOf(path)
	return h == id.handle || h == "" || id.handle == ""
}

// inodeAt is the number of the file at a path, or 0.
func inodeAt(path string) uint64 {
	var st unix.Stat_t
	if unix.Stat(path, &st) != nil {
		return 0
	}
	return st.Ino
}

// due reports whether the region is to be looked at: its file is mapped, or was. It closes the region once its file is gone. The caller
// holds r.mu.
func (r *Region) due(l *Look) (bool, error) {
	now := l.at
	switch {
	case len(r.maps) > 0 || len(l.of(r.file)) > 0:
		r.unmapped = 0
		return true, nil
	case r.unmapped == 0:
		r.unmapped = now
	}
	after := leaveUnmapped
	gone := false
	if now-r.unmapped >= leaveGone {
		gone = !r.file.isAt(r.file.path)
	}
	if r.config.untilUnmapped && gone {
		after = leaveGone
	}
	if now-r.unmapped < after || !gone && !r.config.untilUnmapped {
		return false, nil
	}
	return false, r.detach()
}

// giveWay closes the regions that stand in the way of a file, since it has taken the number of theirs, or its path where that
// is not mapped any more. beside are others whose mu the caller holds, and p.mu.
func (p *Profiler) giveWay(id *fileID, beside []*Region) error {
	for _, r := range p.openRegions() {
		if slices.Contains(beside, r) || r.kind != KindAttached || r.file.path != id.path && r.file.inode != id.inode {
			continue
		}
		r.mu.Lock()
		var err error
		if !r.closed.Load() && (r.file.taken(id.path) || len(r.maps) == 0 && r.file.path == id.path && !r.file.isAt(id.path)) {
			err = r.detach()
		}
		r.mu.Unlock()
		if err != nil {
			return err
		}
	}
	return nil
}
