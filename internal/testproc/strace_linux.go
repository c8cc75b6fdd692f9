package testproc

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// straceCall is a line of strace -f -n -X raw: the thread, the number of the call, its name and its arguments.
var straceCall = regexp.MustCompile(`^(?:\d+ +)?\[ *(\d+)\] ([a-z0-9_]+)\((.*)`)

// Traced is a system call that strace saw. Command is that of ioctl and madvise, or 0.
type Traced struct {
	Name            string
	Number, Command uintptr
}

// String is the call with its command in brackets.
func (c Traced) String() string {
	if c.Command != 0 {
		return fmt.Sprintf("%s(%#x)", c.Name, c.Command)
	}
	return c.Name
}

// Strace runs a test as Do does, under strace, and returns the system calls that it made with how often.
func Strace(t *testing.T, name string, env []string, budget time.Duration) map[Traced]int {
	t.Helper()
	path, err := exec.LookPath("strace")
	if err != nil {
		t.Skip("strace is not installed: apt-get install strace")
	}
	out := filepath.Join(t.TempDir(), "strace")
	r := Do(t, name, env, budget, func(_ *testing.T, c *exec.Cmd) {
		c.Args = append([]string{path, "-f", "-n", "-qq", "-X", "raw", "-o", out}, c.Args...)
		c.Path = path
	})
	if strings.Contains(r.Out, "PTRACE_TRACEME: Operation not permitted") {
		t.Skip("ptrace is not permitted, which strace needs")
	}
	if r.Err != nil || r.TimedOut {
		t.Fatalf("%s under strace: %v, timed out: %v\n%s", name, r.Err, r.TimedOut, r.Out)
	}
	text, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	made := make(map[Traced]int)
	for line := range strings.Lines(string(text)) {
		m := straceCall.FindStringSubmatch(line)
		if m == nil {
			continue // the end of a call, or of a thread
		}
		number, err := strconv.ParseUint(m[1], 10, 64)
		if err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		c := Traced{Name: m[2], Number: uintptr(number)}
		args := strings.FieldsFunc(m[3], func(r rune) bool { return strings.ContainsRune(", )=<", r) })
		if at := map[string]int{"ioctl": 1, "madvise": 2}[c.Name]; at > 0 && at < len(args) {
			v, err := strconv.ParseUint(args[at], 0, 64)
			if err != nil {
				t.Fatalf("%q: %v", line, err)
			}
			c.Command = uintptr(v)
		}
		made[c]++
	}
	if len(made) == 0 {
		t.Fatalf("strace saw no call:\n%s", text[:min(len(text), 1000)])
	}
	return made
}
