package pprof

import (
	"github.com/firsttouch/firsttouch/exporter"
	"github.com/google/pprof/profile"
)

// stack returns the locations of a stack, leaf first: pcs[0] is the faulting instruction, the others
// are return addresses.
func (b *builder) stack(pcs []uintptr) []*profile.Location {
	if len(pcs) == 0 {
		return []*profile.Location{b.synthetic(exporter.FrameNoStack)}
	}
	out := make([]*profile.Location, len(pcs))
	for i, pc := range pcs {
		after := pc // the address behind the instruction, as in runtime.Callers
		if i == 0 {
			after++
		}
		at := uint64(after - 1)
		out[i] = b.location(b.enter(b.codeAt(at)), at, b.lines(after)...)
	}
	return out
}

// lines names the function that holds an instruction, behind those inlined into it.
func (b *builder) lines(after uintptr) (lines []profile.Line) {
	for _, f := range b.s.FramesAt(after) {
		if f.Function != "" {
			lines = append(lines, profile.Line{Function: b.function(f.Function, f.File), Line: int64(f.Line)})
		}
	}
	if len(lines) == 0 {
		lines = []profile.Line{{Function: b.function(exporter.FrameUnknownCode, "")}}
	}
	return lines
}

// codeAt returns the executable mapping that holds an address, or nil.
func (b *builder) codeAt(address uint64) *profile.Mapping {
	for _, m := range b.code {
		if m.Start <= address && address < m.Limit {
			return m
		}
	}
	return nil
}
