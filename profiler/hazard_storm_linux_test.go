//go:build linux && (amd64 || arm64)

package profiler

import (
	"bufio"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// underStorm has goroutines read and write an arena and an attached file without end, arms the file
// again and again, and calls do in between with the number of the window. Every page of every window
// faults once, whatever do does, and holds what was written last.
func underStorm(t *testing.T, p *Profiler, pages, windows int, do func(window int)) {
	t.Helper()
	regions := arm(t, p, pages)
	arena, file := startStorm(t, regions[0]), startStorm(t, regions[1])
	for i := range windows {
		arena.pass()
		file.pass()
		do(i)
		closeBusy(t, regions[1].region.Rearm)
	}
	file.pass()
	arena.end(t)
	file.end(t)
	s := p.Snapshot()
	checkSums(t, s)
	regions[0].checkFaults(t, s)
	if n, want := s.Regions[regions[1].region.ID()].Faults, uint64(windows+1)*uint64(pages); n != want {
		t.Errorf("%d faults of the file, want %d", n, want)
	}
	t.Logf("seen: %d faults from %d messages, each page of each of %d windows once, contents intact", s.Stats.Faults, s.Stats.Messages, windows+1)
}

// victimEnv names the process that a disturber works on.
const victimEnv = "FIRSTTOUCH_TEST_VICTIM"

// victim is the process that the running one is to disturb, or 0 where it is not a disturber.
func victim() int {
	pid, _ := strconv.Atoi(os.Getenv(victimEnv))
	return pid
}

// noPtrace is what a disturber skips with, and then the test that it was to disturb.
const noPtrace = "ptrace is not permitted: "

// disturb runs the same case in a process of its own, as the disturber of this one, which says "ready". It
// ends when it is told to by the end of its standard input.
func disturb(t *testing.T, top string) (end func()) {
	t.Helper()
	c := exec.Command(os.Args[0], "-test.v", "-test.count=1", "-test.run=^"+top+"$")
	c.Env = append(os.Environ(), victimEnv+"="+strconv.Itoa(os.Getpid()), "GOGC=100", "GOMAXPROCS=2")
	c.Stderr = os.Stderr
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	in, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	// A disturber never outlives what it disturbs, which it may have stopped.
	c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(out)
	for line := ""; line != "ready\n"; {
		line, err = lines.ReadString('\n')
		if _, reason, ok := strings.Cut(line, noPtrace); ok {
			t.Skip(noPtrace + strings.TrimSpace(reason))
		} else if err != nil {
			t.Fatalf("the disturber said %q, and then nothing: %v", line, err)
		}
	}
	done := make(chan string)
	go func() {
		text, _ := io.ReadAll(lines)
		done <- string(text)
	}()
	return func() {
		in.Close()
		text := <-done
		if err := c.Wait(); err != nil {
			t.Errorf("the disturber: %v", err)
		}
		if strings.Contains(text, "--- SKIP") || !strings.Contains(text, "--- PASS") {
			t.Error("the disturber was ready, and then did not do its part")
		}
		t.Logf("the disturber said:\n%s", text)
	}
}

// untilEOF closes the channel when standard input ends.
func untilEOF() <-chan struct{} {
	over := make(chan struct{})
	go func() {
		for b := make([]byte, 1); ; {
			if _, err := os.Stdin.Read(b); err != nil {
				close(over)
				return
			}
		}
	}()
	return over
}
