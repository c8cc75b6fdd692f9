//go:build linux && (amd64 || arm64)

package profiler

import (
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// Mappings lists the mappings of this process by address, each with what can be observed of it. It reads
// /proc/self/smaps, for which the kernel walks the page tables: some milliseconds for a large process.
func (p *Profiler) Mappings() ([]Mapping, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, fmt.Errorf("profiler: %w", ErrClosed)
	}
	j, err := p.newJudge()
	if err != nil {
		return nil, err
	}
	var list []smap
	if err := eachSmap(func(m *smap) bool { list = append(list, *m); return true }); err != nil {
		return nil, err
	}
	// The heap is looked for afterwards: what the list shows as a mere reservation may have become a part of it
	// since, and addresses that are the heap's stay so.
	heap, err := p.heapNow()
	if err != nil {
		return nil, err
	}
	regions := p.openRegions()
	out := make([]Mapping, 0, len(list))
	for i := range list {
		out = append(out, j.mapping(&list[i], regions, &heap))
	}
	return out, nil
}

// AttachMapping observes a mapping of Mappings by the means that its Attach names: the range, or all
// mappings of its file. Without WithName the region is called after the mapping's path, or its address.
func (p *Profiler) AttachMapping(m Mapping, opts ...RegionOption) (*Region, error) {
	writes, err := writesOnly(opts)
	switch {
	case err != nil:
		return nil, err
	case writes && !m.WritesOnly:
		return nil, fmt.Errorf("%w: mapping %#x-%#x: %s", ErrNotSupported, m.Start, m.End, m.WritesReason)
	case !writes && m.Attach == "":
		return nil, fmt.Errorf("%w: mapping %#x-%#x: %s", ErrNotSupported, m.Start, m.End, m.Reason)
	case !writes && m.Attach == "AttachFile":
		return p.AttachFile(m.Path, opts...)
	}
	name := m.Path
	if name == "" {
		name = fmt.Sprintf("%s memory at %#x", m.Kind, m.Start)
	}
	return p.AttachRange(name, m.Start, m.End, opts...)
}

func (j *judge) mapping(m *smap, regions []*Region, heap *knownHeap) Mapping {
	out := Mapping{
		Start: m.lo, End: m.hi, Permissions: m.permissions(), Offset: m.offset, Path: m.path, Kind: j.kind(m),
		PageSize: int(m.page), Resident: m.resident, Swapped: m.swapped,
	}
	for _, r := range regions {
		r.mu.Lock()
		for _, o := range r.maps {
			if o.Lo < m.hi && m.lo < o.Hi {
				out.Region = r.name
			}
		}
		r.mu.Unlock()
	}
	switch {
	case out.Region != "":
		out.Reason = "it is a part of region " + out.Region
		out.WritesReason = out.Reason
		return out
	case j.p.owns(m.lo, m.hi):
		out.Kind = MappingProfiler
		out.Reason = "it is the profiler's own"
		out.WritesReason = out.Reason
		return out
	case out.Kind == MappingPrivate && heap.has(m.lo, m.hi):
		out.Kind = MappingGo
	}
	out.Reason, out.WritesReason = j.refusal(m, false), j.refusal(m, true)
	switch {
	case out.Kind == MappingGo:
		out.Reason = "it is the Go runtime's: use AttachGoHeap for its heap"
		out.WritesReason = out.Reason
	case j.p.observes():
		out.Reason, out.Attach, out.WritesReason = "", "AttachRange", "nothing is armed (DeliveryObserve)"
		if strings.HasPrefix(m.path, "/") && m.inode != 0 {
			out.Attach = "AttachFile"
		}
	case j.p.eng.UserModeOnly() && out.Kind != MappingFile && (out.Kind != MappingPrivate || j.p.config.delivery != DeliverySignal):
		out.Reason = "the profiler may serve user mode only, and a system call that is given this memory would fail: open a way to full userfaultfd (firsttouch doctor)"
		out.WritesReason = out.Reason
	case out.Kind == MappingFile, m.shared && !m.has("mw") && out.Kind == MappingShared:
		out.Reason, out.Attach = "", "AttachFile" // a placeholder covers it
		if m.lock() == lockAll {
			out.Reason, out.Attach = "it is locked in memory (mlock, mlockall): "+unlockFile, ""
		}
	case out.Reason == "":
		out.Attach = "AttachRange"
	}
	out.WritesOnly = out.WritesReason == ""
	return out
}

// owns reports whether memory is the profiler's own.
func (p *Profiler) owns(lo, hi uintptr) bool {
	if p.obs == nil {
		return p.eng.Owns(lo, hi)
	}
	return slices.ContainsFunc(p.obs.reader.Memory(), func(m [2]uintptr) bool { return m[0] < hi && lo < m[1] })
}

// permissions are those of the list of mappings: "rw-p".
func (m *procMap) permissions() string {
	s := []byte("---p")
	for i, c := range []struct {
		prot int
		name byte
	}{{unix.PROT_READ, 'r'}, {unix.PROT_WRITE, 'w'}, {unix.PROT_EXEC, 'x'}} {
		if m.prot&c.prot != 0 {
			s[i] = c.name
		}
	}
	if m.shared {
		s[3] = 's'
	}
	return string(s)
}
