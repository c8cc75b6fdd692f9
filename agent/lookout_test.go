package agent

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/firsttouch/firsttouch/profiler"
)

func TestParseMaps(t *testing.T) {
	text := `00400000-00452000 r-xp 00000000 08:02 173521      /usr/bin/dbus-daemon
00651000-00652000 r--p 00051000 08:02 173521      /usr/bin/dbus-daemon
00e03000-00e24000 rw-p 00000000 00:00 0           [heap]
35b1800000-35b1820000 r--s 00000000 08:02 135522  /var/lib/app/a b.db
35b1810000-35b1820000 rw-s 00010000 08:02 135522  /var/lib/app/a b.db
35b1a21000-35b1a22000 rw-p 00000000 00:00 0
35b1c00000-35b1dac000 r--s 00000000 08:02 135870  /var/lib/app/x\012y.db
7f0000000000-7f0000001000 rw-s 00000000 00:01 9   /memfd:arena (deleted)
7fff6fd7f000-7fff6fd81000 r-xp 00000000 00:00 0   [vdso]
7fff6fd81000-7fff6fd82000 rw-p 00000000 00:00 0   [anon:/not/a/file]
`
	want := map[profiler.MappedFile]profiler.MappedAs{
		{Path: "/usr/bin/dbus-daemon", Dev: 8<<32 | 2, Inode: 173521}: {Code: true},
		{Path: "/var/lib/app/a b.db", Dev: 8<<32 | 2, Inode: 135522}:  {Readable: true, Writable: true},
		{Path: "/var/lib/app/x\ny.db", Dev: 8<<32 | 2, Inode: 135870}: {Readable: true},
		{Path: "/memfd:arena (deleted)", Dev: 0<<32 | 1, Inode: 9}:    {Writable: true},
	}
	got := filesIn([]byte(text))
	if !maps.Equal(got, want) {
		t.Errorf("got %v\nwant %v", got, want)
	}
}

func TestPattern(t *testing.T) {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	real := filepath.Join(dir, "da[ta]")
	if err := os.Mkdir(real, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(real, "real.db"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(dir, "link")
	if err := os.Symlink(real, link); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("real.db", filepath.Join(real, "current")); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		pattern, path string
		want          bool
	}{
		{"/a/*.db", "/a/x.db", true},
		{"/a/*.db", "/a/b/x.db", false},
		{"/a/*.db", "/a/x.db (deleted)", false},
		{"/a/x.db", "/a/x.db", true},
		{link + "/*.db", real + "/real.db", true},
		{link + "/real.db", real + "/real.db", true},
		{link + "/current", real + "/real.db", true},
		{link + "/*.db", real + "/other", false},
		{filepath.Join(dir, "later") + "/*", dir + "/later/x", true},
		{"/a/**", "/a/x", true},
		{"/a/**", "/a/b/c/x", true},
		{"/a/**", "/b/x", false},
		{"/a/**/*.db", "/a/x.db", true},
		{"/a/**/*.db", "/a/b/c/x.db", true},
		{"/a/**/*.db", "/a/b/c/x.log", false},
		{"/a/**/c/*", "/a/c/c/d/c/x", true},
		{"/a/**/c/*", "/a/c/c/d/x", false},
		{"/**/b/**/*.db", "/a/b/c/b/d/e.db", true},
		{"/a/**/b", "/a/b/b/c", false},
		{"/a/**/**/b", "/a/b", true},
		{"/a/x**y", "/a/xzy", true}, // not an element: as *
		{"/a/x**y", "/a/xz/y", false},
		{link + "/**/*.db", real + "/real.db", true},
	} {
		p := &pattern{text: tt.pattern}
		p.resolve()
		if got := p.matches(tt.path); got != tt.want {
			t.Errorf("%s against %s: %v, want %v", tt.pattern, tt.path, got, tt.want)
		}
	}
}

// TestLookoutAttachesEachFileOnce follows one file through what can happen to it.
func TestLookoutAttachesEachFileOnce(t *testing.T) {
	answers := []error{
		fmt.Errorf("gone again: %w", profiler.ErrNotMapped),
		fmt.Errorf("park: %w", profiler.ErrBusy),
		fmt.Errorf("mlockall: %w", profiler.ErrLocked),
		nil,
		nil,
	}
	tries := 0
	l := newLookout([]string{"/d/*.db", "/e/never-*"}, func(_ *profiler.Look, files []profiler.FoundFile) ([]*profiler.Region, []error) {
		tries++
		return make([]*profiler.Region, len(files)), answers[tries-1 : tries]
	})
	first, second := profiler.MappedFile{Path: "/d/a.db", Dev: 8<<32 | 2, Inode: 1}, profiler.MappedFile{Path: "/d/a.db", Dev: 8<<32 | 2, Inode: 2}
	for i, f := range []profiler.MappedFile{first, first, first, first, first, first, second, second} {
		files := map[profiler.MappedFile]profiler.MappedAs{f: {Readable: true}}
		l.found(nil, l.matching(files), files)
		if want := min(i+1, 4) + min(i/6, 1); tries != want {
			t.Fatalf("%d tries after look %d, want %d: until it worked, none after, and one for the file that took its place", tries, i+1, want)
		}
	}
	if a, b := l.files[first].name, l.files[second].name; a != "/d/a.db" || b != "/d/a.db (file 2 of this name)" {
		t.Errorf("the files are called %q and %q", a, b)
	}
	if notes := l.notes(); len(notes) != 0 {
		t.Errorf("notes %q before a look was made", notes)
	}
	l.looks, l.since = 1, time.Now().Add(-quietFor)
	if notes := l.notes(); len(notes) != 1 || !strings.Contains(notes[0], `"/e/never-*"`) {
		t.Errorf("notes %q, want one, of the pattern without a match", notes)
	}
}

// TestPatternsMatchNoDeletedFiles: a file that is mapped and has no path any more cannot be attached by one, and would only be
// reported as refused, once for each.
func TestPatternsMatchNoDeletedFiles(t *testing.T) {
	l := newLookout([]string{"/d/*"}, nil)
	got := l.matching(map[profiler.MappedFile]profiler.MappedAs{
		{Path: "/d/a.db", Inode: 1}:                   {Readable: true},
		{Path: "/d/a.db.deleted (deleted)", Inode: 2}: {Readable: true},
	})
	if len(got) != 1 {
		t.Errorf("%v match, want a.db alone", got)
	}
}

func TestLookoutReportsWhatItCannotAttach(t *testing.T) {
	tries := 0
	l := newLookout([]string{"/d/*"}, func(_ *profiler.Look, files []profiler.FoundFile) ([]*profiler.Region, []error) {
		var errs []error
		for _, f := range files {
			tries++
			if f.Path == "/d/mine" {
				errs = append(errs, profiler.ErrRegistered)
			} else {
				errs = append(errs, errors.New("no read permission"))
			}
		}
		return make([]*profiler.Region, len(files)), errs
	})
	files := map[profiler.MappedFile]profiler.MappedAs{{Path: "/d/secret"}: {}, {Path: "/d/program"}: {Code: true}, {Path: "/d/mine"}: {}}
	for range 3 {
		l.found(nil, l.matching(files), files)
	}
	want := []string{
		"/d/program is not profiled: it holds program code, which is not profiled",
		"/d/secret is not profiled: no read permission",
	}
	if notes := l.notes(); !slices.Equal(notes, want) || tries != 2 {
		t.Errorf("%d tries, notes %q, want 2 and %q", tries, notes, want)
	}
}

// Each grouping, with more files of a pattern than stand for themselves, and one that is named by its path.
func TestGroupings(t *testing.T) {
	for g, want := range map[Grouping][]string{
		GroupAuto:      {"/d/0/x.db", "/d/7/x.db", "/d/**", "/d/**", "/d/7/x.db", "/d/plain"},
		GroupFile:      {"/d/0/x.db", "/d/7/x.db", "/d/8/x.db", "/d/9/x.db", "/d/7/x.db", "/d/plain"},
		GroupDirectory: {"/d/0/", "/d/7/", "/d/8/", "/d/9/", "/d/7/", "/d/plain"},
		GroupPattern:   {"/d/**", "/d/**", "/d/**", "/d/**", "/d/**", "/d/plain"},
	} {
		p, plain := &pattern{text: "/d/**"}, &pattern{text: "/d/plain"}
		var got []string
		for i := range 10 {
			group := g.of(p, fmt.Sprintf("/d/%d/x.db", i))
			if i == 0 || i >= 7 {
				got = append(got, group)
			}
		}
		got = append(got, g.of(p, "/d/7/x.db"), g.of(plain, "/d/plain"))
		if !slices.Equal(got, want) {
			t.Errorf("%v: %q, want %q", g, got, want)
		}
		var c config
		if err := c.parseGrouping(g.String()); err != nil || c.grouping != g {
			t.Errorf("%v: %v, %v", g, c.grouping, err)
		}
	}
	var c config
	if err := errors.Join(c.setGrouping(99)); !errors.Is(err, profiler.ErrInvalid) {
		t.Errorf("%v, want ErrInvalid", err)
	}
	if err := c.parseGrouping("files"); !errors.Is(err, profiler.ErrInvalid) {
		t.Errorf("%v, want ErrInvalid", err)
	}
	if err := c.setFiles([]string{"/d/**/[x"}); !errors.Is(err, profiler.ErrInvalid) {
		t.Errorf("%v, want ErrInvalid", err)
	}
}

// What has gone is forgotten: files that are not mapped any more, and of those that could not be attached all but some.
func TestLookoutForgets(t *testing.T) {
	l := newLookout([]string{"/d/*"}, func(_ *profiler.Look, files []profiler.FoundFile) ([]*profiler.Region, []error) {
		var errs []error
		for _, f := range files {
			if strings.HasPrefix(f.Path, "/d/bad") {
				errs = append(errs, errors.New("no read permission"))
			} else {
				errs = append(errs, profiler.ErrRegistered)
			}
		}
		return make([]*profiler.Region, len(files)), errs
	})
	files := make(map[profiler.MappedFile]profiler.MappedAs)
	for i := range 1000 {
		files[profiler.MappedFile{Path: fmt.Sprint("/d/good", i)}] = profiler.MappedAs{Readable: true}
		files[profiler.MappedFile{Path: fmt.Sprint("/d/bad", i)}] = profiler.MappedAs{Readable: true}
	}
	l.found(nil, l.matching(files), files)
	if n := len(l.files); n != 2000 || len(l.matching(files)) != 0 {
		t.Fatalf("%d files are known of 2000, and %d of them are new", n, len(l.matching(files)))
	}
	l.forget(files)
	if n := len(l.files); n != 2000 {
		t.Errorf("%d files are known of 2000 that are mapped", n)
	}
	l.forget(nil)
	if n := len(l.files); n != failuresMost {
		t.Errorf("%d files are known of which none is mapped, want %d that failed", n, failuresMost)
	}
}
