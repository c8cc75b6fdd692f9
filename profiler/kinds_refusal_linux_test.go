//go:build linux && (amd64 || arm64)

package profiler

import (
	"errors"
	"testing"

	"golang.org/x/sys/unix"
)

// writesHint is what someone is told whose memory can be observed for writes, and not for every touch.
const writesHint = "; writes alone can be observed here (WithWritesOnly)"

// Linux 6.4 to 6.7 observes writes alone, and has no UFFDIO_MOVE: who asks for every touch of private memory there is
// refused, and told what can be had. Kernels that have both, or neither, say nothing of the kind.
func TestRefusalNamesWritesAlone(t *testing.T) {
	move, share, huge, writes := errors.New("needs MOVE"), errors.New("needs MINOR"), errors.New("needs MINOR for huge pages"), errors.New("needs WP")
	const fs, fd = 5, "/memfd:it (deleted)"
	private := smap{procMap: procMap{prot: unix.PROT_READ | unix.PROT_WRITE}, page: 4 << 10, flags: " rd wr mr mw me ac "}
	shared, hugeShared, hugePrivate, locked, readOnly, file := private, private, private, private, private, private
	shared.shared, shared.dev, shared.inode, shared.path = true, fs, 7, fd
	file.shared, file.dev, file.inode, file.path = true, fs+1, 7, "/data"
	hugeShared.shared, hugeShared.page, hugeShared.flags = true, 2<<20, private.flags+"ht "
	hugePrivate.page, hugePrivate.flags = 2<<20, private.flags+"ht "
	locked.flags += "lo "
	readOnly.prot = unix.PROT_READ
	between := judge{move: move} // 6.4 to 6.7
	for _, c := range []struct {
		name         string
		judge        judge
		mapping      smap
		every, alone string // why every touch, and writes alone, are refused
	}{
		{"before 6.4", judge{move: move, writes: writes}, private, "needs MOVE", "needs WP"},
		{"6.4 to 6.7", between, private, "needs MOVE" + writesHint, ""},
		{"since 6.8", judge{}, private, "", ""},
		{"MOVE alone", judge{writes: writes}, private, "", "needs WP"},
		{"6.4 to 6.7, shared", between, shared, "", ""},
		{"6.4 to 6.7, shared huge pages", between, hugeShared, "", ""},
		{"6.4 to 6.7, shared huge pages that are not offered", judge{move: move, huge: huge}, hugeShared, "needs MINOR for huge pages", ""},
		{"6.4 to 6.7, shared memory that is not offered", judge{move: move, share: share}, shared, "needs MINOR", ""},
		// What the mapping itself does not allow comes before what the kernel lacks.
		{"6.4 to 6.7, private huge pages", between, hugePrivate,
			"private huge pages cannot be moved: map them shared (MAP_SHARED, or a memfd with MFD_HUGETLB), or observe writes alone (WithWritesOnly)", ""},
		{"6.4 to 6.7, locked", between, locked, "it is locked in memory (mlock, mlockall): its pages would have to be let go: unlock it (munlock), or observe writes alone (WithWritesOnly)", ""},
		{"6.4 to 6.7, read only", between, readOnly, "it is not writable, and the kernel moves writable pages only", "it is not writable"},
		{"6.4 to 6.7, a file on a disk", between, file, "it is a mapping of a file on a disk: use AttachFile with its path", noWrites},
	} {
		c.judge.files, c.judge.p = fileSystems{fs: tmpfs}, &Profiler{}
		if every, alone := c.judge.refusal(&c.mapping, false), c.judge.refusal(&c.mapping, true); every != c.every || alone != c.alone {
			t.Errorf("%s: every touch is refused with %q, writes alone with %q; want %q and %q", c.name, every, alone, c.every, c.alone)
		}
	}
}

// The list of mappings says the same of memory that is there, on whatever kernel.
func TestMappingsNameWritesAlone(t *testing.T) {
	p := newProfiler(t)
	if p.eng.UserModeOnly() {
		t.Skip("Stats.UserModeOnly: no memory of others is observed here")
	}
	j, err := p.newJudge()
	if err != nil {
		t.Fatal(err)
	}
	j.move, j.writes = errors.New("needs MOVE"), nil
	m, err := smapAt(addressOf(mapMemory(t, 8)))
	if err != nil {
		t.Fatal(err)
	}
	got := j.mapping(&m, nil, &knownHeap{})
	if got.Kind != MappingPrivate || got.Reason != "needs MOVE"+writesHint || got.Attach != "" || got.WritesReason != "" || !got.WritesOnly {
		t.Errorf("%+v", got)
	}
}
