package pprof

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/firsttouch/firsttouch/exporter"
	"github.com/firsttouch/firsttouch/profiler"
	"github.com/google/pprof/profile"
)

// both are the two profiles of a snapshot, and the one by span.
func both(s *profiler.Snapshot) map[string]*profile.Profile {
	return map[string]*profile.Profile{
		"working set": ByCode(s), "working set by span": ByCode(s, WithSpans()), "address space": ByAddress(s),
	}
}

func roundTrip(t *testing.T, p *profile.Profile) *profile.Profile {
	t.Helper()
	var buf bytes.Buffer
	if err := Write(&buf, p); err != nil {
		t.Fatal(err)
	}
	got, err := profile.Parse(&buf)
	if err != nil {
		t.Fatal(err)
	}
	if err := got.CheckValid(); err != nil {
		t.Fatal(err)
	}
	return got
}

func TestProfilesAddUpAndSurviveARoundTrip(t *testing.T) {
	for name, p := range both(synthetic()) {
		before := p.String()
		got := roundTrip(t, p)
		if got.String() != before {
			t.Errorf("%s changed in a round trip:\n%s\n%s", name, before, got)
		}
		if sum, want := totals(got, nil), [3]int64{5, 3*4096 + 100 + 65536, 138_000}; sum != want {
			t.Errorf("%s adds up to %v, want %v", name, sum, want)
		}
		if got.DefaultSampleType != "stall" || got.DocURL != docURL || got.Period != 1 || got.PeriodType.Type != "faults" {
			t.Errorf("%s: default %q, doc %q, period %d %v", name, got.DefaultSampleType, got.DocURL, got.Period, got.PeriodType)
		}
	}
}

func TestEmptySnapshot(t *testing.T) {
	for name, p := range both(profiler.NewSnapshotBuilder().Snapshot()) {
		if got := roundTrip(t, p); len(got.Sample) != 0 || got.TimeNanos != 0 {
			t.Errorf("%s: %d samples, time %d", name, len(got.Sample), got.TimeNanos)
		}
	}
}

func TestGolden(t *testing.T) {
	for name, p := range map[string]*profile.Profile{
		"workingset": ByCode(synthetic(), WithSpans(), WithComment("from a test")), "addressspace": ByAddress(synthetic()),
	} {
		m := p.Mapping[0]
		m.File, m.BuildID, m.Start, m.Limit, m.Offset = "main", "", 0, 0, 0
		path := filepath.Join("testdata", name+".golden")
		if *update {
			if err := os.WriteFile(path, []byte(p.String()), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if p.String() != string(want) {
			t.Errorf("%s differs from %s; look, then run with -update:\n%s", name, path, p)
		}
	}
}

func TestNamesAreInTheCatalogue(t *testing.T) {
	for name, p := range both(synthetic()) {
		for _, v := range p.SampleType {
			if e, ok := exporter.Lookup(exporter.KindSampleType, v.Type); !ok || e.Unit != v.Unit {
				t.Errorf("%s: sample type %s/%s is not in the catalogue", name, v.Type, v.Unit)
			}
		}
		for _, s := range p.Sample {
			for label := range s.Label {
				if _, ok := exporter.Lookup(exporter.KindLabel, label); !ok {
					t.Errorf("%s: label %s is not in the catalogue", name, label)
				}
			}
		}
	}
}

func TestSpansAreLabelledOnlyWhenAskedFor(t *testing.T) {
	labelled := func(s *profile.Sample) bool {
		return s.Label[exporter.LabelSpan] != nil && s.Label[exporter.LabelTrace] != nil
	}
	for _, c := range []struct {
		name string
		p    *profile.Profile
		want int64
	}{
		{"not asked for", ByCode(synthetic()), 0},
		{"asked for", ByCode(synthetic(), WithSpans()), 3},
		{"of a log with room for one", ByCode(cut(synthetic(), 1), WithSpans()), 1},
		{"of a log without room", ByCode(cut(synthetic(), 0), WithSpans()), 0},
	} {
		if n := totals(c.p, labelled)[0]; n != c.want {
			t.Errorf("%s: %d faults carry a span, want %d", c.name, n, c.want)
		}
		if all, want := totals(c.p, nil), totals(ByCode(synthetic()), nil); all != want {
			t.Errorf("%s: adds up to %v, want %v", c.name, all, want)
		}
	}
}

func TestFaultsWithoutAStackAreNotScaledAway(t *testing.T) {
	p := ByCode(synthetic())
	if got := totals(p, under(exporter.FrameNoStack)); got != [3]int64{1, 100, 5000} {
		t.Errorf("%v stand under %s", got, exporter.FrameNoStack)
	}
	if !slices.ContainsFunc(p.Comments, func(c string) bool { return strings.Contains(c, "1 in 2; 4 of 5 records have one, 1 did not arrive") }) {
		t.Errorf("the comments do not state the sampling: %q", p.Comments)
	}
}

type brokenWriter struct{}

var errBroken = errors.New("no space left")

func (brokenWriter) Write([]byte) (int, error) { return 0, errBroken }

func TestWriteReportsErrors(t *testing.T) {
	if err := Write(brokenWriter{}, ByCode(synthetic())); !errors.Is(err, errBroken) {
		t.Errorf("error %v of a full disk", err)
	}
	p := ByCode(synthetic())
	p.Sample[0].Value = p.Sample[0].Value[:1]
	var buf bytes.Buffer
	if err := Write(&buf, p); err == nil || buf.Len() != 0 {
		t.Errorf("an invalid profile was written, %d bytes, error %v", buf.Len(), err)
	}
}
