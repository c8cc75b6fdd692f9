//go:build linux && (amd64 || arm64)

package profiler

import (
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/firsttouch/firsttouch/uffd"
	"golang.org/x/sys/unix"
)

// core is what a service does with the profiler: every kind of memory, touched by several goroutines, armed again,
// observed in windows and given back. It goes on after an error, which it keeps.
type core struct {
	regions []*armed
	errs    []error
}

func (c *core) try(err error) bool {
	if err != nil {
		c.errs = append(c.errs, err)
	}
	return err == nil
}

func (c *core) calm(f func() error) bool { return c.try(patiently(f)) }

const corePages = 64

// attach makes the regions.
func (c *core) attach(t *testing.T, p *Profiler) {
	t.Helper()
	size := corePages * pageSize
	region := func(memory, want []byte, make func() (*Region, error)) {
		a := &armed{memory: memory, want: want}
		if c.calm(func() (err error) { a.region, err = make(); return err }) {
			if a.memory == nil {
				a.memory = a.region.Bytes()
			}
			c.regions = append(c.regions, a)
		}
	}
	region(nil, make([]byte, size), func() (*Region, error) { return p.NewArena("arena", size) })
	path := newFile(t, size)
	region(mapFile(t, path, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED), contents(size), func() (*Region, error) {
		return p.AttachFile(path)
	})
	mapped := newFile(t, size)
	region(nil, contents(size), func() (*Region, error) { return p.MapFile(mapped) })
	if p.config.delivery == DeliverySignal {
		return
	}
	fd := newMemfd(t, size, 0)
	shared := mapKind(t, fd, size, unix.MAP_SHARED)
	copy(shared, contents(size))
	region(shared, contents(size), func() (*Region, error) { return p.AttachFile(fmt.Sprintf("/proc/self/fd/%d", fd)) })
	if p.Snapshot().Stats.UserModeOnly {
		t.Log("left out: private memory, which is not attached where system calls cannot be served")
		return
	}
	if err := uffd.HaveFeatures(uffd.FeatureMove); err != nil {
		t.Logf("left out: private memory: %v", err)
	} else {
		private := mapMemory(t, corePages)
		region(private, contents(size), func() (*Region, error) { return p.AttachMemory("private", private) })
	}
	if err := uffd.HaveFeatures(uffd.FeatureWPUnpopulated | uffd.FeatureWPHugetlbfsShmem); err != nil {
		t.Logf("left out: writes alone: %v", err)
	} else {
		writes := mapMemory(t, corePages)
		region(writes, contents(size), func() (*Region, error) { return p.AttachMemory("writes", writes, WithWritesOnly()) })
	}
}

// touch has four goroutines read a region, and write to it where it can be written.
func (c *core) touch(t *testing.T, a *armed) {
	t.Helper()
	if a.region.kind == KindMappedFile {
		a.spread(t, 4, hangMixedOf(hangLoad, hangCompare))
		return
	}
	a.spread(t, 4, hangMixedOf(hangLoad, hangCompare, hangClear))
}

// use touches the regions and arms them again.
func (c *core) use(t *testing.T, p *Profiler) {
	t.Helper()
	for range 2 {
		for _, a := range c.regions {
			c.touch(t, a)
			c.calm(a.region.Rearm)
		}
	}
	var list []*Region
	for _, a := range c.regions {
		list = append(list, a.region)
	}
	w := p.NewWindows(list...)
	for _, a := range c.regions {
		c.touch(t, a)
	}
	views, err := w.Next()
	c.try(err)
	for _, v := range views {
		c.try(v.Err)
	}
	p.Resident()
	_, err = p.Mappings()
	c.try(err)
}

func (c *core) checkContents(t *testing.T, when string) {
	t.Helper()
	for _, a := range c.regions {
		if i := different(a.memory, a.want); i >= 0 {
			t.Errorf("%s: %s: byte %d is %d, want %d", when, a.region.Name(), i, a.memory[i], a.want[i])
		}
	}
}

// TestCoreForStrace is the part of TestCallsAreListed that strace sees.
func TestCoreForStrace(t *testing.T) {
	if os.Getenv("FIRSTTOUCH_TEST_CORE") == "" {
		t.Skip("runs as a child of TestCallsAreListed")
	}
	p := newProfiler(t)
	var c core
	start := time.Now()
	c.attach(t, p)
	c.use(t, p)
	c.checkContents(t, "armed")
	s := p.Snapshot()
	c.calm(p.Close)
	t.Logf("%v: %v %+v %q", time.Since(start), c.errs, s.Stats, s.Stats.Notes)
}
