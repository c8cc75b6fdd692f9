package pprof

import "github.com/firsttouch/firsttouch/profiler"

// cellKey says which faults are one sample.
type cellKey struct {
	region   profiler.RegionID
	stack    profiler.StackID
	access   profiler.Access
	source   profiler.Source
	actor    profiler.Actor
	span     profiler.SpanRef
	unlogged bool // touched memory whose first toucher is not in the log
}

type cell struct {
	cellKey
	value
}

// division is a snapshot's totals on their way into samples.
type division struct {
	cells map[cellKey]*cell
	order []*cell
}

func (d *division) at(k cellKey) *cell {
	c := d.cells[k]
	if c == nil {
		c = &cell{cellKey: k}
		d.cells[k] = c
		d.order = append(d.order, c)
	}
	return c
}

// share is the part of a group that is in the log, and the last cell that it went to.
type share struct {
	value
	last *cell
}

// divide divides the exact totals of the groups into samples, in an order that depends on the
// snapshot alone. The log of faults, which may have been cut, is consulted only for what the groups
// do not tell: the spans, and which faults were the first on a granule that faulted more than once.
func divide(s *profiler.Snapshot, spans bool) []*cell {
	d := &division{cells: make(map[cellKey]*cell)}
	once := touchedOnce(s)
	logged := make(map[cellKey]share)
	accounts := make(map[profiler.RegionID]*accountant, len(s.Regions))
	for i := range s.Regions {
		accounts[s.Regions[i].ID] = newAccountant(&s.Regions[i])
	}
	for i := range s.Faults {
		f := &s.Faults[i]
		if !spans && once[f.Region] {
			continue
		}
		k := cellKey{region: f.Region, stack: f.Stack, access: f.Access, source: f.Source, actor: f.Actor}
		v := value{1, accounts[f.Region].take(f.Offset), f.Stall}
		sample := k
		if spans {
			sample.span = f.Span
		}
		c := d.at(sample)
		c.value = c.plus(v)
		logged[k] = share{logged[k].plus(v), c}
	}
	for _, g := range s.Groups {
		k := cellKey{region: g.Region, stack: g.Stack, access: g.Access, source: g.Source, actor: g.Actor}
		was := logged[k]
		rest := value{faults: int64(g.Faults) - was.faults, stall: g.Stall - was.stall}
		if once[g.Region] {
			rest.touched = int64(g.Bytes) - was.touched
			accounts[g.Region].left -= rest.touched
		}
		c := was.last
		if rest.faults != 0 || c == nil {
			c = d.at(k)
		}
		// Of a group that is in the log as a whole, what is left is a difference in the size of
		// the region's last granule, before and after the region grew.
		c.value = c.plus(rest)
	}
	for i := range s.Regions {
		id := s.Regions[i].ID
		if a := accounts[id]; a.left > 0 {
			d.at(cellKey{region: id, unlogged: true}).touched = a.left
		}
	}
	return d.order
}

// touchedOnce tells for each region whether no granule faulted twice: then the bytes of its groups
// are its distinct bytes. Granules fault again after a re-arm, and where a file is mapped again.
func touchedOnce(s *profiler.Snapshot) map[profiler.RegionID]bool {
	sum := make(map[profiler.RegionID]int64, len(s.Regions))
	for _, g := range s.Groups {
		sum[g.Region] += int64(g.Bytes)
	}
	once := make(map[profiler.RegionID]bool, len(s.Regions))
	for i := range s.Regions {
		r := &s.Regions[i]
		once[r.ID] = sum[r.ID] == r.Touched
	}
	return once
}

func (v value) plus(o value) value {
	return value{v.faults + o.faults, v.touched + o.touched, v.stall + o.stall}
}
