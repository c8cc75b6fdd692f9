//go:build linux && (amd64 || arm64)

package profiler

import (
	"math/rand/v2"
	"testing"

	"golang.org/x/sys/unix"
)

// known is a region whose touches are all made by touchers.
type known struct {
	name     string
	region   *Region
	memory   []byte
	source   Source
	readOnly bool
}

// knownRegions makes one region of each kind of pages pages. The files are in the page cache,
// since they were just written.
func knownRegions(t *testing.T, p *Profiler, pages int) []known {
	t.Helper()
	size := pages * pageSize
	arena := newArena(t, p, "arena", size)
	mapped, err := p.MapFile(newFile(t, size))
	if err != nil {
		t.Fatal(err)
	}
	path := newFile(t, size)
	memory := mapFile(t, path, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	attached := attach(t, p, path)
	return []known{
		{"arena", arena, arena.Bytes(), SourceZero, false},
		{"mapped file", mapped, mapped.Bytes(), SourcePageCache, true},
		{"attached file", attached, memory, SourcePageCache, false},
	}
}

// Every way of touching, in every kind of memory, gives one fault that tells the truth.
func TestEveryWayOfTouching(t *testing.T) {
	for _, d := range deliveries {
		t.Run(d.String(), func(t *testing.T) { everyWay(t, d) })
	}
}

var deliveries = []Delivery{DeliveryThread, DeliverySignal}

func everyWay(t *testing.T, d Delivery) {
	const attempts = 3 // to touch without being preempted
	p := newProfiler(t, WithDelivery(d))
	userOnly := p.Snapshot().Stats.UserModeOnly
	w := newToucher(t)
	for _, k := range knownRegions(t, p, attempts*len(ways)) {
		for i := range ways {
			if k.readOnly && ways[i].access == Write {
				continue
			}
			t.Run(k.name+"/"+ways[i].name, func(t *testing.T) {
				if ways[i].system && userOnly {
					t.Skip("Stats.UserModeOnly: a system call that is given memory not yet touched fails with EFAULT")
				}
				for attempt := range attempts {
					if touchOnce(t, p, w, k, &ways[i], attempts*i+attempt) {
						return
					}
				}
				t.Errorf("no stack in %d attempts", attempts)
			})
		}
	}
}

// touchOnce touches one page, twice, and reports whether the stack of its fault came.
func touchOnce(t *testing.T, p *Profiler, w *toucher, k known, how *way, page int) (stack bool) {
	t.Helper()
	o := order{how, k.region, k.memory, page*pageSize + 1000, page*pageSize + 1200}
	before := p.Snapshot()
	m := w.touch(t, o)
	s := p.Snapshot()
	d := s.Sub(before)
	if len(d.Faults) != 1 {
		t.Fatalf("%d faults, want 1", len(d.Faults))
	}
	stack = m.check(t, d, &d.Faults[0], k.source)
	if d.Stats.Stacks+d.Stats.StacksMissed != 1 {
		t.Errorf("%d stacks, %d missed", d.Stats.Stacks, d.Stats.StacksMissed)
	}
	w.touch(t, o)
	if n := p.Snapshot().Stats.Faults - s.Stats.Faults; n != 0 {
		t.Errorf("%d faults of a page that was touched before", n)
	}
	return stack
}

// Known pages of three regions, touched by eight threads in a random order that channels fix: the
// log is that order, with nothing missing and nothing more.
func TestOrderOverThreads(t *testing.T) {
	for _, d := range deliveries {
		t.Run(d.String(), func(t *testing.T) { orderOverThreads(t, d) })
	}
}

func orderOverThreads(t *testing.T, d Delivery) {
	const pages, touchers = 400, 8
	p := newProfiler(t, WithDelivery(d))
	userOnly := p.Snapshot().Stats.UserModeOnly
	regions := knownRegions(t, p, pages)
	var crew []*toucher
	for range touchers {
		crew = append(crew, newToucher(t))
	}
	rnd := rand.New(rand.NewPCG(1, 2))
	var all []made
	var sources []Source
	for _, at := range rnd.Perm(len(regions) * pages) {
		k, i := &regions[at/pages], at%pages
		if i%4 == 3 {
			continue // never touched
		}
		w := &ways[rnd.IntN(len(ways))]
		if w.system && userOnly || k.readOnly && w.access == Write {
			w = &ways[0]
		}
		lo := rnd.IntN(pageSize - 256)
		o := order{w, k.region, k.memory, i*pageSize + lo, i*pageSize + lo + 65 + rnd.IntN(191)}
		all = append(all, crew[rnd.IntN(touchers)].touch(t, o))
		sources = append(sources, k.source)
	}
	s := p.Snapshot()
	checkSums(t, s)
	if len(s.Faults) != len(all) {
		t.Fatalf("%d faults, want %d", len(s.Faults), len(all))
	}
	missed := uint64(0)
	for i := range all {
		if !all[i].check(t, s, &s.Faults[i], sources[i]) {
			missed++
		}
	}
	if n := uint64(len(all)); missed > n/100 || s.Stats.Stacks != n-missed || s.Stats.StacksMissed != missed || s.Stats.Dropped != 0 || s.Stats.ResolveErrs != 0 {
		t.Errorf("%d touches, %d without a stack, but %+v", n, missed, s.Stats)
	}
	if len(s.Threads) != touchers {
		t.Errorf("%d threads, want %d", len(s.Threads), touchers)
	}
	for _, k := range regions {
		for i := range pages {
			if got := s.Regions[k.region.ID()].TouchedAt(int64(i * pageSize)); got != (i%4 != 3) {
				t.Errorf("%s: page %d touched: %v", k.name, i, got)
			}
		}
	}
}
