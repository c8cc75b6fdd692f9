//go:build linux && (amd64 || arm64)

package bench

import (
	"os"
	"strings"
	"testing"

	"github.com/firsttouch/firsttouch/profiler"
	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) {
	Child()
	os.Exit(m.Run())
}

// BenchmarkSideBySide runs every group of variants in turns; an operation is one round. Each variant
// reports the median of its rounds. The report adds ratios within rounds.
func BenchmarkSideBySide(b *testing.B) {
	rig := startRig(b, Pages)
	for _, g := range groups() {
		b.Run(g.title, func(b *testing.B) {
			var rounds [][]result
			for b.Loop() {
				out, err := g.round(rig, len(rounds))
				if err != nil {
					b.Fatal(err)
				}
				rounds = append(rounds, out)
			}
			for i, name := range g.names {
				values, skip := column(rounds, i)
				if values = present(values); len(values) == 0 {
					b.Logf("%s: skipped: %s", name, skip)
					continue
				}
				b.ReportMetric(quantile(values, .5), metric.Replace(name)+"-ns/page")
			}
		})
	}
}

// metric makes a unit of a variant's name: units have no spaces.
var metric = strings.NewReplacer(" ", "-", ",", "", "'", "")

// BenchmarkFirstWrite makes one first write an operation, in arenas of the same size one after the
// other.
func BenchmarkFirstWrite(b *testing.B) {
	b.Run("kernel", func(b *testing.B) {
		firstWrites(b, func() {}, func() ([]byte, func() error, error) {
			mem, err := mapArena(Pages * pageSize)
			return mem, func() error { return unix.Munmap(mem) }, err
		})
	})
	for _, stacks := range []profiler.StackSampling{profiler.StacksNone(), profiler.StacksEvery()} {
		b.Run("profiler, stacks: "+stacks.String(), func(b *testing.B) {
			p, err := profiler.New(profiler.WithFailingSystemCalls(), profiler.WithStacks(stacks), profiler.WithLogLimit(0))
			skipUnsupported(b, err)
			firstWrites(b, p.Flush, func() ([]byte, func() error, error) {
				r, err := p.NewArena("bench", Pages*pageSize)
				if err != nil {
					return nil, nil, err
				}
				return r.Bytes(), r.Close, nil
			})
			if s := p.Snapshot().Stats; s.Faults != uint64(b.N)+warmUp || s.Dropped != 0 {
				b.Errorf("%d faults seen of %d, %d dropped", s.Faults, b.N+warmUp, s.Dropped)
			}
			if err := p.Close(); err != nil {
				b.Error(err)
			}
		})
	}
}

// warmUp is how many writes come before the first that is timed.
const warmUp = 64

// firstWrites writes one page an operation, with fresh memory as often as it takes.
// settle waits until what the first writes set up is there.
func firstWrites(b *testing.B, settle func(), fresh func() (mem []byte, release func() error, err error)) {
	mem, release, err := fresh()
	if err != nil {
		b.Fatal(err)
	}
	at := warmUp * pageSize
	store(mem[:at], pageSize)
	settle()
	b.ReportAllocs()
	for b.Loop() {
		if at == len(mem) {
			b.StopTimer()
			if err = release(); err == nil {
				mem, release, err = fresh()
			}
			if err != nil {
				b.Fatal(err)
			}
			at = 0
			b.StartTimer()
		}
		mem[at] = 1
		at += pageSize
	}
	if err := release(); err != nil {
		b.Fatal(err)
	}
}
