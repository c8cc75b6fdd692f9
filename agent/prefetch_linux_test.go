package agent

import (
	"encoding/json"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/firsttouch/firsttouch/internal/testproc"
	"github.com/firsttouch/firsttouch/internal/touchorder"
	"github.com/firsttouch/firsttouch/uffd"
)

// prefetched is what GET prefetch answers.
func prefetched(t *testing.T, a *Agent) (d prefetchDocument) {
	t.Helper()
	w := httptest.NewRecorder()
	a.Handler().ServeHTTP(w, httptest.NewRequest("GET", basePath+"prefetch", nil))
	if err := json.Unmarshal(w.Body.Bytes(), &d); err != nil || w.Code != 200 {
		t.Fatalf("status %d, %s: %v", w.Code, w.Body, err)
	}
	return d
}

// TestPrefetchOfAnOrder: the ranges are read ahead, and the first touches are held against them.
func TestPrefetchOfAnOrder(t *testing.T) {
	page := int64(uffd.PageSize())
	path, mem := database(t, 16)
	order := &touchorder.Order{Files: []touchorder.File{{Path: path, Ranges: []touchorder.Range{
		{Offset: 3 * page, Length: 2 * page, Saves: time.Millisecond}, {Offset: 9 * page, Length: page, At: time.Second}}}}}
	order.Identify()
	file := filepath.Join(t.TempDir(), "app.touch")
	f, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := order.Write(f); err != nil {
		t.Fatal(err)
	}
	a := start(t, WithFiles(path), WithPrefetch(file), WithPrefetchLimits(0, 0.25, filepath.Dir(path)))
	eventually(t, "reading ahead", func() bool { return prefetched(t, a).Over })
	touchPage(mem, 4)
	touchPage(mem, 12)
	a.Profiler().Flush()
	d := prefetched(t, a)
	if d.Order != file || d.Bytes != 3*page || d.Ranges != 2 || d.Expected != time.Millisecond || d.Read.Done != 3*page || len(d.Notes) != 0 {
		t.Errorf("%+v", d)
	}
	if o := d.Outcome; o.Touches != 2 || o.Found != 1 || o.Waited != 0 || o.InVain != 2*page {
		t.Errorf("%+v", o)
	}
	for _, n := range a.Notes() {
		if strings.Contains(n, "prefetch") {
			t.Error(n)
		}
	}
}

// TestPrefetchTrouble: what cannot be read is said, and the agent does what else it has to.
func TestPrefetchTrouble(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "bad.touch")
	if err := os.WriteFile(file, []byte("nonsense"), 0o644); err != nil {
		t.Fatal(err)
	}
	outside := filepath.Join(dir, "outside.touch")
	if err := os.WriteFile(outside, []byte("firsttouch order 1\nfile \"/etc/passwd\"\n0 1 0 0\nend\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for order, want := range map[string]string{
		filepath.Join(dir, "absent.touch"): "prefetch: open " + dir + "/absent.touch: no such file or directory: write an order",
		file:                               "prefetch: " + file + ": unusable order of touches",
		outside:                            "prefetch: /etc/passwd: it is in none of the directories",
		learnPrefix + file + "/x":          "prefetch: the directory to learn in: choose one",
	} {
		a := start(t, WithPrefetch(order), WithPrefetchLimits(0, 0, dir))
		eventually(t, want, func() bool { return prefetched(t, a).Over })
		if notes := strings.Join(a.Notes(), "\n"); !strings.Contains(notes, want) {
			t.Errorf("%s: the notes are %q, want %q", order, notes, want)
		}
		stop(t, a)
	}
}

// TestPrefetchLearns: what more than half of the starts touched is read ahead at the next one, and no more than five starts are kept.
func TestPrefetchLearns(t *testing.T) {
	page := int64(uffd.PageSize())
	dir := t.TempDir()
	path, mem := database(t, 16)
	var last prefetchDocument
	for i, pages := range [][]int{{1, 2}, {1, 3}, {1, 2, 4}, {1}, {1}, {1}, {1}} {
		// The last start learns by the clock; of the others the time is not waited for.
		a := start(t, WithFiles(path), WithPrefetch(learnPrefix+dir), optionFunc(func(c *config) error {
			if i == 6 {
				c.ahead.time = testproc.Budget(500 * time.Millisecond)
			}
			return nil
		}))
		for _, p := range pages {
			touchPage(mem, p)
		}
		eventually(t, "reading ahead", func() bool { return prefetched(t, a).Over })
		if i == 6 {
			eventually(t, "learning", func() bool { last = prefetched(t, a); return last.Learned != "" || len(last.Notes) > 0 })
		} else if learned, err := a.ahead.keep(); err != nil || filepath.Dir(learned) != dir {
			t.Fatalf("learned %q: %v", learned, err)
		}
		if last = prefetched(t, a); len(last.Notes) > 0 {
			t.Fatal(last.Notes)
		}
		if want := min(i, learnStarts); last.Starts != want {
			t.Errorf("start %d knows %d starts, want %d", i, last.Starts, want)
		}
		switch {
		case i == 0 && last.Read != nil:
			t.Errorf("the first start read ahead %+v", last.Read)
		case i == 3 && (last.Bytes != 2*page || last.Ranges != 1): // 1 of three, 2 of two of three
			t.Errorf("after three starts: %+v", last)
		case i == 6 && (last.Bytes != page || last.Read.Done != page || last.Outcome.Found != 1):
			t.Errorf("at the end: %+v, %+v", last, last.Outcome)
		}
		stop(t, a)
	}
	if names, err := filepath.Glob(dir + "/*"); err != nil || len(names) != learnStarts {
		t.Errorf("%q are kept: %v", names, err)
	}
}

// TestNoPrefetch: who did not ask for it is told how to.
func TestNoPrefetch(t *testing.T) {
	a := start(t)
	w := httptest.NewRecorder()
	a.Handler().ServeHTTP(w, httptest.NewRequest("GET", basePath+"prefetch", nil))
	if w.Code != 404 || !strings.Contains(w.Body.String(), "FIRSTTOUCH_PREFETCH") {
		t.Errorf("status %d: %s", w.Code, w.Body)
	}
}
