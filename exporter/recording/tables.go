package recording

import (
	"runtime"
	"time"

	"github.com/firsttouch/firsttouch/profiler"
	"github.com/google/pprof/profile"
)

// The tables of the format, in the order in which they are written, but that those of windows come before
// the requests: what is worth most comes first, and
// a table comes after those that it refers to. Numbers of tables and columns are never used again for
// something else.
var (
	originTable     = table[origin]{1, visitOrigin}
	executableTable = table[*profile.Mapping]{2, visitExecutable}
	regionTable     = table[profiler.RegionStats]{3, visitRegion}
	mappingTable    = table[mapping]{4, visitMapping}
	bucketTable     = table[bucket]{5, visitBucket}
	runTable        = table[run]{6, visitRun}
	statsTable      = table[profiler.Stats]{7, visitStats}
	noteTable       = table[string]{8, visitNote}
	codeTable       = table[code]{9, visitCode}
	stackTable      = table[[]uintptr]{10, visitStack}
	groupTable      = table[profiler.Group]{11, visitGroup}
	threadTable     = table[profiler.ThreadStats]{12, visitThread}
	spanTable       = table[span]{13, visitSpan}
	requestTable    = table[Request]{14, visitRequest}
	faultTable      = table[profiler.Fault]{15, visitFault}
	endTable        = table[end]{16, visitEnd}
	windowTable     = table[regionWindow]{17, visitWindow}
	curveTable      = table[curvePoint]{18, visitCurve}
	missTable       = table[missPoint]{19, visitMiss}
	eventTable      = table[profiler.Event]{20, visitEvent}
	samplingTable   = table[sampling]{21, visitSampling}
	endedTable      = table[RequestTotals]{22, visitEnded}
	blockedTable    = table[profiler.BlockedSpan]{23, visitBlocked}
	figureTable     = table[Figure]{24, visitFigure}
)

// origin is the Origin, and the bounds of the snapshot.
type origin struct {
	Origin
	written, start, end int64 // in nanoseconds since 1970, UTC; 0 is no time
	startMono, endMono  time.Duration
}

func visitOrigin(c *columns, o *origin) {
	text(c, 1, &o.Program)
	text(c, 2, &o.Go)
	text(c, 3, &o.System)
	number(c, 4, &o.Process)
	text(c, 5, &o.Writer)
	number(c, 6, &o.written)
	text(c, 7, &o.Reason)
	text(c, 8, &o.Scope)
	number(c, 9, &o.start)
	number(c, 10, &o.end)
	number(c, 11, &o.startMono)
	number(c, 12, &o.endMono)
}

func visitExecutable(c *columns, p **profile.Mapping) {
	if *p == nil {
		if !c.charge(sizeOf[profile.Mapping]()) {
			return
		}
		*p = &profile.Mapping{HasFunctions: true, HasFilenames: true, HasLineNumbers: true, HasInlineFrames: true}
	}
	m := *p
	number(c, 1, &m.Start)
	number(c, 2, &m.Limit)
	number(c, 3, &m.Offset)
	text(c, 4, &m.File)
	text(c, 5, &m.BuildID)
}

func visitCode(c *columns, f *code) {
	step(c, 1, &f.after)
	step(c, 2, &f.PC)
	step(c, 3, &f.Entry)
	text(c, 4, &f.Function)
	text(c, 5, &f.File)
	number(c, 6, &f.Line)
	flag(c, 7, &f.serves)
}

// code is one frame of the code behind which an address is, the innermost first.
type code struct {
	after uintptr
	runtime.Frame
	serves bool // exporter.ServesCaller, for readers in other languages
}

func visitStack(c *columns, pcs *[]uintptr) { series(c, 1, pcs) }

func visitNote(c *columns, s *string) { text(c, 1, s) }

func visitThread(c *columns, t *profiler.ThreadStats) {
	step(c, 1, &t.Thread)
	number(c, 2, &t.Faults)
	number(c, 3, &t.Stall)
}

func visitGroup(c *columns, g *profiler.Group) {
	step(c, 1, &g.Region)
	step(c, 2, &g.Stack)
	number(c, 3, &g.Access)
	number(c, 4, &g.Source)
	number(c, 5, &g.Faults)
	number(c, 6, &g.Bytes)
	number(c, 7, &g.Stall)
	number(c, 8, &g.Max)
	number(c, 9, &g.Actor)
	real(c, 10, &g.Scaled.Faults)
	real(c, 11, &g.Scaled.Bytes)
	number(c, 12, &g.Scaled.Stall)
	number(c, 13, &g.Blocked)
}

// end is the last frame: without it, the recording is cut off.
type end struct {
	frames uint64 // before it
}

func visitEnd(c *columns, e *end) { number(c, 1, &e.frames) }
