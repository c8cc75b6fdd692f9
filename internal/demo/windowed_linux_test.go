package demo

import (
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/firsttouch/firsttouch/exporter/summary"
	"github.com/firsttouch/firsttouch/internal/testproc"
	"github.com/firsttouch/firsttouch/internal/uffdtest"
	"github.com/firsttouch/firsttouch/uffd"
)

func TestWindowedDemo(t *testing.T) {
	uffdtest.Need(t)
	checkWindows(t)
}

func TestWindowedDemoAsOrdinaryUser(t *testing.T) {
	uffdtest.Need(t)
	if os.Getuid() != 0 {
		t.Skip("only root can become another user; TestWindowedDemo runs as this one")
	}
	t.Log(testproc.Run(t, "TestWindowedDemoOfOrdinaryUser", []string{inChild + "=1"}, childBudget, testproc.AsUser(65534))) // which regions were there, and why
}

func TestWindowedDemoOfOrdinaryUser(t *testing.T) {
	childOnly(t)
	uffdtest.Need(t)
	checkWindows(t)
}

// observable tells which regions the windows of a demo show here: the database always, the cache of answers where the
// kernel can arm an arena again, and the Go heap where system calls may touch what is armed. It prints why not.
func observable(t *testing.T, o Options) (cache, heap bool) {
	t.Helper()
	fd, err := uffd.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer fd.Close()
	cache, heap = true, o.Heap
	if !fd.Features().Has(uffd.FeatureMove) {
		t.Log("an arena cannot be armed again here, nor the Go heap: the kernel lacks MOVE")
		cache, heap = false, false
	}
	if fd.UserModeOnly() {
		t.Log("the Go heap is not observed here: the kernel allows user mode only")
		heap = false
	}
	return cache, heap
}

// checkWindows runs a demo with windows, and holds what they show against each other.
func checkWindows(t *testing.T) {
	t.Helper()
	o := small(t)
	o.Windows, o.Heap, o.Window, o.stage = true, true, shortestWindow, 1600*time.Millisecond
	sum := run(t, o)
	cache, heap := observable(t, o)
	// The probe does not know why else a heap may be refused. Then the notes say so.
	if refused := slices.IndexFunc(sum.Notes, func(n string) bool { return strings.HasPrefix(n, "the Go heap is not profiled") }); heap && refused >= 0 {
		t.Log(sum.Notes[refused])
		heap = false
	}
	want := []string{sum.Index.Path, arenaName}
	if heap {
		want = append(want, "go heap")
	}
	var names []string
	for _, ws := range sum.Profile.WorkingSets {
		names = append(names, ws.Region)
		if ws.Region != arenaName || cache {
			checkWorkingSet(t, ws)
		}
	}
	if !slices.Equal(names, want) {
		t.Errorf("the regions with windows are %q, want %q", names, want)
	}
}

func checkWorkingSet(t *testing.T, ws summary.WorkingSet) {
	t.Helper()
	known, touched := 0, int64(0)
	for _, w := range ws.Windows {
		if w.Error != "" {
			continue // the threads of the service could not be stopped in time, say
		}
		known++
		touched += int64(w.Touched)
		if w.Touched > w.Mapped || w.New+w.Reused != w.Touched || w.Observed != 1 || w.To <= w.From {
			t.Errorf("%s: %+v", ws.Region, w)
		}
	}
	if known == 0 || touched == 0 {
		t.Errorf("%s: %d of %d windows are known, with %d bytes touched", ws.Region, known, len(ws.Windows), touched)
		return
	}
	t.Logf("%s: %d of %d windows are known, %d bytes touched on average", ws.Region, known, len(ws.Windows), touched/int64(known))
	if len(ws.Curve) == 0 || len(ws.Misses) == 0 || ws.Sample <= 0 || ws.Sample > 1 {
		t.Fatalf("%s: the curve is %+v, the misses are %+v of %v", ws.Region, ws.Curve, ws.Misses, ws.Sample)
	}
	for i, p := range ws.Curve[1:] {
		if before := ws.Curve[i]; p.Windows <= before.Windows || p.Bytes < before.Bytes {
			t.Errorf("%s: %+v comes after %+v in the curve", ws.Region, p, before)
		}
	}
	for i, p := range ws.Misses {
		if p.Miss < 0 || p.Miss > 1 || i > 0 && p.Bytes <= ws.Misses[i-1].Bytes {
			t.Errorf("%s: misses %+v", ws.Region, ws.Misses)
		}
	}
}
