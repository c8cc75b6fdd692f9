//go:build linux && (amd64 || arm64)

package bench

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"strings"

	"golang.org/x/sys/unix"
)

// writeSystem says what the figures hold for.
func writeSystem(w io.Writer, rounds, pages int, busy []string) error {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return fmt.Errorf("uname: %w", err)
	}
	_, err := fmt.Fprintf(w, `| | |
|---|---|
| kernel | %s %s, %s |
| processor | %s, %d CPUs |
| Go | %s, %s, GOMAXPROCS %d |
| commit | %s |
| method | %d rounds of %d pages of %d bytes; medians, and ratios within a round: median (quartiles) |
| load average before, after | %s |
`, unix.ByteSliceToString(u.Sysname[:]), unix.ByteSliceToString(u.Release[:]), unix.ByteSliceToString(u.Machine[:]),
		processor(), runtime.NumCPU(), runtime.Version(), cgo(), runtime.GOMAXPROCS(0), commit(),
		rounds, pages, pageSize, strings.Join(busy, ", "))
	return err
}

// processor is the model as /proc/cpuinfo names it; on arm64 it has no names.
func processor() string {
	b, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(b)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return runtime.GOARCH
}

// cgo tells whether this program was built with it: then the C library has the kernel keep a restartable sequence
// (rseq(2)) up to date in each of its threads, at every switch to one.
func cgo() string {
	if b, ok := debug.ReadBuildInfo(); ok {
		for _, s := range b.Settings {
			if s.Key == "CGO_ENABLED" {
				return s.Key + "=" + s.Value
			}
		}
	}
	return "CGO_ENABLED unknown"
}

// commit asks git, since go run does not stamp it.
func commit() string {
	out, err := exec.Command("git", "describe", "--always", "--dirty", "--abbrev=12").Output()
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(out))
}

// loadAverage is the one of the last minute.
func loadAverage() string {
	b, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	first, _, _ := strings.Cut(string(b), " ")
	return first
}
