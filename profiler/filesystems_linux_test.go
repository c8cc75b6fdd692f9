//go:build linux && (amd64 || arm64)

package profiler

import (
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// What the path of a mapping says of its file system is what the list of mounts says, for whatever is mapped; of what has no path any more the
// list alone tells, and memory without a path is known without either.
func TestFileSystemOfMappings(t *testing.T) {
	gone := diskFile(t, pageSize)
	mapFile(t, gone, pageSize, unix.PROT_READ, unix.MAP_SHARED)
	mapFile(t, diskFile(t, pageSize), pageSize, unix.PROT_READ, unix.MAP_SHARED)
	must(t, os.Remove(gone))
	shm, err := os.CreateTemp("/dev/shm", "firsttouch")
	if err == nil {
		t.Cleanup(func() { os.Remove(shm.Name()) })
		must(t, shm.Truncate(int64(pageSize)))
		mapFile(t, shm.Name(), pageSize, unix.PROT_READ, unix.MAP_SHARED)
	}
	b, err := unix.Mmap(-1, 0, pageSize, unix.PROT_READ, unix.MAP_SHARED|unix.MAP_ANONYMOUS)
	must(t, err)
	defer unix.Munmap(b)
	mounts, err := readFileSystems()
	must(t, err)
	list, err := readOwnMaps()
	must(t, err)
	of := func(kind string) string {
		if kind == tmpfs || kind == hugetlbfs {
			return kind
		}
		return "another"
	}
	known, shared := 0, 0
	for i := range list {
		m := &list[i]
		kind, ok := kindAt(m)
		if !ok || m.inode == 0 {
			continue
		}
		known++
		if of(kind) != of(mounts.of(m)) {
			t.Errorf("%s: %q by its path, %q by the list of mounts", m.path, kind, mounts.of(m))
		}
		if kind == tmpfs {
			shared++
		}
		if m.path == gone+" (deleted)" {
			t.Errorf("%s is known by a path that leads nowhere", m.path)
		}
	}
	if known == 0 || shared == 0 {
		t.Errorf("%d mappings are known, %d of them in memory", known, shared)
	}
}
