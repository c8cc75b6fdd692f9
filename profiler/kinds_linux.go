//go:build linux && (amd64 || arm64)

package profiler

import (
	"strings"

	"github.com/firsttouch/firsttouch/internal/engine"
	"golang.org/x/sys/unix"
)

// judge says of mappings what can be observed of them.
type judge struct {
	p     *Profiler
	files fileSystems
	// What the kernel lacks, or nil.
	move, share, huge, writes error
}

func (p *Profiler) newJudge() (*judge, error) {
	fs, err := readFileSystems()
	if err != nil {
		return nil, err
	}
	if p.observes() {
		return &judge{p: p, files: fs}, nil
	}
	return &judge{
		p: p, files: fs, move: p.eng.HaveRearm(), share: p.eng.HaveShared(false), huge: p.eng.HaveShared(true),
		writes: p.eng.HaveWrites(),
	}, nil
}

// kind is what a mapping is of.
func (j *judge) kind(m *smap) MappingKind {
	switch {
	case strings.HasPrefix(m.path, "[v"), m.has("pf"), m.has("io"): // vdso, vvar, vsyscall; memory of devices
		return MappingKernel
	case m.path == "[stack]":
		return MappingStack
	case strings.HasPrefix(m.path, "[anon: Go:"):
		return MappingGo
	case m.huge() && m.shared:
		return MappingHugeShared
	case m.huge():
		return MappingHugePrivate
	case m.inode == 0 && !m.shared: // the inode of System V memory is its id, and the first one is 0
		return MappingPrivate
	case !m.shared:
		return MappingFilePrivate
	case j.files.of(&m.procMap) == tmpfs:
		return MappingShared
	}
	return MappingFile
}

// means is how the memory of a mapping is observed.
func (j *judge) means(m *smap, writes bool) means {
	switch {
	case writes:
		return byProtect
	case j.p.config.delivery == DeliverySignal:
		return byAccess
	case m.shared:
		return byShare
	}
	return byMove
}

// refusal says why a mapping cannot be attached by its address, and what to do; it is empty for one that
// can.
func (j *judge) refusal(m *smap, writes bool) string {
	kind := j.kind(m)
	switch kind {
	case MappingKernel:
		return "it is the kernel's own, or a device's"
	case MappingStack:
		return "it is the stack of the first thread, which grows"
	case MappingGo:
		return "it is the Go runtime's: use AttachGoHeap for its heap"
	case MappingFile:
		if writes {
			return noWrites
		}
		return "it is a mapping of a file on a disk: use AttachFile with its path"
	case MappingFilePrivate:
		return "it is a private mapping of a file, whose modified pages are in no file and cannot be moved: map it shared"
	case MappingHugePrivate:
		if !writes {
			return "private huge pages cannot be moved: map them shared (MAP_SHARED, or a memfd with MFD_HUGETLB), or observe writes alone (WithWritesOnly)"
		}
	}
	signal := j.p.config.delivery == DeliverySignal
	switch {
	case signal && writes:
		return "delivery by signal cannot observe writes alone: deliver by thread"
	case signal && kind != MappingPrivate:
		return "delivery by signal, which serves user mode only, observes private memory and files alone: attach its file (AttachFile), or deliver by thread"
	case kind == MappingShared && strings.HasPrefix(m.path, "/SYSV"): // vma_is_shmem, mm/shmem.c
		return "it is System V shared memory, which userfaultfd does not take: use a memfd or shm_open"
	case m.shared && !m.has("mw"):
		return "it may not become writable, which the kernel asks for: open its file for writing"
	case !m.shared && m.prot&unix.PROT_WRITE == 0 && writes:
		return "it is not writable"
	case !m.shared && m.prot&unix.PROT_WRITE == 0:
		return "it is not writable, and the kernel moves writable pages only"
	case m.has("lo") && !writes:
		return "it is locked in memory (mlock, mlockall): " + unlockMemory
	case signal:
		return ""
	case m.page > engine.MostPage:
		return "its huge pages are larger than can be filled: use those of 2 MiB"
	}
	var lacks error
	switch {
	case writes:
		lacks = j.writes
	case kind == MappingHugeShared:
		lacks = j.huge
	case kind == MappingShared:
		lacks = j.share
	default:
		lacks = j.move
	}
	switch {
	case lacks == nil:
	case lacks == j.move && j.writes == nil:
		return lacks.Error() + "; writes alone can be observed here (WithWritesOnly)"
	default:
		return lacks.Error()
	}
	return ""
}
