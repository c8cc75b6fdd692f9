package serve

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/firsttouch/firsttouch/internal/testproc"
	"github.com/firsttouch/firsttouch/internal/uffdtest"
	"github.com/firsttouch/firsttouch/uffd"
	"golang.org/x/sys/unix"
)

const (
	handlerEnv = "UFFD_TEST_HANDLER" // the range that is served
	mortalEnv  = "UFFD_TEST_MORTAL"  // set where the handler dies
)

// TestSupervise: handlers are killed at any moment, from without and in the middle of an event, and the process that they
// serve reads what it has to: nothing that was lost, and nothing that it had discarded.
func TestSupervise(t *testing.T) {
	uffdtest.NeedEvents(t)
	if uffdtest.IsVM() {
		rounds := testproc.Times(300, 3000)
		races(t, uffdtest.StartVMWithoutForks(t, rounds*racePages), rounds)
		return
	}
	if os.Getenv(handlerEnv) != "" {
		handler(t)
		return
	}
	serveVM(t, func(s served) {
		lives := 0
		err := Supervise(t.Context(), s.fd, func() *exec.Cmd {
			lives++
			c := exec.Command("/proc/self/exe", "-test.run=^TestSupervise$", "-test.v")
			c.Env = append(os.Environ(), fmt.Sprintf("%s=%d %d", handlerEnv, s.whole.Start, s.whole.End), mortalEnv+"=")
			// Not more than nine in a row: Supervise gives up then.
			if lives%9 != 0 && lives < testproc.Times(40, 400) {
				c.Env = append(c.Env, mortalEnv+"=1")
			}
			c.Stdout, c.Stderr = os.Stderr, os.Stderr
			return c
		})
		if err != nil {
			t.Error(err)
		}
		if lives < 5 {
			t.Errorf("%d handlers: none died", lives)
		}
		t.Logf("%d handlers", lives)
	})
}

// handler is one life.
func handler(t *testing.T) {
	var r uffd.Range
	if _, err := fmt.Sscanf(os.Getenv(handlerEnv), "%d %d", &r.Start, &r.End); err != nil {
		t.Fatal(err)
	}
	fd, journal, err := Supervised()
	if err != nil {
		t.Fatal(err)
	}
	defer fd.Close()
	layout, err := NewLayout(Area{Range: r, Contents: uffdtest.Snapshot(int(r.Len()) / size)})
	if err != nil {
		t.Fatal(err)
	}
	die := func() { _ = unix.Kill(os.Getpid(), unix.SIGKILL) }
	opts := []Option{journal}
	if os.Getenv(mortalEnv) != "" {
		opts = append(opts, WithObserver(func(uffd.Msg) {
			if rand.IntN(30) == 0 {
				die()
			}
		}))
		time.AfterFunc(time.Duration(1+rand.IntN(20))*time.Millisecond, die)
	} else {
		// Long enough for Supervise to count anew, and then one of the others again, unless the process ends before.
		time.AfterFunc(1100*time.Millisecond, die)
	}
	if err := New(fd, layout, opts...).Run(t.Context()); err != nil {
		t.Error(err)
	}
}

// What was read and not taken yet when the handler died is taken by the next one, once, whatever was taken already.
func TestJournalOfTheDead(t *testing.T) {
	remap := uffd.Msg{Event: uffd.EventRemap, Arg: [3]uint64{0x10000, 0x50000, 0x10000}}
	back := uffd.Msg{Event: uffd.EventRemap, Arg: [3]uint64{0x50000, 0x10000, 0x10000}}
	batch := []uffd.Msg{{Event: uffd.EventPagefault, Arg: [3]uint64{0, 0x10000}}, remap, back, {Event: uffd.EventRemove, Arg: [3]uint64{0x10000, 0x18000}}}
	for taken := range 4 { // events that were taken before it died
		file, err := newJournal()
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		dead := openTest(t, file)
		dead.read(copy(dead.next(), batch))
		for i, m := range batch[1 : 1+taken] {
			m.Reserved2, m.Reserved3 = uint16(i+2), 1
			if err := dead.append(m); err != nil {
				t.Fatal(err)
			}
		}
		for range 2 { // the next one dies at once
			l, err := NewLayout(Area{Range: uffd.Range{Start: 0x10000, End: 0x20000}, Contents: make([]byte, 0x10000)})
			if err != nil {
				t.Fatal(err)
			}
			if err := openTest(t, file).replay(l); err != nil {
				t.Fatal(err)
			}
			if got, want := describe(l), "[0x10000,0x18000) zeros, [0x18000,0x20000) contents"; got != want {
				t.Errorf("%d taken: %s, want %s", taken, got, want)
			}
		}
	}
}

func openTest(t *testing.T, file *os.File) *journal {
	t.Helper()
	j, err := openJournal(int(file.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	return j
}

func describe(l *Layout) string {
	var parts []string
	for _, a := range l.Areas() {
		what := "contents"
		if a.Contents == nil {
			what = "zeros"
		}
		parts = append(parts, a.Range.String()+" "+what)
	}
	return strings.Join(parts, ", ")
}

// A journal that is full joins discards, and says so where that does not help.
func TestFullJournal(t *testing.T) {
	defer func(before int) { journalEvents = before }(journalEvents)
	journalEvents = 16
	file, err := newJournal()
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	j := openTest(t, file)
	page := func(n, step uint64) uffd.Msg {
		return uffd.Msg{Event: uffd.EventRemove, Arg: [3]uint64{n * step * 0x1000, (n*step + 1) * 0x1000}}
	}
	for n := range uint64(1000) {
		if err := j.append(page(n, 1)); err != nil {
			t.Fatal(err)
		}
	}
	l, err := NewLayout(Area{Range: uffd.Range{Start: 0, End: 2000 * 0x1000}, Contents: make([]byte, 2000*0x1000)})
	if err != nil {
		t.Fatal(err)
	}
	if err := j.replay(l); err != nil {
		t.Fatal(err)
	}
	if got, want := describe(l), "[0x0,0x3e8000) zeros, [0x3e8000,0x7d0000) contents"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	for n := uint64(1000); err == nil; n++ { // with holes in between
		if err = j.append(page(n, 2)); n > 1100 {
			t.Fatal("there was room for everything")
		}
	}
	if log := j.log(); len(log) != journalEvents {
		t.Errorf("%d events are left of %d: %v", len(log), journalEvents, err)
	}
}

func TestSuperviseRefusals(t *testing.T) {
	if _, _, err := Supervised(); !errors.Is(err, uffd.ErrInvalid) {
		t.Errorf("Supervised without Supervise: %v", err)
	}
	fd, err := uffd.Open()
	if errors.Is(err, uffd.ErrNotSupported) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer fd.Close()
	starts := 0
	err = Supervise(t.Context(), fd, func() *exec.Cmd { starts++; return exec.Command("false") })
	if exit := (*exec.ExitError)(nil); !errors.As(err, &exit) || starts != deathsInARow {
		t.Errorf("a handler that always dies: %v after %d starts", err, starts)
	}
	if err := Supervise(t.Context(), fd, func() *exec.Cmd { return exec.Command("/nonexistent") }); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a handler that does not exist: %v", err)
	}
	if err := Supervise(t.Context(), fd, func() *exec.Cmd { return exec.Command("true") }); err != nil {
		t.Errorf("a handler that ends well: %v", err)
	}
	forks, err := uffd.Open(uffd.WithFeatures(uffd.FeatureEventFork))
	if err != nil {
		return // it takes CAP_SYS_PTRACE
	}
	defer forks.Close()
	if err := Supervise(t.Context(), forks, nil); !errors.Is(err, uffd.ErrInvalid) {
		t.Errorf("with EVENT_FORK: %v", err)
	}
}
