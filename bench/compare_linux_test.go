//go:build linux && (amd64 || arm64)

package bench

import (
	"os"
	"strings"
	"testing"

	"github.com/firsttouch/firsttouch/internal/uffdtest"
	"golang.org/x/sys/unix"
)

// Every observer watches each kind of memory and pattern once. Ours must have seen each granule once, which
// the child itself checks; the C loop, which sees every thread's message, no fewer; the others, which lose what
// their buffers do not hold, something of some cell.
func TestEveryObserver(t *testing.T) {
	r := startRig(t, 16)
	seen := map[string]int{} // in all cells, by observer
	for _, c := range []cell{
		{memoryArena, "random", 2, 16 * pageSize, 256},
		{memoryCache, "sequential", 1, pageSize, 256},
		{memoryDisk, "strided", 8, pageSize, 256},
	} {
		if r.compared == "" {
			if err := r.makeCompared(256 * 16 * pageSize); err != nil {
				t.Fatal(err)
			}
		}
		for i, v := range observers() {
			t.Run(v.name+"/"+c.String(), func(t *testing.T) {
				if c.Memory == memoryDisk {
					needDisk(t, r.dir)
				}
				if err := r.prepare(c); err != nil {
					t.Fatal(err)
				}
				o, err := v.run(r, c)
				if err != nil {
					t.Fatal(err)
				}
				if o.Skip != "" {
					if strings.HasPrefix(v.name, "firsttouch") {
						uffdtest.Need(t)
						t.Fatalf("not run: %s", o.Skip)
					}
					if os.Getuid() != 0 && strings.Contains(o.Skip, "exit status") { // perf trace says no more
						t.Skipf("only root can run %s: %s", v.name, o.Skip)
					}
					t.Skip(o.Skip)
				}
				switch {
				case !(o.PerPage > 0) || !(o.P99 >= o.Median) || !(o.Median > 0):
					t.Errorf("%+v", o)
				case i == yardstick && o.Seen < c.granules(), i > yardstick && o.Seen == 0:
					t.Errorf("%d faults seen of %d", o.Seen, c.granules())
				}
				if i > 0 { // the first one sees nothing
					seen[v.name] += o.Seen
				}
			})
		}
	}
	for name, n := range seen {
		if n == 0 {
			t.Errorf("%s saw no fault of any cell", name)
		}
	}
}

// needDisk skips where files are in memory and in no other place.
func needDisk(t *testing.T, dir string) {
	t.Helper()
	var fs unix.Statfs_t
	if err := unix.Statfs(dir, &fs); err != nil {
		t.Fatal(err)
	}
	if fs.Type == unix.TMPFS_MAGIC || fs.Type == unix.RAMFS_MAGIC {
		t.Skipf("%s is on tmpfs: set TMPDIR to a directory on a disk", dir)
	}
}

// The parts of the goroutines are disjoint and together all of the memory; each granule has one first touch
// in each part.
func TestCellOrder(t *testing.T) {
	for _, c := range cells(false) {
		seen := map[int]bool{}
		for i := range c.Goroutines {
			pages, first := c.order(i)
			firsts := map[int]int{}
			for k, page := range pages {
				if seen[page] || page*pageSize >= c.load().size() {
					t.Fatalf("%s: page %d", c, page)
				}
				seen[page] = true
				if first[k] {
					firsts[page*pageSize/c.Granule]++
				}
			}
			for g, n := range firsts {
				if n != 1 {
					t.Fatalf("%s: %d first touches of granule %d", c, n, g)
				}
			}
		}
		if len(seen) != c.Pages {
			t.Errorf("%s: %d pages", c, len(seen))
		}
	}
}

// Nothing is lost that is not counted: Scale itself fails otherwise.
func TestLosses(t *testing.T) {
	var out strings.Builder
	if err := losses(&out); err != nil {
		t.Fatal(err)
	}
	if _, reason, skipped := strings.Cut(out.String(), "skipped: "); skipped {
		uffdtest.Need(t)
		t.Fatalf("not run: %s", reason)
	}
}
