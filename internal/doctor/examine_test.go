package doctor

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/firsttouch/firsttouch/internal/report"
	"github.com/firsttouch/firsttouch/uffd"
)

var update = flag.Bool("update", false, "write the golden files anew")

// container is a default container: no device, a seccomp filter over the system call.
func container() uffd.Report {
	zero := 0
	return uffd.Report{
		OS: "linux", Arch: "amd64", Kernel: "6.12.0", PageSizeBytes: 4096,
		Reason: "userfaultfd is not supported",
		Paths: []uffd.PathReport{
			{Path: uffd.PathDevice, Available: uffd.No, Reason: "no such file or directory", Remedy: "docker run --device /dev/userfaultfd"},
			{Path: uffd.PathSyscall, Available: uffd.No, Reason: "operation not permitted", Remedy: "allow it in the seccomp profile"},
			{Path: uffd.PathUserModeOnly, Available: uffd.No, Reason: "operation not permitted", Remedy: "allow it in the seccomp profile"},
		},
		Features: []uffd.FeatureReport{}, Ioctls: []uffd.IoctlReport{}, Memory: []uffd.MemoryReport{},
		Privileges: uffd.Privileges{UID: 1000, UnprivilegedSysctl: &zero, Seccomp: "filter", NoNewPrivs: true},
	}
}

// ordinary is an ordinary user on a machine of their own.
func ordinary() uffd.Report {
	r := container()
	path := uffd.PathUserModeOnly
	r.OpenPath, r.Reason = &path, ""
	r.Paths[2] = uffd.PathReport{Path: path, Available: uffd.Yes}
	r.Features = []uffd.FeatureReport{
		{Name: "SIGBUS", Bit: 7, Since: "4.14", Available: uffd.Yes},
		{Name: "MOVE", Bit: 16, Since: "6.8", Available: uffd.No},
	}
	r.Ioctls = []uffd.IoctlReport{
		{Name: "COPY", Available: uffd.Yes},
		{Name: "RWPROTECT", Available: uffd.No, Reason: "this kernel does not offer RWP"},
		{Name: "PAGEMAP_SCAN", Available: uffd.Yes},
	}
	r.Memory = []uffd.MemoryReport{
		{Kind: uffd.MemoryAnonymous, PageSizeBytes: 4096, Modes: []uffd.ModeReport{
			{Modes: "MISSING", Available: uffd.Yes}, {Modes: "MINOR", Available: uffd.No}, {Modes: "WP", Async: true, Available: uffd.Yes}}},
		{Kind: uffd.MemoryHugetlb, Reason: "no huge pages are reserved"},
	}
	return r
}

func refused() Trial {
	return Trial{Reason: "userfaultfd is not supported", Steps: []Step{{Name: StepStart, Error: "userfaultfd is not supported"}}}
}

func passed(userModeOnly bool) Trial {
	t := Trial{UserModeOnly: userModeOnly, Placement: "left to the scheduler"}
	names := []string{StepStart, StepArena, StepStack, StepSyscall, StepFile, StepAttached, StepSignal}
	if !userModeOnly {
		names = append(names, StepMemory, StepShared, StepWrites)
	}
	for _, s := range names {
		t.Steps = append(t.Steps, Step{Name: s})
	}
	return t
}

func TestGolden(t *testing.T) {
	few, many := 65530, 1<<20
	for name, r := range map[string]Report{
		"container": Examine(container(), Limits{CPUs: 2, MaxMapCount: &few}, refused()),
		"ordinary":  Examine(ordinary(), Limits{CPUs: 8, MaxMapCount: &many, CapSysNice: true}, passed(true)),
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			if err := errors.Join(Render(&out, r, "firsttouch"), RenderAll(&out, r)); err != nil {
				t.Fatal(err)
			}
			path := filepath.Join("testdata", name+".txt")
			if *update {
				if err := os.WriteFile(path, out.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(out.Bytes(), want) {
				t.Errorf("%s differs (go test -update writes it anew)\n--- got\n%s\n--- want\n%s", path, out.Bytes(), want)
			}
		})
	}
}

func TestVerdict(t *testing.T) {
	full := ordinary()
	broken := passed(false)
	broken.Steps[5].Error = "2 first touches were made and 1 seen"
	hung := Trial{Reason: "the trial ended early: no answer within 10s", Steps: []Step{}}
	late := passed(false)
	late.Reason = "the profiler did not end: busy"
	for _, tt := range []struct {
		name    string
		kernel  uffd.Report
		trial   Trial
		works   bool
		verdict string
	}{
		{"all", full, passed(false), true, "firsttouch works here"},
		{"user mode only", full, passed(true), false, "FIRSTTOUCH_ALLOW_FAILING_SYSTEM_CALLS=true"},
		{"nothing opens", container(), refused(), false, "one of the remedies below is enough"},
		{"a step fails", full, broken, false, "the trial failed"},
		{"the trial hangs", full, hung, false, "no answer within 10s"},
		{"the end fails", full, late, false, "did not end"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := Examine(tt.kernel, Limits{}, tt.trial)
			if r.Works != tt.works || !strings.Contains(r.Verdict, tt.verdict) {
				t.Errorf("works %v, %q; want %v, %q", r.Works, r.Verdict, tt.works, tt.verdict)
			}
		})
	}
}

// Every way that is closed, and every memory that could be had, comes with its remedy.
func TestEachNoHasARemedy(t *testing.T) {
	r := Examine(container(), Limits{}, refused())
	for _, row := range r.Opening {
		if row.Status == No && row.Remedy == "" {
			t.Errorf("%s: no remedy", row.Name)
		}
	}
	var out bytes.Buffer
	if err := Render(&out, r, "firsttouch"); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(out.String(), "allow it in the seccomp profile"); n != 1 {
		t.Errorf("the remedy for two of the ways stands there %d times, want once", n)
	}
}

func TestJSONRoundTrip(t *testing.T) {
	text, err := json.Marshal(Examine(ordinary(), Limits{CPUs: 2}, passed(true)))
	if err != nil {
		t.Fatal(err)
	}
	var back map[string]any
	if err := json.Unmarshal(text, &back); err != nil {
		t.Fatal(err)
	}
	for _, field := range []string{"works", "verdict", "opening", "delivery", "memory", "system", "trial", "limits", "kernel"} {
		if _, ok := back[field]; !ok {
			t.Errorf("no field %q", field)
		}
	}
}

// Where all is well the answer is on one screen, also of 80 columns, and the verdict comes first.
func TestShortReport(t *testing.T) {
	var out bytes.Buffer
	if err := Render(&report.Screen{W: &out, Columns: 80}, Examine(ordinary(), Limits{CPUs: 2, CapSysNice: true}, passed(false)), "firsttouch"); err != nil {
		t.Fatal(err)
	}
	if lines := strings.Split(strings.TrimSpace(out.String()), "\n"); len(lines) > 24 || lines[0] != "firsttouch works here." {
		t.Errorf("%d lines:\n%s", len(lines), &out)
	}
}
