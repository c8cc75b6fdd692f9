package pprof

import (
	"io"
	"testing"

	"github.com/firsttouch/firsttouch/profiler"
	"github.com/google/pprof/profile"
)

// BenchmarkProfiles builds and writes the profiles of a million first touches from one stack.
func BenchmarkProfiles(b *testing.B) {
	builder := profiler.NewSnapshotBuilder()
	r := builder.AddRegion(profiler.RegionStats{Name: "cache", Granule: 4096, Size: 1 << 32})
	stack := builder.AddStack(handler())
	for i := range int64(1 << 20) {
		builder.AddFault(profiler.Fault{Seq: uint64(i), Region: r, Offset: i * 4096, Stack: stack, Stall: 5000, Messages: 1})
	}
	s := builder.Snapshot()
	for name, build := range map[string]func(*profiler.Snapshot, ...Option) *profile.Profile{"workingset": ByCode, "addressspace": ByAddress} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := Write(io.Discard, build(s)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
