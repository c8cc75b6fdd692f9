package profiler

// sub computes s minus old. Faults, groups, histograms and counters are differences; Touched is
// what was touched for the first time in between, and for a region that was re-armed meanwhile
// everything touched since.
func sub(s, old *Snapshot) *Snapshot {
	d := &Snapshot{
		Start: old.End, End: s.End, StartMono: old.EndMono, EndMono: s.EndMono,
		Threads: subThreads(s.Threads, old.Threads),
		Stats:   subStats(s.Stats, old.Stats),
		stacks:  s.stacks, spans: s.spans,
	}
	if len(old.Faults) < len(s.Faults) {
		d.Faults = s.Faults[len(old.Faults):]
	}
	for i := range s.Regions {
		var before RegionStats
		if i < len(old.Regions) {
			before = old.Regions[i]
		}
		d.Regions = append(d.Regions, subRegion(s.Regions[i], before))
	}
	for _, e := range s.Events {
		if e.Last > old.EndMono {
			d.Events = append(d.Events, e)
		}
	}
	d.Groups = subGroups(s.Groups, old.Groups)
	blocks := make([]map[uint64]Scaled, len(d.Regions))
	for _, f := range d.Faults {
		r := &d.Regions[f.Region]
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
		var before RegionStats
		if i < len(old.Regions) {
			before = old.Regions[i]
		}
		d.Regions[i].estimateSince(&before, old.EndMono, s.EndMono, blocks[i])
	}
	return d
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

func subGroups(groups, old []Group) (out []Group) {
	before := make(map[groupKey]Group, len(old))
	for _, g := range old {
		before[groupKey{g.Region, g.Stack, g.Access, g.Source, g.Actor}] = g
	}
	for _, g := range groups {
		b := before[groupKey{g.Region, g.Stack, g.Access, g.Source, g.Actor}]
		if g.Faults == b.Faults {
			continue
		}
		g.Faults -= b.Faults
		g.Bytes -= b.Bytes
		g.Stall -= b.Stall
		g.Max = min(g.Max, g.Stall)
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
	s.Stacks -= old.Stacks
	s.StacksMissed -= old.StacksMissed
	s.StallsUnknown -= old.StallsUnknown
	s.StacksCut -= old.StacksCut
	s.Unattributed -= old.Unattributed
	s.SpansDropped -= old.SpansDropped
	s.ResolveErrs -= old.ResolveErrs
	s.Overhead -= old.Overhead
	s.Stops -= old.Stops
	s.Stopped -= old.Stopped
	return s
}
