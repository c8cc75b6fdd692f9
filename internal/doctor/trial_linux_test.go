package doctor

import (
	"context"
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/firsttouch/firsttouch/internal/testproc"
	"github.com/firsttouch/firsttouch/internal/uffdtest"
	"github.com/firsttouch/firsttouch/uffd"
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
