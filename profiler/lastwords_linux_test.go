//go:build linux && (amd64 || arm64)

package profiler

import (
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"runtime/debug"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/firsttouch/firsttouch/internal/engine"
	"golang.org/x/sys/unix"
)

// crashes are ways in which Go ends a process, and says so.
var crashes = []struct {
	name  string
	crash func()
	says  bool
}{
	{"panic", func() { go panic("on purpose"); select {} }, true},
	{"panic after a panic", func() {
		go func() {
			defer func() { panic(fmt.Sprint("again: ", recover())) }()
			panic("on purpose")
		}()
		select {}
	}, true},
	{"nil pointer", func() {
		go func() { fmt.Println(*(*int)(nil)) }()
		select {}
	}, true},
	{"fatal error", func() { new(sync.Mutex).Unlock() }, true},
	{"SIGQUIT", func() { unix.Kill(os.Getpid(), unix.SIGQUIT); select {} }, true},
	{"SIGABRT", func() { unix.Kill(os.Getpid(), unix.SIGABRT); select {} }, true},
	{"SIGSEGV of code that is not Go's", func() { unix.Kill(os.Getpid(), unix.SIGSEGV); select {} }, true},
	{"SIGBUS of code that is not Go's", func() { unix.Kill(os.Getpid(), unix.SIGBUS); select {} }, true},
	{"faults that are recovered", func() {
		func() {
			defer func() { recover() }()
			fmt.Println(*(*int)(nil))
		}()
		func() {
			defer func() { recover() }()
			defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
			b, _ := unix.Mmap(-1, 0, pageSize, unix.PROT_NONE, unix.MAP_PRIVATE|unix.MAP_ANON)
			fmt.Println(b[0])
		}()
		println("panic: of another kind")
		os.Exit(3)
	}, false},
}

const crashEnv = "FIRSTTOUCH_TEST_CRASH"

// What a process prints when it crashes names the profiler and the armed ranges, in one line in front of the rest; that and
// how the process ends are as without it.
func TestLastWords(t *testing.T) {
	const top = "TestLastWords"
	if how := os.Getenv(crashEnv); how != "" {
		name, with, _ := strings.Cut(how, "/")
		if with != "without" {
			p := newProfiler(t)
			newArena(t, p, "arena", 3*pageSize).Bytes()[0] = 1
			newArena(t, p, "other", pageSize)
			if !engine.CrashNamed() {
				t.Error("the runtime's functions that print when it crashes are not those of this Go")
				os.Exit(9)
			}
			if with == "closed" {
				if err := p.Close(); err != nil {
					t.Error(err)
				}
			}
		}
		for _, c := range crashes {
			if c.name == name {
				c.crash()
			}
		}
		os.Exit(8)
	}
	run := func(t *testing.T, how, traceback string) (out, end string) {
		c := exec.Command(os.Args[0], "-test.count=1", "-test.run=^"+top+"$")
		c.Env = append(os.Environ(), crashEnv+"="+how, "GOTRACEBACK="+traceback, "GORACE=atexit_sleep_ms=0")
		limit := time.AfterFunc(hangBudget, func() { c.Process.Kill() })
		defer limit.Stop()
		b, err := c.CombinedOutput()
		if strings.Contains(string(b), "--- SKIP") {
			t.Skip(string(b))
		}
		return string(b), fmt.Sprint(err)
	}
	line := regexp.MustCompile(`(?m)^firsttouch profiles this process: \d+ first touches seen( by signal)?; 2 ranges armed: 0x[0-9a-f]+-0x[0-9a-f]+ 0x[0-9a-f]+-0x[0-9a-f]+\n`)
	closed := regexp.MustCompile(`(?m)^firsttouch: it was closed or taken off, no memory is armed\n`)
	for _, c := range crashes {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			for _, traceback := range []string{"single", "none"} {
				plain, wantEnd := run(t, c.name+"/without", traceback)
				for how, want := range map[string]*regexp.Regexp{"armed": line, "closed": closed} {
					out, end := run(t, c.name+"/"+how, traceback)
					n := 0
					if c.says {
						n = 1
					}
					if got := len(want.FindAllString(out, -1)); got != n || strings.Count(out, "firsttouch: ")+strings.Count(out, "firsttouch profiles") != n {
						t.Errorf("%s, %s: the line is there %d times, want %d:\n%.2000s", how, traceback, got, n, out)
					}
					if end != wantEnd {
						t.Errorf("%s, %s: ended with %s, without the profiler with %s", how, traceback, end, wantEnd)
					}
					if got, want := firstWords(want.ReplaceAllString(out, "")), firstWords(plain); got != want {
						t.Errorf("%s, %s: said %q, without the profiler %q", how, traceback, got, want)
					}
				}
			}
		})
	}
}

var anyNumber = regexp.MustCompile(`0x[0-9a-f]+|\d+`)

// firstWords are what a crash says before it lists goroutines, with numbers left out.
func firstWords(out string) string {
	head, _, _ := strings.Cut(out, "\ngoroutine ")
	return anyNumber.ReplaceAllString(head, "N")
}
