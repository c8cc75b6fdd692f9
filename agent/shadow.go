package agent

import (
	"bufio"
	"bytes"
	"cmp"
	"fmt"
	"os"
	"runtime/metrics"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/firsttouch/firsttouch/exporter/summary"
	"github.com/firsttouch/firsttouch/internal/procmaps"
	"github.com/firsttouch/firsttouch/profiler"
	"github.com/firsttouch/firsttouch/uffd"
)

// What a first touch costs its thread, with its stack, as docs/overhead.md has it measured: "first read of a page of a
// cached file" and "of an arena". What storage takes comes on top where a page is not in memory, with a profiler or without.
const (
	shadowFileTouch  = 10 * time.Microsecond
	shadowArenaTouch = 6 * time.Microsecond
	shadowSource     = "10 µs a granule of a file, 6 µs one of an arena, with every stack, on the machine of docs/overhead.md; storage's own time comes on top"
)

// shadowSees is the note of a shadow that observes.
const shadowSees = "in shadow, nothing is armed: page faults are observed. Agent.Shadow, the page and the JSON snapshot say what would be armed, and what of it was touched"

// shadowBesides is how many mappings arming makes beside the owner's: a placeholder is two, and the second mapping of the file.
const shadowBesides = 2

// Shadow is what an agent in shadow would do, see WithShadow. Sizes are bytes.
type Shadow struct {
	// Refused says why nothing could be armed here at all, or is empty. A userfaultfd was opened and closed to know.
	Refused string         `json:"refused,omitempty"`
	Regions []ShadowRegion `json:"regions"` // by name
	// AddressBytes is address space that arming would reserve: of a file's placeholder and its second mapping. It holds no memory.
	AddressBytes int64 `json:"address_space_bytes"`
	// Mappings are those that the process has now, MappingsArmed with those that arming makes, and MappingsMost when each granule
	// of a file that was touched is one of its own, before they merge again; MapLimit is vm.max_map_count, 0 where it cannot
	// be read. Near it granules are widened.
	Mappings      int   `json:"mappings"`
	MappingsArmed int   `json:"mappings_armed"`
	MappingsMost  int64 `json:"mappings_most"`
	MapLimit      int   `json:"max_map_count"`
	// CostSource says where the figures of cost come from.
	CostSource string `json:"cost_source"`
}

// ShadowRegion is a file or an arena that would be armed.
type ShadowRegion struct {
	Name     string `json:"name"`
	Kind     string `json:"kind"` // attached_file, arena, go_heap
	Mappings int    `json:"mappings"`
	Granule  int    `json:"granule_bytes"`
	Bytes    int64  `json:"mapped_bytes"`
	Resident int64  `json:"resident_bytes"` // that the process has in its page tables now: it was touched. 0 of an arena, of which it is not known
	// The cost of the first touches of what is resident now, which are likely to come, and of the rest, if all of it
	// is touched: wait of the threads that touch.
	ResidentNS int64 `json:"resident_cost_ns"`
	RestNS     int64 `json:"rest_cost_ns"`
	// Seen is what was observed of it, where page faults are (profiler.DeliveryObserve), or nil.
	Seen *ShadowSeen `json:"seen,omitempty"`
	// Reason says why this one would not be armed, or is empty.
	Reason string `json:"reason,omitempty"`
}

// ShadowSeen is what page faults tell of a region that would be armed. There are at least as many first touches: the kernel maps
// several pages with one fault.
type ShadowSeen struct {
	For     int64  `json:"for_ns"` // since the agent was started
	Faults  uint64 `json:"faults"`
	Disk    uint64 `json:"disk"`          // of these, from storage
	Touched int64  `json:"touched_bytes"` // distinct
	CostNS  int64  `json:"cost_ns"`       // what as many first touches would have cost their threads
}

// Shadow says what would be armed now and what that would cost; nil where the agent is not in shadow. It reads
// /proc/self/smaps, for which the kernel walks the page tables: some milliseconds for a large process.
func (a *Agent) Shadow() *Shadow {
	if !a.cfg.shadow || a.cfg.disabled {
		return nil
	}
	s := &Shadow{Regions: []ShadowRegion{}, CostSource: shadowSource}
	granule := cmp.Or(a.cfg.granule, uffd.PageSize())
	userOnly := false
	if fd, err := uffd.Open(); err != nil {
		s.Refused = err.Error()
	} else {
		if userOnly = fd.UserModeOnly(); userOnly && !a.cfg.failing {
			s.Refused = profiler.ErrUserModeOnly.Error() + ": only faults of user mode are served here (firsttouch doctor)"
		}
		fd.Close()
	}
	files, n, err := smapsOfFiles()
	if err != nil {
		s.Refused = strings.TrimPrefix(s.Refused+"; ", "; ") + "the mappings of this process cannot be read: " + err.Error()
	}
	s.Mappings, s.MappingsArmed, s.MappingsMost = n, n, int64(n)
	for _, text := range a.cfg.files {
		p := &pattern{text: text}
		p.resolve()
		for f, m := range files {
			if !p.matches(f.Path) || slices.ContainsFunc(s.Regions, func(r ShadowRegion) bool { return r.Name == f.Path }) {
				continue
			}
			r := ShadowRegion{Name: f.Path, Kind: summary.KindName(profiler.KindAttached), Mappings: m.mappings, Granule: granule, Bytes: m.bytes, Resident: m.resident}
			switch {
			case m.as.Code:
				r.Reason = "it holds program code, which is not profiled"
			case userOnly && m.as.Writable && !p.isPath():
				r.Reason = "a pattern found it, and it can be written to: system calls could fail"
			}
			if r.Reason == "" {
				s.AddressBytes += 2 * m.bytes
				s.MappingsArmed += shadowBesides * m.mappings
				s.MappingsMost += m.bytes / int64(granule)
			}
			s.add(r, shadowFileTouch)
		}
	}
	a.mu.Lock()
	for arena, name := range a.shadowed {
		s.add(ShadowRegion{Name: name, Kind: summary.KindName(profiler.KindArena), Mappings: 1, Granule: granule, Bytes: int64(arena.size)}, shadowArenaTouch)
	}
	a.mu.Unlock()
	if a.prof != nil {
		s.see(a.prof.Snapshot(), time.Since(a.started), granule)
	}
	if a.cfg.goHeap > 0 {
		sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
		if metrics.Read(sample); sample[0].Value.Kind() == metrics.KindUint64 {
			n := int64(a.cfg.goHeap * float64(sample[0].Value.Uint64()))
			s.add(ShadowRegion{Name: "go heap", Kind: summary.KindName(profiler.KindGoHeap), Granule: uffd.PageSize(), Bytes: n, Resident: n}, shadowArenaTouch)
		}
	}
	slices.SortFunc(s.Regions, func(a, b ShadowRegion) int { return strings.Compare(a.Name, b.Name) })
	if text, err := os.ReadFile("/proc/sys/vm/max_map_count"); err == nil {
		s.MapLimit, _ = strconv.Atoi(strings.TrimSpace(string(text)))
	}
	s.MappingsMost += int64(s.MappingsArmed - s.Mappings)
	return s
}

// see takes in what was observed, and the arenas, which are regions then.
func (s *Shadow) see(snap *profiler.Snapshot, long time.Duration, granule int) {
	disk := make(map[profiler.RegionID]uint64)
	for i := range snap.Groups {
		if g := &snap.Groups[i]; g.Source == profiler.SourceDisk {
			disk[g.Region] += g.Faults
		}
	}
	for i := range snap.Regions {
		r, touch := &snap.Regions[i], shadowFileTouch
		if r.Kind == profiler.KindArena && !r.Detached {
			touch = shadowArenaTouch
			s.add(ShadowRegion{Name: r.Name, Kind: summary.KindName(r.Kind), Mappings: 1, Granule: granule, Bytes: r.Size, Resident: r.Touched}, touch)
		}
		for k := range s.Regions {
			if s.Regions[k].Name == r.Name && s.Regions[k].Kind == summary.KindName(r.Kind) {
				s.Regions[k].Seen = &ShadowSeen{For: int64(long), Faults: r.Faults, Disk: disk[r.ID], Touched: r.Touched, CostNS: int64(r.Faults) * int64(touch)}
			}
		}
	}
}

// Waited is the cost of what was seen.
func (r *ShadowSeen) Waited() time.Duration { return time.Duration(r.CostNS) }

// Resided is the cost of what is in use now.
func (r ShadowRegion) Resided() time.Duration { return time.Duration(r.ResidentNS) }

// Rest is the cost of what is not in use now.
func (r ShadowRegion) Rest() time.Duration { return time.Duration(r.RestNS) }

// add takes a region in, with its cost.
func (s *Shadow) add(r ShadowRegion, touch time.Duration) {
	if r.Reason == "" {
		g := int64(r.Granule)
		r.ResidentNS = (r.Resident + g - 1) / g * int64(touch)
		r.RestNS = (max(r.Bytes-r.Resident, 0) + g - 1) / g * int64(touch)
	}
	s.Regions = append(s.Regions, r)
}

// String is one line: what would be armed, what of it is in use now, and what that would cost.
func (s *Shadow) String() string {
	var total ShadowRegion
	files, arenas, heap := 0, 0, ""
	for _, r := range s.Regions {
		if r.Reason != "" {
			continue
		}
		switch r.Kind {
		case summary.KindName(profiler.KindArena):
			arenas++
		case summary.KindName(profiler.KindGoHeap):
			heap = " and a share of the Go heap"
		default:
			files++
		}
		total.Mappings += r.Mappings
		total.Bytes += r.Bytes
		total.Resident += r.Resident
		total.ResidentNS += r.ResidentNS
		total.RestNS += r.RestNS
	}
	size := summary.Bytes
	text := fmt.Sprintf("in shadow, nothing is armed. It would arm %s and %s%s: %s in %s; first touches of the %s in use now would wait %s in all, of the rest %s",
		count(files, "file"), count(arenas, "arena"), heap, size(total.Bytes), count(total.Mappings, "mapping"), size(total.Resident),
		summary.Duration(time.Duration(total.ResidentNS)), summary.Duration(time.Duration(total.RestNS)))
	var seen ShadowSeen
	for _, r := range s.Regions {
		if r.Seen != nil {
			seen.For = r.Seen.For
			seen.Faults += r.Seen.Faults
			seen.Disk += r.Seen.Disk
			seen.CostNS += r.Seen.CostNS
		}
	}
	if seen.For > 0 {
		text += fmt.Sprintf(". Seen in %s by page faults: at least %d first touches, %d of them from storage; armed, they would have waited %s more",
			summary.Duration(time.Duration(seen.For)), seen.Faults, seen.Disk, summary.Duration(seen.Waited()))
	}
	if s.Refused != "" {
		text += ". Here it would be refused: " + s.Refused
	}
	return text
}

// smapped is what the shared mappings of a file are.
type smapped struct {
	mappings        int
	bytes, resident int64
	as              profiler.MappedAs
}

// smapsOfFiles reads /proc/self/smaps (proc_pid_smaps(5)): the files that are mapped shared, and how many mappings there are.
func smapsOfFiles() (map[profiler.MappedFile]smapped, int, error) {
	f, err := os.Open("/proc/self/smaps")
	if err != nil {
		return nil, 0, err
	}
	defer f.Close()
	files, n := make(map[profiler.MappedFile]smapped), 0
	var file profiler.MappedFile // of the mapping that the lines are of, or none
	for lines := bufio.NewScanner(f); lines.Scan(); {
		line := lines.Bytes()
		if rss, ok := bytes.CutPrefix(line, []byte("Rss:")); ok && file != (profiler.MappedFile{}) {
			kib, _ := strconv.ParseInt(string(bytes.TrimSpace(bytes.TrimSuffix(rss, []byte("kB")))), 10, 64)
			m := files[file]
			m.resident += kib << 10
			files[file] = m
		}
		l, name, err := procmaps.Parse(line)
		if err != nil {
			continue
		}
		n++
		file = profiler.MappedFile{}
		found, ok := fileOf(l, name)
		as := mappedAs(l)
		if !ok || as == (profiler.MappedAs{}) {
			continue // private
		}
		file = found
		m := files[file]
		m.mappings++
		m.bytes += int64(l.Hi - l.Lo)
		m.as = joined(m.as, as)
		files[file] = m
	}
	return files, n, nil
}
