package profiler

// sub computes s minus old. Faults, groups, histograms and counters are differences; Touched is
// what was touched for the first time in between, and for a region that was re-armed meanwhile
// everything touched since.
func sub(s, old *Snapshot) *Snapshot {
	d := &Snapshot{
		Start: old.End, End: s.End, StartMono: old.EndMono, EndMono: s.EndMono,
		Threads: subThreads(s.Threads, old.Threads),
		Stats:   subStats(s.Stats, old.Stats),
		stacks:  s.stacks, spans: s.spans, moved: s.moved,
	}
	if len(old.Faults) < len(s.Faults) {
		d.Faults = s.Faults[len(old.Faults):]
	}
	before := regionsBefore(s, old)
	for i := range s.Regions {
		d.Regions = append(d.Regions, subRegion(s.Regions[i], before[i]))
	}
	for _, e := range s.Events {
		if e.Last > old.EndMono {
			d.Events = append(d.Events, e)
		}
	}
	for _, b := range s.Blocked {
		if b.From >= old.EndMono {
			d.Blocked = append(d.Blocked, b)
		}
	}
	d.Groups = subGroups(s, old.Groups)
	blocks := make(map[RegionID]map[uint64]Scaled)
	for _, f := range d.Faults {
		r := d.RegionOf(f.Region)
		if r.Past > 0 {
			continue // Touched is a difference of totals
		}
		fresh := int64(0)
		if g := uint64(f.Offset) / uint64(r.Granule); r.touched.add(g) {
			fresh = r.extent(g)
			r.Touched += fresh
		}
		if r.sampled != nil {
			if blocks[f.Region] == nil {
				blocks[f.Region] = make(map[uint64]Scaled)
			}
			b := blocks[f.Region][uint64(f.Offset)>>r.sampled.shift]
			b.add(f.Weight, uint64(fresh), f.Stall)
			blocks[f.Region][uint64(f.Offset)>>r.sampled.shift] = b
		}
	}
	for i := range d.Regions {
		r := &d.Regions[i]
		r.estimateSince(&before[i], old.EndMono, s.EndMono, blocks[r.ID])
	}
	return d
}

// regionsBefore returns, for each region of a snapshot, what an earlier one had of it and of those that were added to it since.
func regionsBefore(s, old *Snapshot) []RegionStats {
	before := make([]RegionStats, len(s.Regions))
	at := make(map[RegionID]int, len(s.Regions))
	for i := range s.Regions {
		at[s.Regions[i].ID] = i
	}
	for i := range old.Regions {
		o := &old.Regions[i]
		r := s.RegionOf(o.ID)
		j, ok := at[r.ID]
		if ok && r.Past > 0 {
			before[j].plus(o)
		} else if ok {
			before[j] = *o
		}
	}
	return before
}

func subRegion(r, old RegionStats) RegionStats {
	r.Faults -= old.Faults
	r.Messages -= old.Messages
	r.CoTouch -= old.CoTouch
	r.StallsUnknown -= old.StallsUnknown
	r.Rearms -= old.Rearms
	r.Widened -= old.Widened
	r.Left -= old.Left
	r.Stall = r.Stall.sub(old.Stall)
	r.Disk = r.Disk.sub(old.Disk)
	if r.Past > 0 {
		r.Touched -= old.Touched
		return r
	}
	var touched bitmap
	size := int64(0)
	r.touched.each(func(i uint64) bool {
		if !old.touched.has(i) {
			touched.add(i)
			size += r.extent(i)
		}
		return true
	})
	r.touched, r.Touched = touched, size
	return r
}

func subGroups(s *Snapshot, old []Group) (out []Group) {
	before := make(map[groupKey]Group, len(old))
	for _, g := range old {
		if to, ok := movedTo(s.moved, g.Region); ok {
			g.Region = to
		}
		if have, ok := before[g.key()]; ok {
			g.plus(&have)
		}
		before[g.key()] = g
	}
	for _, g := range s.Groups {
		b := before[g.key()]
		if g.Faults == b.Faults {
			continue
		}
		g.Faults -= b.Faults
		g.Bytes -= b.Bytes
		g.Stall -= b.Stall
		g.Max = min(g.Max, g.Stall)
		g.Blocked -= b.Blocked
		g.Scaled.Faults -= b.Scaled.Faults
		g.Scaled.Bytes -= b.Scaled.Bytes
		g.Scaled.Stall -= b.Scaled.Stall
		out = append(out, g)
	}
	return out
}

func subThreads(threads, old []ThreadStats) (out []ThreadStats) {
	before := make(map[int32]ThreadStats, len(old))
	for _, t := range old {
		before[t.Thread] = t
	}
	for _, t := range threads {
		b := before[t.Thread]
		if t.Faults == b.Faults {
			continue
		}
		t.Faults -= b.Faults
		t.Stall -= b.Stall
		out = append(out, t)
	}
	return out
}

func subStats(s, old Stats) Stats {
	s.Faults -= old.Faults
	s.Messages -= old.Messages
	s.Records -= old.Records
	s.Dropped -= old.Dropped
	s.LogCut -= old.LogCut
	s.Elsewhere -= old.Elsewhere
	s.Stacks -= old.Stacks
	s.StacksMissed -= old.StacksMissed
	s.StallsUnknown -= old.StallsUnknown
	s.StacksCut -= old.StacksCut
	s.Unattributed -= old.Unattributed
	s.SpansDropped -= old.SpansDropped
	s.ResolveErrs -= old.ResolveErrs
	s.Overhead -= old.Overhead
	s.Blocked = s.Blocked.sub(old.Blocked)
	s.Stops -= old.Stops
	s.Stopped -= old.Stopped
	return s
}
