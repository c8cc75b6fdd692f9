package recording

import (
	"bytes"
	"testing"
)

// Bytes a fault and time a fault of both directions.
func BenchmarkWrite(b *testing.B) {
	r := sample(100_000)
	var out bytes.Buffer
	for b.Loop() {
		out.Reset()
		if err := Write(&out, r); err != nil {
			b.Fatal(err)
		}
	}
	n := float64(len(r.Snapshot.Faults))
	b.ReportMetric(float64(out.Len())/n, "B/fault")
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/fault")
}

func BenchmarkRead(b *testing.B) {
	r := sample(100_000)
	data := encoded(b, r)
	for b.Loop() {
		if _, err := Read(bytes.NewReader(data)); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(r.Snapshot.Faults)), "ns/fault")
}
