package bbolttest

import (
	"bytes"
	"errors"
	"os"
	"testing"
	"time"

	"github.com/firsttouch/firsttouch/profiler"
	"golang.org/x/sys/unix"
)

// A file without a name is still mapped, still profiled, and found when it is mapped again.
func TestUnlinkedFile(t *testing.T) {
	if !inChild(t, nil) {
		return
	}
	const pages = 64
	f := newFile(t, pages)
	b := mapFile(t, f, 0, pages, unix.PROT_READ)
	p := start(t, profiler.WithRescan(time.Millisecond))
	r := attach(t, p, f.Name())
	touch(b, 5)
	if err := os.Remove(f.Name()); err != nil {
		t.Fatal(err)
	}
	checkPages(t, "without a name", b, 0)
	more := mapFile(t, f, 0, pages, unix.PROT_READ|unix.PROT_WRITE)
	eventually(t, "a new mapping of the unlinked file is observed", func() bool { return observed(t, p, r, more) })
	more[10*page] = 99
	if b[10*page] != 99 {
		t.Error("the mappings are not coherent")
	}
	more[10*page] = pattern(10)[0]
	look(t, p, r, f)
	rearm(t, r)
	checkPages(t, "second window", b, 0)
	if s := region(t, p, r); s.Faults != 2*pages+1 || s.Size != int64(pages*page) {
		t.Errorf("%d faults in a region of %d bytes, want %d and %d", s.Faults, s.Size, 2*pages+1, pages*page)
	}
	detach(t, r)
	checkPages(t, "after detaching", b, 0)
	checkPages(t, "after detaching", more, 0)
	if _, err := p.AttachFile(f.Name()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("attaching to a name that is gone: %v", err)
	}
}

// A file that another one takes the name of: the old one's mappings stay what they are, the new one's
// are another region's.
func TestFileIsReplaced(t *testing.T) {
	if !inChild(t, nil) {
		return
	}
	const pages = 32
	f, g := newFile(t, pages), newFile(t, 0)
	text := bytes.Repeat([]byte("new file"), pages*page/8)
	if _, err := g.Write(text); err != nil {
		t.Fatal(err)
	}
	old := mapFile(t, f, 0, pages, unix.PROT_READ)
	p := start(t, profiler.WithRescan(time.Millisecond))
	r := attach(t, p, f.Name())
	touch(old, 3)
	if err := os.Rename(g.Name(), f.Name()); err != nil {
		t.Fatal(err)
	}
	fresh := mapFile(t, g, 0, pages, unix.PROT_READ)
	look(t, p, r, f)
	if observed(t, p, r, fresh) {
		t.Error("the new file's mapping is taken for the old one's")
	}
	checkPages(t, "the old file", old, 0)
	second := attach(t, p, f.Name(), profiler.WithName("new"))
	look(t, p, second, g)
	if !observed(t, p, second, fresh) || observed(t, p, second, old) || observed(t, p, r, fresh) {
		t.Error("the regions are mixed up")
	}
	for _, window := range []*profiler.Region{r, second} {
		rearm(t, window)
		checkPages(t, "the old file", old, 0)
		if !bytes.Equal(fresh, text) {
			t.Error("the new file's contents are wrong")
		}
	}
	if s := region(t, p, second); s.Faults < pages || s.Faults > 3*pages {
		t.Errorf("%d faults of the new file's %d pages", s.Faults, pages)
	}
	detach(t, r)
	rearm(t, second)
	checkPages(t, "the old file, detached", old, 0)
	if !bytes.Equal(fresh, text) {
		t.Error("the new file's contents are wrong")
	}
	detach(t, second)
	if !bytes.Equal(fresh, text) {
		t.Error("the new file's contents are wrong after detaching")
	}
}
