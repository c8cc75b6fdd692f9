//go:build linux && (amd64 || arm64)

package profiler

import (
	"bytes"
	"fmt"
	"maps"
	"math/bits"
	"os"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// fileSystems names the file system of a device as /proc/self/maps shows it, major<<32 | minor. What is
// not in it is not mounted here.
type fileSystems map[uint64]string

const (
	tmpfs     = "tmpfs"     // shmem: memfd, MAP_SHARED without a file and System V memory, too
	hugetlbfs = "hugetlbfs" // memfd and mappings of huge pages, too
)

// readFileSystems asks what is mounted.
func readFileSystems() (fileSystems, error) {
	text, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, fmt.Errorf("look for file systems in memory: %w", err)
	}
	fs := maps.Clone(withoutPath())
	for line := range bytes.Lines(text) {
		fs.mount(string(line))
	}
	return fs, nil
}

// withoutPath asks, by a file of each, where the kernel keeps shared memory that has no path. That stays as it is as long as the system runs.
var withoutPath = sync.OnceValue(func() fileSystems {
	fs := make(fileSystems)
	fs.memfd(tmpfs, 0)
	// Without them the process has no huge pages either.
	sizes, _ := os.ReadDir("/sys/kernel/mm/hugepages")
	for _, s := range sizes {
		kib, err := strconv.ParseUint(strings.TrimSuffix(strings.TrimPrefix(s.Name(), "hugepages-"), "kB"), 10, 64)
		if err == nil && kib != 0 {
			const sizeShift = 26 // MFD_HUGE_SHIFT, include/uapi/linux/memfd.h
			fs.memfd(hugetlbfs, unix.MFD_HUGETLB|(bits.TrailingZeros64(kib)+10)<<sizeShift)
		}
	}
	return fs
})

// kindAt is the file system of a mapping by its path, where that leads to the file still and the file system shows one device in the list of
// mappings and in stat(2); most do, and overlayfs does not. What is mounted need not be read then, which in a node of a cluster is a long list.
func kindAt(m *procMap) (kind string, ok bool) {
	if kind, ok = withoutPath()[m.dev]; ok {
		return kind, true
	}
	var st unix.Stat_t
	var fs unix.Statfs_t
	if unix.Stat(m.path, &st) != nil || st.Ino != m.inode || uint64(unix.Major(st.Dev))<<32|uint64(unix.Minor(st.Dev)) != m.dev || unix.Statfs(m.path, &fs) != nil {
		return "", false
	}
	switch fs.Type {
	case unix.TMPFS_MAGIC:
		return tmpfs, true
	case unix.HUGETLBFS_MAGIC:
		return hugetlbfs, true
	}
	return "", true
}

// mount enters a line such as "36 35 98:0 / /mnt rw,noatime master:1 - ext3 /dev/root rw"
// (proc_pid_mountinfo(5)).
func (fs fileSystems) mount(line string) {
	before, after, ok := strings.Cut(line, " - ")
	f, kind := strings.Fields(before), strings.Fields(after)
	if !ok || len(f) < 3 || len(kind) == 0 {
		return
	}
	major, minor, _ := strings.Cut(f[2], ":")
	a, err1 := strconv.ParseUint(major, 10, 32)
	b, err2 := strconv.ParseUint(minor, 10, 32)
	if err1 == nil && err2 == nil {
		fs[a<<32|b] = kind[0]
	}
}

// memfd enters where the kernel puts a memfd with these flags. One that cannot be made is not used either.
func (fs fileSystems) memfd(kind string, flags int) {
	fd, err := unix.MemfdCreate("firsttouch", unix.MFD_CLOEXEC|flags)
	if err != nil {
		return
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if unix.Fstat(fd, &st) == nil {
		fs[uint64(unix.Major(st.Dev))<<32|uint64(unix.Minor(st.Dev))] = kind
	}
}

// of is the file system of a mapping, or empty: memory of no file has the device 0, which none has.
func (fs fileSystems) of(m *procMap) string { return fs[m.dev] }
