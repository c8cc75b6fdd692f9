package doctor

import (
	"context"
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
	"unsafe"

	"github.com/firsttouch/firsttouch/internal/testproc"
	"github.com/firsttouch/firsttouch/internal/uffdtest"
	"github.com/firsttouch/firsttouch/uffd"
	"golang.org/x/sys/unix"
)

// childMode makes the test binary a trial's child of some kind.
const childMode = "FIRSTTOUCH_TEST_TRIAL"

func TestMain(m *testing.M) {
	switch os.Getenv(childMode) {
	case "":
		os.Exit(m.Run())
	case "hang":
		time.Sleep(time.Hour)
	case "die":
		os.Stderr.WriteString("fatal: something\nmore\n")
		os.Exit(7)
	case "babble":
		os.Stdout.WriteString("not JSON")
	case "work":
		if err := WriteTrial(os.Stdout); err != nil {
			os.Stderr.WriteString(err.Error())
			os.Exit(1)
		}
	}
}

func TestTrialInChild(t *testing.T) {
	for mode, want := range map[string]string{
		"hang":   "no answer within 1s",
		"die":    "exit status 7\nfatal: something",
		"babble": "invalid character",
	} {
		t.Run(mode, func(t *testing.T) {
			t.Setenv(childMode, mode)
			budget := trialBudget
			if mode == "hang" {
				budget = time.Second
			}
			trial := tryInChild(context.Background(), budget, os.Args[0])
			if !strings.Contains(trial.Reason, want) {
				t.Errorf("got %q, want %q", trial.Reason, want)
			}
		})
	}
	if trial := tryInChild(context.Background(), time.Second, "/absent/program"); trial.Reason == "" {
		t.Error("a program that is not there tried")
	}
}

func TestRun(t *testing.T) {
	uffdtest.Need(t)
	t.Setenv(childMode, "work")
	r := Run(context.Background(), os.Args[0])
	if r.Works == r.Trial.UserModeOnly { // then a setting has to allow it
		text, _ := json.Marshal(r.Trial)
		t.Errorf("the profiler does not work here: %s: %s", r.Verdict, text)
	}
	if r.Kernel.OpenPath == nil || r.Limits.MaxMapCount == nil || r.Limits.CPUs < 1 {
		t.Errorf("facts are missing: %+v %+v", r.Kernel.OpenPath, r.Limits)
	}
}

func TestTryAsOrdinaryUser(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can become another user; TestRun tries as this one")
	}
	testproc.Run(t, "TestOrdinaryUserChild", []string{"FIRSTTOUCH_TEST_USER=1"}, time.Minute, testproc.AsUser(65534))
}

func TestOrdinaryUserChild(t *testing.T) {
	if os.Getenv("FIRSTTOUCH_TEST_USER") == "" {
		t.Skip("runs as a child of TestTryAsOrdinaryUser")
	}
	uffdtest.Need(t)
	trial := Try(t.TempDir())
	if trial.Reason != "" {
		t.Fatal(trial.Reason)
	}
	for _, s := range trial.Steps {
		if s.Error != "" {
			t.Errorf("%s: %s", s.Name, s.Error)
		}
	}
	want := 7
	if !trial.UserModeOnly {
		want = 10
	}
	if len(trial.Steps) != want {
		t.Errorf("%d steps, want %d", len(trial.Steps), want)
	}
	row := delivery(uffd.Report{}, trial)[2]
	if want := map[bool]Status{true: Limited, false: Yes}[trial.UserModeOnly]; row.Status != want {
		t.Errorf("touches by system calls: %+v, want %s", row, want)
	}
}

// A trial under a filter names what it refuses, and the report has a row with a remedy for each.
func TestTrialNamesRefusedCalls(t *testing.T) {
	const env = "FIRSTTOUCH_TEST_REFUSE"
	if os.Getenv(env) == "" {
		testproc.Run(t, t.Name(), []string{env + "=1"}, time.Minute)
		return
	}
	const load, equal, ret = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, unix.BPF_RET | unix.BPF_K
	filter := []unix.SockFilter{
		{Code: load, K: 0},
		{Code: equal, K: unix.SYS_RT_TGSIGQUEUEINFO, Jt: 1},
		{Code: equal, K: unix.SYS_CLOSE_RANGE, Jf: 1},
		{Code: ret, K: unix.SECCOMP_RET_ERRNO | uint32(unix.EPERM)},
		{Code: ret, K: unix.SECCOMP_RET_ALLOW},
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		t.Fatal(err)
	}
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	if _, _, e := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_TSYNC, uintptr(unsafe.Pointer(&program))); e == unix.ENOSYS || e == unix.EINVAL {
		t.Skipf("the kernel has no seccomp filters: %v", e)
	} else if e != 0 {
		t.Fatal(e)
	}
	trial := Try(t.TempDir())
	r := Examine(uffd.Probe(), ReadLimits(), trial)
	for name, needed := range map[string]bool{"rt_tgsigqueueinfo": false, "close_range": true} {
		if !slices.ContainsFunc(trial.Refused, func(c RefusedCall) bool { return c.Name == name && c.Needed == needed && c.Loses != "" }) {
			t.Errorf("%+v does not have %s", trial.Refused, name)
		}
		if !slices.ContainsFunc(r.System, func(row Row) bool {
			return strings.HasSuffix(row.Name, " "+name) && strings.Contains(row.Remedy, "SECURITY.md") && (row.Status == No) == needed
		}) {
			t.Errorf("no row for %s: %+v", name, r.System)
		}
	}
	if r.Works || !strings.Contains(trial.Reason, "close_range") || len(trial.Refused) != 2 {
		t.Errorf("works %v, %q, refused %+v", r.Works, trial.Reason, trial.Refused)
	}
}
