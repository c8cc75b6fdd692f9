//go:build linux && (amd64 || arm64)

package profiler

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

const perfPages = 1024

// perf's page-fault events of an arena that nobody profiles, and the profiler's faults of one that
// is touched in the same way, are the same set of pages.
func TestPerfFindsTheSamePages(t *testing.T) {
	const env = "FIRSTTOUCH_TEST_PERF"
	if os.Getenv(env) != "" {
		perfProgram(t)
		return
	}
	perf, err := exec.LookPath("perf")
	if err != nil {
		t.Skip("perf is not installed: apt-get install linux-perf (Debian) or linux-tools-generic (Ubuntu)")
	}
	needPerfEvents(t)
	data := filepath.Join(t.TempDir(), "perf.data")
	record := []string{"record", "-q", "-e", "page-faults", "-c", "1", "-d", "-o", data, "--"}
	if out, err := exec.Command(perf, append(record, "true")...).CombinedOutput(); err != nil {
		t.Fatalf("perf record: %v\n%s", err, out)
	}
	cmd := exec.CommandContext(t.Context(), perf, append(record, os.Args[0], "-test.v", "-test.run=^"+t.Name()+"$")...)
	cmd.Env = append(os.Environ(), env+"=1")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("perf record: %v\n%s", err, out)
	}
	if strings.Contains(string(out), "--- SKIP") {
		t.Skipf("%s", out)
	}
	var base uintptr
	var planned, profiled []int
	for line := range strings.Lines(string(out)) {
		fmt.Sscanf(line, "arena %v", &base)
		if rest, ok := strings.CutPrefix(line, "planned "); ok {
			planned = numbers(t, rest)
		}
		if rest, ok := strings.CutPrefix(line, "profiled "); ok {
			profiled = numbers(t, rest)
		}
	}
	if base == 0 || len(planned) < perfPages/4 {
		t.Fatalf("the program did not report:\n%s", out)
	}
	seen := perfScript(t, perf, data, base)
	if !slices.Equal(seen, planned) {
		t.Errorf("perf saw %d pages, %d were touched", len(seen), len(planned))
	}
	if !slices.Equal(profiled, seen) {
		t.Errorf("the profiler saw %d pages, perf %d", len(profiled), len(seen))
	}
}

// needPerfEvents skips where the kernel does not let this user count page faults.
func needPerfEvents(t *testing.T) {
	t.Helper()
	attr := unix.PerfEventAttr{Type: unix.PERF_TYPE_SOFTWARE, Size: unix.PERF_ATTR_SIZE_VER0, Config: unix.PERF_COUNT_SW_PAGE_FAULTS}
	if os.Getuid() != 0 {
		attr.Bits = unix.PerfBitExcludeKernel | unix.PerfBitExcludeHv
	}
	fd, err := unix.PerfEventOpen(&attr, 0, -1, -1, unix.PERF_FLAG_FD_CLOEXEC)
	if err == unix.EPERM || err == unix.EACCES {
		t.Skipf("perf record is not permitted: run as root, or sysctl -w kernel.perf_event_paranoid=1: %v", err)
	} else if err == unix.ENOSYS {
		t.Skipf("the kernel is built without perf events: %v", err)
	} else if err != nil {
		t.Fatalf("perf_event_open: %v", err)
	}
	unix.Close(fd)
}

// perfScript lists the pages of the arena at base that perf saw faults of.
func perfScript(t *testing.T, perf, data string, base uintptr) []int {
	t.Helper()
	out, err := exec.Command(perf, "script", "-i", data, "-F", "addr").Output()
	if err != nil {
		t.Fatalf("perf script: %v", err)
	}
	pages := map[int]bool{}
	for field := range strings.FieldsSeq(string(out)) {
		addr, err := strconv.ParseUint(field, 16, 64)
		if err != nil {
			t.Fatalf("perf script: %q: %v", field, err)
		}
		if a := uintptr(addr); a >= base && a < base+uintptr(perfPages*pageSize) {
			pages[int(a-base)/pageSize] = true
		}
	}
	return slices.Sorted(maps.Keys(pages))
}

// perfProgram touches the same random pages of a plain arena and of a profiled one.
func perfProgram(t *testing.T) {
	b, err := unix.Mmap(-1, 0, perfPages*pageSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		t.Fatal(err)
	}
	smallPages(t, b)
	// Without privileges perf sees no faults of the kernel.
	system := os.Getuid() == 0
	w := newToucher(t)
	planned := perfTouch(t, w, b, system)
	p := newProfiler(t)
	a := newArena(t, p, "arena", perfPages*pageSize)
	perfTouch(t, w, a.Bytes(), system && !p.Snapshot().Stats.UserModeOnly)
	s := p.Snapshot()
	checkSums(t, s)
	var profiled []int
	for offset := range s.Regions[0].TouchedGranules {
		profiled = append(profiled, int(offset)/pageSize)
	}
	if s.Stats.Faults != uint64(len(planned)) {
		t.Errorf("%d faults, want %d", s.Stats.Faults, len(planned))
	}
	fmt.Printf("\narena %#x\nplanned %v\nprofiled %v\n", addressOf(b), planned, profiled)
}

// perfTouch touches about half the pages of b, in an order and in ways that are the same each time,
// but that a system call becomes a load where system is false.
func perfTouch(t *testing.T, w *toucher, b []byte, system bool) []int {
	rnd := rand.New(rand.NewPCG(10, 11))
	pages := rnd.Perm(perfPages)[:perfPages/2]
	for _, i := range pages {
		how := &ways[rnd.IntN(len(ways))]
		if how.system && !system {
			how = &ways[0]
		}
		w.touch(t, order{how, nil, b, i*pageSize + 100, i*pageSize + 300})
	}
	return slices.Sorted(slices.Values(pages))
}

func numbers(t *testing.T, list string) (out []int) {
	t.Helper()
	for field := range strings.FieldsSeq(strings.Trim(list, "[]\n")) {
		n, err := strconv.Atoi(field)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, n)
	}
	return out
}
