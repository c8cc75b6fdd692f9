package demo

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"os"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/firsttouch/firsttouch/internal/demo/index"
	"github.com/firsttouch/firsttouch/internal/uffdtest"
)

// syncBuffer may be written by one goroutine and read by another.
type syncBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

func TestServe(t *testing.T) {
	uffdtest.Need(t)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	out := &syncBuffer{}
	o := small(t)
	o.Serve, o.JSON, o.Stdout = true, false, out
	ended := make(chan error, 1)
	go func() { ended <- Execute(ctx, o) }()
	page := regexp.MustCompile(`http://[0-9.:]+/debug/firsttouch/`)
	for !strings.Contains(out.String(), "Serving until interrupted") {
		select {
		case err := <-ended:
			t.Fatalf("ended before it served: %v\n%s", err, out)
		case <-time.After(10 * time.Millisecond):
		}
	}
	if !strings.HasPrefix(out.String(), "Live page: http://") {
		t.Errorf("the address of the live page does not come first:\n%s", out)
	}
	url := page.FindString(out.String())
	base := strings.TrimSuffix(url, "/debug/firsttouch/")
	for _, u := range []string{url, url + "snapshot", url + "profile", base + "/prefix/na"} {
		resp, err := http.Get(u)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			t.Errorf("%s: %s", u, resp.Status)
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("an interrupt is how serving ends: %v", err)
	}
	if _, err := http.Get(base + "/prefix/na"); err == nil {
		t.Error("the service outlived the demo")
	}
}

func TestInterrupt(t *testing.T) {
	uffdtest.Need(t)
	for _, stage := range []string{"the index", "cold requests, without", "warm requests, with "} {
		t.Run(stage, func(t *testing.T) {
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			o := small(t)
			o.Step = func(now string) {
				if strings.Contains(now, stage) {
					cancel()
				}
			}
			if err := Execute(ctx, o); !errors.Is(err, context.Canceled) {
				t.Errorf("got %v, want context.Canceled", err)
			}
		})
	}
}

// A service that dies is reported with how it died, and the database stays as it was.
func TestServiceIsKilled(t *testing.T) {
	uffdtest.Need(t)
	o := small(t)
	tree, err := index.ListTree(o.Source)
	if err != nil {
		t.Fatal(err)
	}
	d := &demo{Options: o, out: t.TempDir(), paths: []string{"/prefix/n"}}
	if d.database, _, err = index.Ensure(t.Context(), tree, o.Cache, nil); err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile(d.database)
	if err != nil {
		t.Fatal(err)
	}
	_, service, _, err := d.runService(t.Context(), true)
	if err != nil {
		t.Fatal(err)
	}
	if err := service.cmd.Process.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	err = service.call(t.Context(), "Finish", &struct{}{}, &FinishReply{})
	if err == nil || !strings.Contains(err.Error(), "killed") {
		t.Errorf("got %v, want that it was killed", err)
	}
	after, err := os.ReadFile(d.database)
	if err != nil || !bytes.Equal(before, after) {
		t.Errorf("the database changed (%v)", err)
	}
}

func TestProgramThatIsNoService(t *testing.T) {
	for _, program := range []string{"/bin/true", "/bin/false", "/absent"} {
		o := small(t)
		o.Service = []string{program}
		if err := Execute(context.Background(), o); err == nil || !strings.Contains(err.Error(), "service") {
			t.Errorf("%s: got %v", program, err)
		}
	}
}

func TestAddressInUse(t *testing.T) {
	uffdtest.Need(t)
	o := small(t)
	o.Listen = "127.0.0.1:99999"
	err := Execute(context.Background(), o)
	if err == nil || !strings.Contains(err.Error(), "-listen") {
		t.Errorf("got %v, want advice to use -listen", err)
	}
}

func TestProgressIsReported(t *testing.T) {
	uffdtest.Need(t)
	o := small(t)
	var mu sync.Mutex
	step, last := "", map[string]bool{} // by step and stage: whether it came to its end
	o.Step = func(what string) {
		mu.Lock()
		defer mu.Unlock()
		step = what
	}
	o.Progress = func(stage string, done, total int64) {
		mu.Lock()
		defer mu.Unlock()
		kind, _, _ := strings.Cut(stage, " /")
		if done == total {
			last[step+", "+kind] = true
		}
	}
	called := 0
	o.BeforeOutput = func() { called++ }
	run(t, o)
	for _, stage := range []string{
		"step 1 of 6: the index of Go's source (about 20 s the first time), reading",
		"step 1 of 6: the index of Go's source (about 20 s the first time), writing the index",
		"step 2 of 6: cold requests, without the profiler (a few seconds), requests",
		"step 3 of 6: warm requests, without the profiler (a few seconds), requests",
		"step 4 of 6: cold requests, with the profiler (a few seconds), requests",
		"step 5 of 6: warm requests, with the profiler (a few seconds), requests"} {
		if !last[stage] {
			t.Errorf("%q did not come to its end: %v", stage, last)
		}
	}
	if called != 1 {
		t.Errorf("BeforeOutput was called %d times", called)
	}
}
