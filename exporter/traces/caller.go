package traces

import (
	"time"

	"github.com/firsttouch/firsttouch/exporter"
	"github.com/firsttouch/firsttouch/profiler"
	"go.opentelemetry.io/otel/attribute"
)

// caller returns the attributes of the caller, as exporter.Caller finds it, in the stack that waited
// longest; none where no stack was taken.
func (p *Processor) caller(faults []profiler.Fault) []attribute.KeyValue {
	waits := make(map[profiler.StackID]time.Duration)
	var longest profiler.StackID
	for _, f := range faults {
		if f.Stack == 0 {
			continue
		}
		waits[f.Stack] += f.Stall
		if longest == 0 || waits[f.Stack] > waits[longest] {
			longest = f.Stack
		}
	}
	if longest == 0 {
		return nil
	}
	frames := p.src.Frames(longest)
	i := exporter.Caller(frames)
	if i < 0 {
		return nil
	}
	f := frames[i]
	return []attribute.KeyValue{
		attribute.String(exporter.AttrFunction, f.Function),
		attribute.String(exporter.AttrFile, f.File),
		attribute.Int(exporter.AttrLine, f.Line),
	}
}
