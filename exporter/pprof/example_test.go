package pprof_test

import (
	"fmt"
	"log"
	"os"

	"github.com/firsttouch/firsttouch/exporter/pprof"
	"github.com/firsttouch/firsttouch/profiler"
)

// A snapshot becomes a file for go tool pprof.
func ExampleWrite() {
	prof, err := profiler.New()
	if err != nil {
		log.Fatal(err)
	}
	defer prof.Close()
	// The work to be looked at is done here.
	f, err := os.Create("profile.pb.gz")
	if err != nil {
		log.Fatal(err)
	}
	defer f.Close()
	if err := pprof.Write(f, pprof.ByCode(prof.Snapshot())); err != nil {
		log.Fatal(err)
	}
}

// The address profile has places in memory as its stacks.
func ExampleByAddress() {
	b := profiler.NewSnapshotBuilder()
	region := b.AddRegion(profiler.RegionStats{Name: "cache", Granule: 4096, Size: 16 << 20})
	b.AddFault(profiler.Fault{Region: region, Offset: 0x211008, Messages: 1})
	p := pprof.ByAddress(b.Snapshot())
	for _, l := range p.Sample[0].Location {
		fmt.Println(l.Line[0].Function.Name)
	}
	// Output:
	// cache 0x00211000 +4KiB
	// cache 0x00210000 +64KiB
	// cache 0x00200000 +1MiB
	// cache
}
