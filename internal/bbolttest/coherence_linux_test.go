package bbolttest

import (
	"bytes"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/firsttouch/firsttouch/profiler"
	"golang.org/x/sys/unix"
)

// Several mappings of one file, of different parts and with different rights, stay windows on the
// same contents: what is written through one of them or with write(2) is seen in all, and in the file.
func TestMappingsStayCoherent(t *testing.T) {
	for _, granule := range []int{page, 64 << 10} {
		t.Run(fmt.Sprintf("granule=%dK", granule>>10), func(t *testing.T) {
			if inChild(t, nil) {
				coherence(t, granule)
			}
		})
	}
}

func coherence(t *testing.T, granule int) {
	const pages = 128
	f := newFile(t, pages)
	p := start(t, profiler.WithGranule(granule), profiler.WithRescan(time.Millisecond))
	views := []struct {
		b     []byte
		first int
		write bool
	}{
		{mapFile(t, f, 0, pages, unix.PROT_READ), 0, false},
		{mapFile(t, f, 0, pages, unix.PROT_READ|unix.PROT_WRITE), 0, true},
		{mapFile(t, f, 37, 50, unix.PROT_READ), 37, false},
		{mapFile(t, f, 64, 64, unix.PROT_READ|unix.PROT_WRITE), 64, true},
		{mapFile(t, f, 127, 1, unix.PROT_READ), 127, false},
	}
	before := fileVMAs(t, f.Name())
	r := attach(t, p, f.Name())
	for _, v := range views {
		if !observed(t, p, r, v.b) {
			t.Errorf("the mapping of pages %d.. is not observed", v.first)
		}
	}
	want := make([][]byte, pages)
	for i := range want {
		want[i] = pattern(i)
	}
	check := func(when string) {
		t.Helper()
		inFile := make([]byte, page)
		for i := range want {
			for n, v := range views {
				if i < v.first || i >= v.first+len(v.b)/page {
					continue
				}
				if at := v.b[(i-v.first)*page:]; !bytes.Equal(at[:page], want[i]) {
					t.Fatalf("%s: page %d in mapping %d is wrong", when, i, n)
				}
			}
			if _, err := f.ReadAt(inFile, int64(i*page)); err != nil || !bytes.Equal(inFile, want[i]) {
				t.Fatalf("%s: page %d is wrong in the file (%v)", when, i, err)
			}
		}
	}
	round := 0
	change := func(when string) {
		t.Helper()
		round++
		for n, v := range views {
			for i := round + n; v.write && i < len(v.b)/page; i += 9 {
				at := v.b[i*page+8*n:]
				copy(at, "through a mapping")
				copy(want[v.first+i][8*n:], "through a mapping")
			}
		}
		for i := round; i < pages; i += 11 {
			text := []byte("with write(2)")
			if _, err := f.WriteAt(text, int64(i*page+1000+round)); err != nil {
				t.Fatal(err)
			}
			copy(want[i][1000+round:], text)
		}
		check(when)
	}
	change("armed")
	rearm(t, r)
	change("second window")
	rearm(t, r)
	rearm(t, r)
	look(t, p, r, f)
	change("after two empty windows")
	rearm(t, r)
	detach(t, r)
	change("detached")
	checkPlain(t, f.Name(), before...)
}

// A file of the process that is opened and closed elsewhere, and one that loses its last
// descriptor, stay mapped and profiled.
func TestDescriptorsComeAndGo(t *testing.T) {
	if !inChild(t, nil) {
		return
	}
	f := newFile(t, 64)
	b := mapFile(t, f, 0, 64, unix.PROT_READ)
	p := start(t)
	r := attach(t, p, f.Name())
	for i := range 16 {
		other, err := os.OpenFile(f.Name(), os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		touch(b[i*page:(i+1)*page], 1)
		if err := other.Close(); err != nil {
			t.Fatal(err)
		}
	}
	f.Close()
	checkPages(t, "without a descriptor", b, 0)
	if s := region(t, p, r); s.Faults != 64 {
		t.Errorf("%d faults, want 64", s.Faults)
	}
	rearm(t, r)
	checkPages(t, "without a descriptor, second window", b, 0)
	detach(t, r)
	checkPages(t, "after detaching", b, 0)
}
