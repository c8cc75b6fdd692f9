//go:build linux && (amd64 || arm64)

package profiler

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// BenchmarkLooksInAFifth is how often a profiler looks for mappings that has a fifth of a processor, in a control group in which a busy
// loop wants all of it, and how late the new ones were found that a file got twice a second. It is as root.
//
//	go test ./profiler -run '^$' -bench LooksInAFifth -benchtime 1x
func BenchmarkLooksInAFifth(b *testing.B) {
	fifthOfAProcessor(b)
	loop := exec.Command("/bin/sh", "-c", "while :; do :; done")
	must(b, loop.Start())
	defer func() {
		loop.Process.Kill()
		loop.Wait()
	}()
	for b.Loop() {
		const seconds = 10
		path := diskFile(b, pageSize)
		p := newBenchProfiler(b)
		mapFile(b, path, pageSize, unix.PROT_READ, unix.MAP_SHARED)
		r, err := attached(func() (*Region, error) { return p.AttachFile(path) })
		must(b, err)
		before, _ := p.Looks()
		for range 2 * seconds {
			time.Sleep(time.Second / 2)
			mapFile(b, path, pageSize, unix.PROT_READ, unix.MAP_SHARED)
		}
		looks, _ := p.Looks()
		b.ReportMetric(float64(looks-before)/seconds, "looks/s")
		must(b, p.Look(b.Context()))
		stats := p.Snapshot().RegionOf(r.ID())
		// Where the threads cannot be stopped in time, a later look takes what this one has left.
		for end := time.Now().Add(30 * time.Second); len(stats.Mappings) <= 2*seconds && time.Now().Before(end); stats = p.Snapshot().RegionOf(r.ID()) {
			time.Sleep(100 * time.Millisecond)
		}
		if n := len(stats.Mappings); n != 2*seconds+1 {
			b.Errorf("%d mappings are observed, want %d", n, 2*seconds+1)
		}
		b.ReportMetric(float64(stats.Unseen().Milliseconds()), "ms-late-at-most")
		must(b, patiently(p.Close))
	}
}

// fifthOfAProcessor puts the process into a control group that gets 20 ms of processor time in each 100 ms, until the benchmark is over.
func fifthOfAProcessor(b *testing.B) {
	b.Helper()
	parent, file, text := ownCPUGroup(b)
	group := filepath.Join(parent, fmt.Sprintf("firsttouch-fifth-%d", os.Getpid()))
	join := func(group string) error {
		return os.WriteFile(filepath.Join(group, "cgroup.procs"), []byte(strconv.Itoa(os.Getpid())), 0o644)
	}
	err := os.Mkdir(group, 0o755)
	if err == nil {
		b.Cleanup(func() { os.Remove(group) })
		if err = os.WriteFile(filepath.Join(group, file), []byte(text), 0o644); err == nil {
			err = join(group)
		}
	}
	if denied(err) || errors.Is(err, os.ErrNotExist) {
		b.Skipf("no control group with a share of a processor can be made: %v", err)
	}
	must(b, err)
	b.Cleanup(func() { must(b, join(parent)) })
}

// ownCPUGroup is the directory of the process's own control group for processors, with the file of the limit and what to write into it.
func ownCPUGroup(b *testing.B) (dir, file, text string) {
	b.Helper()
	list, err := os.ReadFile("/proc/self/cgroup")
	must(b, err)
	for line := range bytes.Lines(list) {
		part := strings.SplitN(strings.TrimSpace(string(line)), ":", 3) // see cgroups(7)
		switch {
		case strings.Contains(","+part[1]+",", ",cpu,"):
			return filepath.Join("/sys/fs/cgroup", part[1], part[2]), "cpu.cfs_quota_us", "20000"
		case part[1] == "":
			dir, file, text = filepath.Join("/sys/fs/cgroup", part[2]), "cpu.max", "20000 100000"
		}
	}
	return dir, file, text
}
