package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/firsttouch/firsttouch/exporter/recording"
	"github.com/firsttouch/firsttouch/internal/report"
	"github.com/firsttouch/firsttouch/internal/touchorder"
	"github.com/firsttouch/firsttouch/profiler"
)

// started writes a recording of a start that touched these pages of a file.
func started(t *testing.T, path, file string, source profiler.Source, pages ...int64) {
	t.Helper()
	b := profiler.NewSnapshotBuilder()
	at := time.Now()
	b.SetTime(at, at.Add(time.Minute), time.Hour, time.Hour+time.Minute)
	b.AddRegion(profiler.RegionStats{Name: file, Kind: profiler.KindAttached, Granule: 4096, Size: 1 << 20})
	for i, p := range pages {
		b.AddFault(profiler.Fault{Seq: uint64(i), Time: time.Hour + time.Duration(i)*time.Millisecond, Offset: p * 4096, Source: source, Stall: time.Millisecond})
	}
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := recording.Write(f, recording.New(b.Snapshot(), "a test")); err != nil {
		t.Fatal(err)
	}
}

// TestPrefetch: from recordings to an order, from there to the page cache, and then to what it saved.
func TestPrefetch(t *testing.T) {
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	if err := os.WriteFile(in("data.db"), make([]byte, 1<<20), 0o644); err != nil {
		t.Fatal(err)
	}
	started(t, in("1.ftr"), in("data.db"), profiler.SourceDisk, 9, 8, 2, 200)
	started(t, in("2.ftr"), in("data.db"), profiler.SourceDisk, 8, 9, 3)
	started(t, in("3.ftr"), in("data.db"), profiler.SourceDisk, 3, 8)
	check := func(status int, out, diag string, args ...string) string {
		t.Helper()
		r := runCommand(t, args...)
		if r.status != status || !strings.Contains(r.out, out) || !strings.Contains(r.diag, diag) {
			t.Fatalf("%q: status %d, want %d with %q and %q\n%s%s", args, r.status, status, out, diag, r.out, r.diag)
		}
		return r.out
	}
	check(exitDone, "", "12.0 KiB in 2 ranges of 1 file, read ahead before the next start, save up to 3.00 ms", "prefetch", in("1.ftr"), in("2.ftr"), in("3.ftr"), "-out", in("app.touch"))
	check(exitDone, "firsttouch order 1\n", "16.0 KiB in 3 ranges", "prefetch", in("1.ftr"), "-out", "-")
	check(exitDone, "Read ahead: 12.0 KiB of 12.0 KiB in ", "", "prefetch", "-under", dir, in("app.touch"))
	check(exitPartial, "12.0 KiB left out: it is in none of the directories", "", "prefetch", "-under", "/etc", in("app.touch"))
	var result touchorder.Result
	if err := json.Unmarshal([]byte(check(exitDone, "", "", "prefetch", "-json", in("app.touch"))), &result); err != nil || result.Done != 3*4096 {
		t.Errorf("%+v, %v", result, err)
	}
	// The next start finds two of the three pages there.
	started(t, in("next.ftr"), in("data.db"), profiler.SourcePageCache, 8, 3, 77)
	check(exitDone, "(4.00 KiB of 12.0 KiB)", "", "report", "-order", in("app.touch"), in("next.ftr"))
	var d report.Document
	if err := json.Unmarshal([]byte(check(exitDone, "", "", "report", "-json", "-order", in("app.touch"), in("next.ftr"))), &d); err != nil {
		t.Fatal(err)
	}
	if o := d.Prefetch.Outcome; o == nil || o.Found != 2 || o.Waited != 0 || o.Touches != 3 || o.InVain != 4096 {
		t.Errorf("%+v", d.Prefetch)
	}
}
