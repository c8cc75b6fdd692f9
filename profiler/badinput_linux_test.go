//go:build linux && (amd64 || arm64)

package profiler

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// wantError checks that an error is of a kind and has words that help.
func wantError(t *testing.T, what string, err, kind error, words ...string) {
	t.Helper()
	if !errors.Is(err, kind) {
		t.Errorf("%s: %v, want %v", what, err, kind)
		return
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("%s: %q does not say %q", what, err, w)
		}
	}
}

// A refused region is said to be refused, leaves no memory behind, and its name can be used again.
func TestRefusedRegions(t *testing.T) {
	p := newProfiler(t)
	dir := t.TempDir()
	empty := filepath.Join(dir, "empty")
	if err := os.WriteFile(empty, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	path := newFile(t, 8*pageSize)
	missing := filepath.Join(dir, "missing")
	for _, c := range []struct {
		name  string
		do    func() (*Region, error)
		kind  error
		words []string
	}{
		{"map nothing", func() (*Region, error) { return p.MapFile(missing) }, fs.ErrNotExist, []string{missing}},
		{"attach nothing", func() (*Region, error) { return p.AttachFile(missing) }, fs.ErrNotExist, []string{missing}},
		{"map a directory", func() (*Region, error) { return p.MapFile(dir) }, ErrInvalid, []string{dir, "regular file"}},
		{"attach a device", func() (*Region, error) { return p.AttachFile("/dev/null") }, ErrInvalid, []string{"/dev/null"}},
		{"map an empty file", func() (*Region, error) { return p.MapFile(empty) }, ErrInvalid, []string{empty, "empty"}},
		{"attach an empty file", func() (*Region, error) { return p.AttachFile(empty) }, ErrNotMapped, []string{empty}},
		{"attach before it is mapped", func() (*Region, error) { return p.AttachFile(path) }, ErrNotMapped, []string{path, "map it first"}},
		{"no bytes", func() (*Region, error) { return p.NewArena("a", 0) }, ErrInvalid, []string{`"a"`, "0 bytes"}},
		{"fewer bytes", func() (*Region, error) { return p.NewArena("a", -1) }, ErrInvalid, []string{"-1"}},
		{"no name", func() (*Region, error) { return p.NewArena("", pageSize) }, ErrInvalid, []string{"name"}},
		{"half a page", func() (*Region, error) { return p.NewArena("a", pageSize, WithRegionGranule(pageSize/2)) }, ErrInvalid, []string{"power of two"}},
		{"three pages", func() (*Region, error) { return p.NewArena("a", pageSize, WithRegionGranule(3*pageSize)) }, ErrInvalid, []string{"power of two"}},
		{"map with half a page", func() (*Region, error) { return p.MapFile(path, WithRegionGranule(pageSize/2)) }, ErrInvalid, []string{"power of two"}},
		{"more than there is", func() (*Region, error) { return p.NewArena("a", 1<<60) }, unix.ENOMEM, []string{`"a"`}},
	} {
		r, err := c.do()
		if r != nil {
			t.Errorf("%s: a region", c.name)
		}
		wantError(t, c.name, err, c.kind, c.words...)
	}
	list, err := readMaps()
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range list {
		if m.path == path || m.path == empty {
			t.Errorf("%s is still mapped at %#x", m.path, m.lo)
		}
	}
	a := newArena(t, p, "a", pageSize)
	a.Bytes()[0] = 1
	if s := p.Snapshot(); s.Regions[a.ID()].Faults != 1 || s.Stats.Faults != 1 {
		t.Errorf("%d faults of the region, %d in all", s.Regions[a.ID()].Faults, s.Stats.Faults)
	}
}

// Memory that is a region already is not taken twice, in whatever way it is asked for.
func TestRegisteredTwice(t *testing.T) {
	p := newProfiler(t)
	newArena(t, p, "arena", pageSize)
	_, err := p.NewArena("arena", pageSize)
	wantError(t, "arena", err, ErrRegistered, `"arena"`)

	mapped := newFile(t, 4*pageSize)
	m, err := p.MapFile(mapped)
	if err != nil {
		t.Fatal(err)
	}
	_, err = p.MapFile(mapped)
	wantError(t, "map a mapped file", err, ErrRegistered, mapped)
	_, err = p.AttachFile(mapped)
	wantError(t, "attach to a mapped file", err, ErrRegistered, mapped)

	attached := newFile(t, 4*pageSize)
	b := mapFile(t, attached, 4*pageSize, unix.PROT_READ, unix.MAP_SHARED)
	r := attach(t, p, attached)
	_, err = p.AttachFile(attached, WithName("other"))
	wantError(t, "attach twice", err, ErrRegistered, attached)
	_, err = p.MapFile(attached)
	wantError(t, "map an attached file", err, ErrRegistered, attached)
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(attached, link); err != nil {
		t.Fatal(err)
	}
	_, err = p.AttachFile(link)
	wantError(t, "attach by another name", err, ErrRegistered, attached)

	sink = b[0] + m.Bytes()[0]
	if s := p.Snapshot(); s.Stats.Faults != 2 {
		t.Errorf("%d faults, want 2", s.Stats.Faults)
	}
	// What was closed can be had again.
	for _, again := range []*Region{m, r} {
		if err := again.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if m, err = p.MapFile(mapped); err != nil {
		t.Fatal(err)
	}
	attach(t, p, attached)
	sink = b[0] + m.Bytes()[0]
	if s := p.Snapshot(); s.Stats.Faults != 4 {
		t.Errorf("%d faults, want 4", s.Stats.Faults)
	}
}

// A guard is only asked for the moment in which it runs what it is given: one that does not is an error,
// and one that does it twice, or fails afterwards, changes nothing about what was done.
func TestGuards(t *testing.T) {
	odd := errors.New("odd")
	for _, c := range []struct {
		name  string
		guard Guard
		words []string // of the error, none when the file is attached
	}{
		{"refuses", func(func()) error { return odd }, []string{"odd", "guard"}},
		{"forgets", func(func()) error { return nil }, []string{"guard", "did not run"}},
		{"fails afterwards", func(critical func()) error { critical(); return odd }, nil},
		{"twice", func(critical func()) error { critical(); critical(); return nil }, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := newProfiler(t)
			path := newFile(t, 4*pageSize)
			b := mapFile(t, path, 4*pageSize, unix.PROT_READ, unix.MAP_SHARED)
			r, err := p.AttachFile(path, WithGuard(c.guard))
			if c.words != nil {
				if err == nil {
					t.Fatal("attached")
				}
				for _, w := range c.words {
					if !strings.Contains(err.Error(), w) {
						t.Errorf("%q does not say %q", err, w)
					}
				}
			} else if err != nil {
				t.Fatal(err)
			}
			for i := range 4 {
				wordAt(t, b, i*pageSize)
			}
			want := uint64(0)
			if c.words == nil {
				if err := r.Rearm(); err != nil {
					t.Error(err)
				}
				wordAt(t, b, 0)
				want = 5
			}
			if n := p.Snapshot().Stats.Faults; n != want {
				t.Errorf("%d faults, want %d", n, want)
			}
		})
	}
}
