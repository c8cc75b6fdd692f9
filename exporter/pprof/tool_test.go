package pprof

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/firsttouch/firsttouch/profiler"
	"github.com/google/pprof/profile"
)

// pprofTool runs go tool pprof on a profile.
func pprofTool(t *testing.T, p *profile.Profile, args ...string) string {
	t.Helper()
	gotool, err := exec.LookPath("go")
	if err != nil {
		t.Skipf("the go command is not in PATH, install Go to run this test: %v", err)
	}
	path := filepath.Join(t.TempDir(), "profile.pb.gz")
	var buf bytes.Buffer
	if err := Write(&buf, p); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, buf.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(gotool, append(append([]string{"tool", "pprof"}, args...), path)...).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return string(out)
}

// here returns the stack of its caller as the engine gives stacks: the first is the instruction
// itself, not a return address, and inlined calls have none of their own.
//
//go:noinline
func here() []uintptr {
	var virtual [32]uintptr
	pcs := virtual[:runtime.Callers(2, virtual[:])]
	out := pcs[:0]
	for i, pc := range pcs {
		// Callers gives an inlined call's caller an address within the same function.
		f, _ := runtime.CallersFrames([]uintptr{pc}).Next()
		if i > 0 && len(out) > 0 && f.Entry == lastEntry(out) {
			continue
		}
		out = append(out, pc)
	}
	out[0]--
	return out
}

func lastEntry(pcs []uintptr) uintptr {
	f, _ := runtime.CallersFrames(pcs[len(pcs)-1:]).Next()
	return f.Entry
}

func inlined() []uintptr { return here() }

//go:noinline
func handler() []uintptr { return inlined() }

func stalled(pcs []uintptr) *profiler.Snapshot {
	b := profiler.NewSnapshotBuilder()
	r := b.AddRegion(profiler.RegionStats{Name: "cache", Granule: 4096, Size: 1 << 20})
	b.AddFault(profiler.Fault{Region: r, Offset: 0x11000, Stack: b.AddStack(pcs), Stall: 3 * time.Millisecond, Messages: 1})
	return b.Snapshot()
}

const pkg = "github.com/firsttouch/firsttouch/exporter/pprof."

// The pprof tool itself reads the profile and names the function that waited.
func TestGoToolPprof(t *testing.T) {
	out := pprofTool(t, ByCode(stalled(handler())), "-top", "-sample_index=stall")
	if want := "3ms   100%   100%        3ms   100%  " + pkg + "inlined"; !strings.Contains(out, want) {
		t.Errorf("the function that waited is not on top:\n%s", out)
	}
	if want := "0     0%   100%        3ms   100%  " + pkg + "handler"; !strings.Contains(out, want) {
		t.Errorf("its caller is missing:\n%s", out)
	}
	out = pprofTool(t, ByAddress(stalled(handler())), "-top", "-sample_index=touched")
	for _, want := range []string{"4kB   100%   100%        4kB   100%  cache 0x00011000 +4KiB", "4kB   100%  cache 0x00010000 +64KiB", "4kB   100%  cache\n"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is missing:\n%s", want, out)
		}
	}
	if out = pprofTool(t, ByCode(stalled(handler())), "-comments"); !strings.Contains(out, "nothing is scaled") {
		t.Errorf("the comments are lost:\n%s", out)
	}
}

// A call that was inlined is a line of its own in the location of the function around it.
func TestInlinedCallsAreExpanded(t *testing.T) {
	p := ByCode(stalled(handler()))
	var got []string
	for _, n := range p.Sample[0].Location[0].Line {
		got = append(got, strings.TrimPrefix(n.Function.Name, pkg))
	}
	if strings.Join(got, " ") != "inlined handler" {
		t.Errorf("the first location holds %q, want inlined and handler", got)
	}
	for i, l := range p.Sample[0].Location {
		if l.Mapping == nil || l.Address < l.Mapping.Start || l.Address >= l.Mapping.Limit {
			if runtime.GOOS == "linux" {
				t.Errorf("location %d at %#x is not in its mapping %v", i, l.Address, l.Mapping)
			}
		}
	}
	if exe, err := os.Executable(); err != nil || p.Mapping[0].File != exe {
		t.Errorf("the first mapping is of %s, the program is %s, %v", p.Mapping[0].File, exe, err)
	}
}
