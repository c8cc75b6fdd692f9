package touchorder

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/firsttouch/firsttouch/internal/pagecache"
	"github.com/firsttouch/firsttouch/internal/slowfs"
	"github.com/firsttouch/firsttouch/internal/testproc"
	"golang.org/x/sys/unix"
)

// dataFile makes a file of so many pages that is on the storage and not in the page cache, where that can be had.
func dataFile(t *testing.T, dir string, pages int) string {
	t.Helper()
	path := filepath.Join(dir, "data.db")
	b := make([]byte, pages*os.Getpagesize())
	src := rand.NewChaCha8([32]byte{1})
	src.Read(b)
	if err := os.WriteFile(path, b, 0o644); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := errors.Join(f.Sync(), unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED)); err != nil {
		t.Fatal(err)
	}
	return path
}

// everyThird is an order of every third page of a file, last ones first.
func everyThird(path string, pages int) *Order {
	page := int64(os.Getpagesize())
	f := File{Path: path}
	for i := int64(pages) - 1; i >= 0; i -= 3 {
		f.Ranges = append(f.Ranges, Range{i * page, page, time.Duration(pages) - time.Duration(i), 1000})
	}
	o := &Order{Files: []File{f}}
	if failed := o.Identify(); len(failed) > 0 {
		panic(failed)
	}
	return o
}

func TestRangesAreInThePageCache(t *testing.T) {
	const pages = 500
	path := dataFile(t, t.TempDir(), pages)
	o := everyThird(path, pages)
	last := int64(0)
	r, err := o.Run(context.Background(), Options{Yield: true, Progress: func(done, total int64) {
		if done < last || total != o.Bytes() {
			t.Errorf("%d of %d bytes after %d", done, total, last)
		}
		last = done
	}})
	if err != nil || r.Done != o.Bytes() || r.Wanted != o.Bytes() || r.Skipped() != 0 || last != o.Bytes() || r.Stopped != "" {
		t.Errorf("%+v, %v, %d reported; want %d bytes", r, err, last, o.Bytes())
	}
	there, err := pagecache.File(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range o.Files[0].Ranges {
		if there[x.Offset/int64(os.Getpagesize())]&1 == 0 {
			t.Errorf("the page at %d was read and is not in the page cache", x.Offset)
		}
	}
}

// TestChangedFiles: a copy, and a file that changed in a few places, are read; one that was written anew is not.
func TestChangedFiles(t *testing.T) {
	const pages = 400
	page := int64(os.Getpagesize())
	change := func(t *testing.T, path string, n int) {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for i := range n {
			b[int64(i)*page*int64(pages/n)+page*int64((pages-1)%3)] ^= 1
		}
		if err := os.WriteFile(path, b, 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, time.Time{}, time.Unix(1e9, 0)); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		name string
		do   func(t *testing.T, path string)
		all  bool
		why  string
	}{
		{"not", func(*testing.T, string) {}, true, ""},
		{"its time alone", func(t *testing.T, path string) { change(t, path, 1) }, true, "changed in places"},
		{"all of it", func(t *testing.T, path string) {
			if err := os.WriteFile(path, make([]byte, pages*int(page)), 0o644); err != nil {
				t.Fatal(err)
			}
		}, false, "it has changed since the order was written: of 32 pieces looked at 0 are the same"},
		{"it is gone", func(t *testing.T, path string) {
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
		}, false, "no such file"},
		{"a copy in its place", func(t *testing.T, path string) {
			b, err := os.ReadFile(path)
			if err = errors.Join(err, os.WriteFile(path+"2", b, 0o600), os.Rename(path+"2", path)); err != nil {
				t.Fatal(err)
			}
		}, true, ""},
		{"it is half as long", func(t *testing.T, path string) {
			if err := os.Truncate(path, pages/2*page); err != nil {
				t.Fatal(err)
			}
		}, false, "are the same"},
		{"its end is cut off", func(t *testing.T, path string) {
			if err := os.Truncate(path, (pages-1)*page); err != nil {
				t.Fatal(err)
			}
		}, false, "it ends before"},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := dataFile(t, t.TempDir(), pages)
			o := everyThird(path, pages)
			c.do(t, path)
			r, err := o.Run(context.Background(), Options{})
			if err != nil || (r.Done == o.Bytes()) != c.all || r.Done+r.Skipped() != o.Bytes() {
				t.Errorf("%+v, %v; all of %d: %v", r, err, o.Bytes(), c.all)
			}
			if c.why == "" && len(r.Files) != 0 || c.why != "" && (len(r.Files) != 1 || !strings.Contains(r.Files[0].Why, c.why)) {
				t.Errorf("%+v, want %q", r.Files, c.why)
			}
		})
	}
}

// TestNothingElseIsRead: what is no regular file, or lies outside of the directories that were asked for, is not even opened.
func TestNothingElseIsRead(t *testing.T) {
	dir := t.TempDir()
	in, out := filepath.Join(dir, "in"), filepath.Join(dir, "out")
	for _, d := range []string{in, out, filepath.Join(in, "sub")} {
		if err := os.Mkdir(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	good, other := dataFile(t, filepath.Join(in, "sub"), 4), dataFile(t, out, 4)
	pipe, link, inner := filepath.Join(in, "pipe"), filepath.Join(in, "link"), filepath.Join(in, "inner")
	beside := dir + "/in2"
	if err := errors.Join(unix.Mkfifo(pipe, 0o600), os.Symlink(other, link), os.Symlink("sub/data.db", inner), os.Mkdir(beside, 0o755)); err != nil {
		t.Fatal(err)
	}
	// Nobody may open the other end: a pipe that is opened for writing without a reader fails.
	for _, c := range []struct {
		path  string
		under []string
		why   string // empty: it is read
	}{
		{good, []string{in}, ""},
		{good, []string{"/"}, ""},
		{good, []string{out, in}, ""},
		{inner, []string{in}, ""},
		{link, nil, ""},
		{link, []string{in}, "leads out of"},
		{other, []string{in}, "none of the directories"},
		{dataFile(t, beside, 4), []string{in}, "none of the directories"},
		{pipe, nil, "no regular file"},
		{pipe, []string{in}, "no regular file"},
		{in, nil, "no regular file"},
		{"/dev/zero", nil, "no regular file"},
		{"/dev/zero", []string{"/dev"}, "no regular file"},
		{good, []string{filepath.Join(dir, "missing"), dir + "/in/missing"}, "none of the directories"},
		{good + "x", []string{in}, "no such file"},
		{good + "/x", []string{in}, "not a directory"},
	} {
		o := &Order{Files: []File{{Path: c.path, Ranges: []Range{{0, 4096, 0, 0}}}}}
		r, err := o.Run(context.Background(), Options{Under: slices.Clone(c.under)})
		if err != nil || (r.Done == 4096) != (c.why == "") || len(r.Files) != 1 || !strings.Contains(r.Files[0].Why, c.why) {
			t.Errorf("%s under %q: %+v, %v; want %q", c.path, c.under, r, err, c.why)
		}
	}
}

func TestOptionsAreChecked(t *testing.T) {
	for _, o := range []Options{{Memory: -1}, {Memory: 1.5}, {Bandwidth: -1}, {Under: []string{""}}} {
		if _, err := some().Run(context.Background(), o); !errors.Is(err, ErrOption) {
			t.Errorf("%+v: %v", o, err)
		}
	}
}

// TestBounds: of the memory only a share is filled, the bandwidth is kept, and an end of ctx is heeded.
func TestBounds(t *testing.T) {
	const pages = 300
	path := dataFile(t, t.TempDir(), pages)
	o := everyThird(path, pages)
	r, err := o.Run(context.Background(), Options{Memory: 1e-12})
	if err != nil || r.Done != 0 || r.Skipped() != o.Bytes() || !strings.Contains(r.Stopped, "of the memory that was free") {
		t.Errorf("with no memory: %+v, %v", r, err)
	}
	bandwidth := o.Bytes() * 10
	r, err = o.Run(context.Background(), Options{Bandwidth: bandwidth})
	if err != nil || r.Done != o.Bytes() || r.Took < 90*time.Millisecond || r.Paused == 0 {
		t.Errorf("with %d bytes a second: %+v, %v", bandwidth, r, err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	r, err = o.Run(ctx, Options{Bandwidth: o.Bytes() / 100, Progress: func(done, _ int64) {
		if done > 0 {
			cancel()
		}
	}})
	if !errors.Is(err, context.Canceled) || r.Done == 0 || r.Done == o.Bytes() || r.Done+r.Skipped() != o.Bytes() || r.Stopped == "" {
		t.Errorf("interrupted: %+v, %v", r, err)
	}
}

// TestRecordLocksStay: SQLite and LMDB have record locks on their files, which any close of a descriptor in the table of the process drops.
func TestRecordLocksStay(t *testing.T) {
	path := dataFile(t, t.TempDir(), 8)
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := unix.FcntlFlock(f.Fd(), unix.F_SETLK, &unix.Flock_t{Type: unix.F_WRLCK}); err != nil {
		t.Fatal(err)
	}
	o := &Order{Files: []File{{Path: path, Ranges: []Range{{0, 8192, 0, 0}}}}}
	if failed := o.Identify(); len(failed) > 0 || len(o.Files[0].Samples) == 0 {
		t.Fatal(failed)
	}
	if r, err := o.Run(context.Background(), Options{}); err != nil || r.Done != 8192 {
		t.Fatalf("%+v, %v", r, err)
	}
	g, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	held := unix.Flock_t{Type: unix.F_WRLCK}
	if err := unix.FcntlFlock(g.Fd(), unix.F_OFD_GETLK, &held); err != nil {
		t.Fatal(err)
	}
	if held.Type != unix.F_WRLCK {
		t.Error("the process's lock on the file is gone")
	}
}

// TestConnectionsAreNotHeld: what the service closes while its files are read ahead is closed.
func TestConnectionsAreNotHeld(t *testing.T) {
	const pages = 300
	o := everyThird(dataFile(t, t.TempDir(), pages), pages)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	here, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	there, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer there.Close()
	before := descriptors(t)
	var once sync.Once
	r, err := o.Run(context.Background(), Options{Bandwidth: o.Bytes() * 3, Progress: func(int64, int64) {
		once.Do(func() {
			if err := here.Close(); err != nil {
				t.Error(err)
			}
			there.SetReadDeadline(time.Now().Add(20 * time.Second))
			if _, err := there.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
				t.Errorf("the other end was told %v, want that it was closed", err)
			}
		})
	}})
	if err != nil || r.Done != o.Bytes() {
		t.Errorf("%+v, %v", r, err)
	}
	if now := descriptors(t); now != before-1 {
		t.Errorf("%d descriptors are open, and %d were; one was closed", now, before)
	}
}

func descriptors(t *testing.T) int {
	t.Helper()
	names, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(names)
}

const inChild = "FIRSTTOUCH_TEST_TOUCHORDER_CHILD"

// TestSchedulerOnItsThread: the garbage collector may begin on the thread that reads, and then polls there for connections.
func TestSchedulerOnItsThread(t *testing.T) {
	testproc.Run(t, "TestSchedulerOnItsThreadInChild", []string{inChild + "=1"}, 30*time.Second)
}

func TestSchedulerOnItsThreadInChild(t *testing.T) {
	if os.Getenv(inChild) == "" {
		t.Skip("runs in a child")
	}
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for range 4 {
		a, b := net.Pipe()
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		a.Close()
		b.Close()
		wg.Go(func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				io.Copy(c, c)
				c.Close()
			}
		})
		wg.Go(func() {
			defer l.Close()
			for {
				select {
				case <-stop:
					return
				default:
				}
				c, err := net.Dial("tcp", l.Addr().String())
				if err != nil {
					t.Error(err)
					return
				}
				c.Write([]byte("hello"))
				if _, err := io.ReadFull(c, make([]byte, 5)); err != nil {
					t.Error(err)
				}
				c.Close()
			}
		})
	}
	for range 20 {
		apart(func(refused error) {
			if refused != nil {
				t.Error(refused)
				return
			}
			for range testproc.Times(10, 200) {
				runtime.GC()
			}
		})
	}
	close(stop)
	wg.Wait()
}

// TestStorageThatDoesNotAnswer: who waits for it is let go.
func TestStorageThatDoesNotAnswer(t *testing.T) {
	path := slowfs.Serve(t, slowfs.File{Contents: make([]byte, 1<<20), Delay: 2 * time.Second})
	o := &Order{Files: []File{{Path: path, Ranges: []Range{{0, 1 << 20, 0, 0}}}}}
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	r, err := o.Run(ctx, Options{})
	if !errors.Is(err, context.DeadlineExceeded) || r.Done == o.Bytes() {
		t.Errorf("%+v, %v", r, err)
	}
}

// TestControlGroups: the working set counts, and not files that were not used again.
func TestControlGroups(t *testing.T) {
	free, err := freeMemory()
	if err != nil || free <= 0 {
		t.Errorf("%d bytes are free: %v", free, err)
	}
	if n := field("a 1\ninactive_file 4096\n", "inactive_file "); n != 4096 {
		t.Errorf("inactive_file is %d", n)
	}
}
