package agent

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/firsttouch/firsttouch/internal/uffdtest"
	"golang.org/x/sys/unix"
)

// logged is a log that may be read while it is written to.
type logged struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// An agent that observes nothing says so in the service's log, once, with the files that are mapped and the setting to copy; and so
// it does in its notes, which every page and recording shows.
func TestSilenceIsLogged(t *testing.T) {
	uffdtest.Need(t)
	path, _ := database(t, 4)
	odd := filepath.Join(t.TempDir(), "a[1].db")
	if err := os.WriteFile(odd, make([]byte, os.Getpagesize()), 0o644); err != nil {
		t.Fatal(err)
	}
	mapFile(t, odd, os.Getpagesize())
	t.Setenv("FIRSTTOUCH_FLIES", "x")
	out := &logged{}
	a := start(t, WithFiles("/nowhere/*.db"), WithLogger(slog.New(slog.NewTextHandler(out, nil))))
	if want := "firsttouch observes nothing yet; 0 of 1 pattern of files matched"; a.Status() != want {
		t.Errorf("status %q, want %q", a.Status(), want)
	}
	if want := "firsttouch observes nothing yet; "; !strings.Contains(out.String(), want) {
		t.Errorf("the log has\n%s\nwant %q", out, want)
	}
	eventually(t, "the note is logged", func() bool { return strings.Contains(out.String(), "nothing is observed: no mapping matches") })
	for _, want := range []string{path, strings.ReplaceAll(odd, "[", `\\[`), "did you mean FIRSTTOUCH_FILES?", "/nowhere/*.db"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is missing from\n%s", want, out)
		}
	}
	// What is to be copied works.
	notes := strings.Join(a.Notes(), "\n")
	_, setting, _ := strings.Cut(notes, "FIRSTTOUCH_FILES='")
	setting, _, _ = strings.Cut(setting, "'")
	for _, p := range filepath.SplitList(setting) {
		if found, err := filepath.Glob(p); err != nil || len(found) != 1 {
			t.Errorf("the pattern %q of the hint finds %q, %v", p, found, err)
		}
	}
	a.journal.write()
	if n := strings.Count(out.String(), "nothing is observed"); n != 1 {
		t.Errorf("it is logged %d times", n)
	}
}

func TestStatusOfAnAgentThatObserves(t *testing.T) {
	uffdtest.Need(t)
	path, _ := database(t, 8)
	out := &logged{}
	a := start(t, WithFiles(path), WithDebugAddr(":0"), WithLogger(slog.New(slog.NewTextHandler(out, nil))))
	want := fmt.Sprintf("firsttouch observes 1 region of %d KiB; 1 of 1 pattern of files matched; page: http://%v/debug/firsttouch/", 8*os.Getpagesize()>>10, a.DebugAddr())
	if status := often(a.Status()); status != want {
		t.Errorf("status %q, want %q", status, want)
	}
	eventually(t, "the status is logged", func() bool { return strings.Contains(often(out.String()), want) })
}

// often is a text without how often mappings are looked at on a busy machine.
func often(text string) string {
	return regexp.MustCompile(`; looked only every [^;"]*`).ReplaceAllString(text, "")
}

// The status and the summary say how late a file was found that was mapped while the agent ran.
func TestStatusSaysHowLateFilesWereFound(t *testing.T) {
	uffdtest.Need(t)
	dir := t.TempDir()
	a := start(t, WithFiles(filepath.Join(dir, "*.db")), WithRescan(10*time.Millisecond))
	if err := a.Look(t.Context()); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "late.db")
	if err := os.WriteFile(path, make([]byte, os.Getpagesize()), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b, err := unix.Mmap(int(f.Fd()), 0, os.Getpagesize(), unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Munmap(b)
	eventually(t, "the file is observed", func() bool { return len(a.owned()) == 1 })
	regions := a.Profiler().Snapshot().Regions
	late := regions[0].Unseen()
	if want := fmt.Sprintf("found %v late at most (%s)", late.Round(time.Millisecond), path); late <= 0 || !strings.Contains(a.Status(), want) {
		t.Errorf("the status %q does not say %q", a.Status(), want)
	}
}

func TestStatusOfAnAgentThatDoesNothing(t *testing.T) {
	out := &logged{}
	a, err := Start(t.Context(), Disabled(), WithLogger(slog.New(slog.NewTextHandler(out, nil))))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(a.Status(), "does nothing: switched off") || !strings.Contains(out.String(), "level=WARN msg=\"firsttouch does nothing: switched off") {
		t.Errorf("status %q, and the log has\n%s", a.Status(), out)
	}
	if err := a.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := Start(t.Context(), WithLogger(nil)); err == nil {
		t.Error("a nil logger was taken")
	}
}

func TestEditDistance(t *testing.T) {
	for _, tt := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"a", "", 1}, {"files", "files", 0}, {"file", "files", 1}, {"flies", "files", 2}, {"kitten", "sitting", 3}} {
		if got := editDistance(tt.a, tt.b); got != tt.want {
			t.Errorf("%q to %q: %d, want %d", tt.a, tt.b, got, tt.want)
		}
	}
	if got := meant("FIRSTTOUCH_SOMETHING_ELSE"); !strings.HasPrefix(got, "the settings are FIRSTTOUCH_") {
		t.Errorf("got %q", got)
	}
}

// What is observed is logged when that is something, also where it comes after the start.
func TestWhatIsObservedIsLogged(t *testing.T) {
	uffdtest.Need(t)
	out := &logged{}
	a := start(t, WithLogger(slog.New(slog.NewTextHandler(out, nil))))
	cache, err := a.Arena("cache", os.Getpagesize())
	if err != nil {
		t.Fatal(err)
	}
	defer cache.Close()
	eventually(t, "the region is logged", func() bool { return strings.Contains(out.String(), "level=INFO msg=\"firsttouch observes 1 region of") })
}
