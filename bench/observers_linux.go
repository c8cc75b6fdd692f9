//go:build linux && (amd64 || arm64)

package bench

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

// observer is one way to see first touches.
type observer struct {
	name    string
	records string // what it keeps of each fault
	run     func(r *rig, c cell) (observation, error)
}

// observers lists what is compared. The first one, which sees nothing, is what the others are divided by.
func observers() []observer {
	return []observer{
		{"unprofiled", "nothing", unobserved},
		{"perf record", "time, address, thread, user stack", underPerfRecord},
		{"perf trace -F all", "time, address, thread, function", underPerfTrace},
		{"bpftrace", "count for each user stack", underBpftrace},
		{"C loop, one CPU", "time, address, thread", cLoop},
		ours("without stacks", "time, address, thread, goroutine, span, source, stall"),
		ours("every stack", "the same with user stack"),
		ours("by signal, every stack", "the same with user stack"),
	}
}

func ours(mode, records string) observer {
	return observer{"firsttouch, " + mode, records, func(r *rig, c cell) (observation, error) {
		a, _, _, err := task{Cell: c, File: r.fileOf(c), Mode: mode}.start(nil)
		return a.observation, err
	}}
}

// start runs the task in a child, as the command that wrap makes of this program's path. It returns the
// answer, with the processor time of whatever wrap started besides, and the outputs.
func (t task) start(wrap func(self string) *exec.Cmd) (a answer, stdout, stderr []byte, err error) {
	self, err := os.Executable()
	if err != nil {
		return a, nil, nil, err
	}
	cmd := exec.Command(self)
	if wrap != nil {
		cmd = wrap(self)
	}
	spec, err := json.Marshal(t)
	if err != nil {
		return a, nil, nil, err
	}
	cmd.Env = append(os.Environ(), childEnv+"="+string(spec))
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return a, nil, nil, fmt.Errorf("%s: %w: %s", cmd.Args[0], err, errs.Bytes())
	}
	for line := range bytes.Lines(out.Bytes()) {
		if bytes.HasPrefix(line, []byte(`{"PerPage"`)) {
			err = json.Unmarshal(line, &a)
		}
	}
	if err != nil || a.PerPage == 0 && a.Skip == "" {
		return a, nil, nil, fmt.Errorf("%s answered %q: %w", cmd.Args[0], out.Bytes(), err)
	}
	used := cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime() - a.Used
	a.CPU += float64(max(used, 0)) / float64(t.Cell.Pages)
	return a, out.Bytes(), errs.Bytes(), nil
}

func unobserved(r *rig, c cell) (observation, error) {
	a, _, _, err := task{Cell: c, File: r.fileOf(c)}.start(nil)
	return a.observation, err
}

// underPerfRecord counts the samples whose address is in the child's memory.
func underPerfRecord(r *rig, c cell) (observation, error) {
	if r.perf == "" {
		return observation{Skip: r.perfSkip}, nil
	}
	data := filepath.Join(r.dir, "perf.data")
	a, _, _, err := task{Cell: c, File: r.fileOf(c)}.start(func(self string) *exec.Cmd { return perfRecord(r.perf, data, self) })
	if err != nil {
		return a.observation, err
	}
	out, err := exec.Command(r.perf, "script", "-i", data, "-F", "addr", "-G").Output()
	if err != nil {
		return a.observation, fmt.Errorf("perf script: %w", err)
	}
	for _, f := range strings.Fields(string(out)) {
		if at, err := strconv.ParseUint(f, 16, 64); err == nil && c.holds(at) {
			a.Seen++
		}
	}
	return a.observation, nil
}

// holds reports whether an address is in a child's plain memory.
func (c cell) holds(at uint64) bool { return at-childBase < uint64(c.load().size()) }

var traced = regexp.MustCompile(`=> (.*)@0x([0-9a-f]+)`)

// underPerfTrace counts the lines about the child's memory: by address, or by the name of the file.
func underPerfTrace(r *rig, c cell) (observation, error) {
	if r.perf == "" {
		return observation{Skip: r.perfSkip}, nil
	}
	text, file := filepath.Join(r.dir, "trace.txt"), r.fileOf(c)
	a, _, _, err := task{Cell: c, File: file}.start(func(self string) *exec.Cmd {
		return exec.Command(r.perf, "trace", "-F", "all", "--no-syscalls", "-o", text, "--", self)
	})
	if err != nil {
		return observation{Skip: err.Error()}, nil
	}
	out, err := os.ReadFile(text)
	if err != nil {
		return a.observation, err
	}
	for _, m := range traced.FindAllSubmatch(out, -1) {
		at, _ := strconv.ParseUint(string(m[2]), 16, 64)
		if file != "" && string(m[1]) == file || file == "" && c.holds(at) {
			a.Seen++
		}
	}
	return a.observation, nil
}

var counted = regexp.MustCompile(`@n: (\d+)`)

// underBpftrace has the kernel count in a table.
func underBpftrace(r *rig, c cell) (observation, error) {
	path, err := exec.LookPath("bpftrace")
	if err != nil {
		return observation{Skip: "no bpftrace in PATH"}, nil
	}
	const event = "/sys/kernel/tracing/events/exceptions/page_fault_user"
	if _, err := os.Stat(event); err != nil {
		return observation{Skip: fmt.Sprintf("no %s: as root, mount -t tracefs nodev /sys/kernel/tracing", event)}, nil
	}
	program := fmt.Sprintf("tracepoint:exceptions:page_fault_user /args->address >= %#x && args->address < %#x/ { @n = count(); @s[ustack(16)] = count(); }",
		childBase, childBase+c.load().size())
	a, out, _, err := task{Cell: c, File: r.fileOf(c)}.start(func(self string) *exec.Cmd { return exec.Command(path, "-e", program, "-c", self) })
	if err != nil {
		return observation{Skip: err.Error()}, nil
	}
	if m := counted.FindSubmatch(out); m != nil {
		a.Seen, _ = strconv.Atoi(string(m[1]))
	}
	return a.observation, nil
}

// cLoop is the C yardstick, which knows arenas only: userfaultfd refuses files.
func cLoop(r *rig, c cell) (o observation, err error) {
	switch {
	case r.peer == "":
		return observation{Skip: r.peerSkip}, nil
	case c.Memory != memoryArena:
		return observation{Skip: "userfaultfd(2) refuses mappings of files"}, nil
	}
	order := "ascending"
	if c.Pattern == "random" {
		order = "random"
	}
	out, skip, err := runPeer(r.peer, oneCPU, c.load(), order, c.Granule/pageSize, "timed")
	if err != nil || skip != "" {
		return observation{Skip: skip}, err
	}
	var took []float64
	for _, t := range out.took {
		took = append(took, float64(t))
	}
	n := float64(c.Pages)
	return observation{
		PerPage: float64(out.wall) / n, CPU: float64(out.cpu) / n, Seen: out.messages,
		Median: quantile(took, .5), P99: quantile(took, .99),
	}, nil
}
