package page

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// budget bounds a test: a browser that hangs is to fail it.
const budget = 2 * time.Minute

// open starts a browser at a URL and waits until the page shows a recording.
func open(t *testing.T, url string) context.Context {
	t.Helper()
	ctx := browse(t, url)
	until(t, ctx, shown)
	return ctx
}

// browse starts a browser at a URL. Whatever the console reports as an error fails the test.
func browse(t *testing.T, url string) context.Context {
	t.Helper()
	path := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome", "headless-shell"} {
		if p, err := exec.LookPath(name); err == nil {
			path = p
			break
		}
	}
	if path == "" {
		t.Skip("no browser here: apt-get install chromium")
	}
	alloc, cancel := chromedp.NewExecAllocator(context.Background(), append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.WindowSize(1360, 1500), chromedp.WSURLReadTimeout(budget))...)
	t.Cleanup(cancel)
	ctx, cancel := chromedp.NewContext(alloc)
	t.Cleanup(cancel)
	run(t, ctx, chromedp.Navigate("about:blank"))
	if err := chromedp.Listen(ctx, func(ev any) { report(t, ev) }); err != nil {
		t.Fatal(err)
	}
	run(t, ctx, chromedp.Navigate(url))
	return ctx
}

// shown holds when the page has read and drawn a recording.
const shown = "globalThis.firsttouch?.timing !== undefined"

// report fails the test for what the browser reports as wrong.
func report(t *testing.T, ev any) {
	switch e := ev.(type) {
	case *runtime.EventExceptionThrown:
		t.Errorf("exception: %+v", e.ExceptionDetails)
	case *runtime.EventConsoleAPICalled:
		if e.Type == "error" || e.Type == "warning" {
			t.Errorf("console: %+v", e)
		}
	case *log.EventEntryAdded:
		if e.Entry.Level == "error" {
			t.Errorf("log: %s %s", e.Entry.Text, e.Entry.URL)
		}
	}
}

// run does one thing after the other, each in bounded time.
func run(t *testing.T, ctx context.Context, actions ...chromedp.Action[chromedp.Void]) {
	t.Helper()
	for i, a := range actions {
		if err := bounded(ctx, a); err != nil {
			t.Fatalf("action %d of %d: %v", i+1, len(actions), err)
		}
	}
}

func bounded(ctx context.Context, a chromedp.Action[chromedp.Void]) error {
	// The first action starts the browser, which lives as long as its context.
	if chromedp.FromContext(ctx).Target == nil {
		return chromedp.Do(ctx, a)
	}
	ctx, cancel := context.WithTimeout(ctx, budget)
	defer cancel()
	return chromedp.Do(ctx, a)
}

// until waits for an expression to hold. While a page is being left it cannot be asked.
func until(t *testing.T, ctx context.Context, expression string) {
	t.Helper()
	for deadline := time.Now().Add(budget); ; time.Sleep(20 * time.Millisecond) {
		ok, err := chromedp.Run(ctx, chromedp.Evaluate[bool]("!!("+expression+")"))
		if ok {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within %v: %v", expression, budget, err)
		}
	}
}

// eval is the value of an expression in the page.
func eval[T any](t *testing.T, ctx context.Context, expression string) (v T) {
	t.Helper()
	v, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression))
	if err != nil {
		t.Fatalf("%.100s: %v", expression, err)
	}
	return v
}

// command is the firsttouch of this tree.
var command = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "firsttouch-page-*")
	if err != nil {
		return "", err
	}
	built := filepath.Join(dir, "firsttouch")
	c := exec.Command("go", "build", "-o", built, "./cmd/firsttouch")
	c.Dir = filepath.Join("..", "..")
	if out, err := c.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	return built, nil
})

// demo is the recording of a run of the demo, made once.
var demo = sync.OnceValues(func() (string, error) {
	exe, err := command()
	if err != nil {
		return "", err
	}
	out := filepath.Join(filepath.Dir(exe), "demo")
	var diag bytes.Buffer
	c := exec.Command(exe, "demo", "-requests", "300", "-out", out)
	c.Stderr = &diag
	if err := c.Run(); err != nil {
		return "", fmt.Errorf("%w: %s", err, &diag)
	}
	return filepath.Join(out, "recording.ftr"), nil
})

func demoRecording(t *testing.T) string {
	t.Helper()
	path, err := demo()
	if e, ok := errors.AsType[*exec.ExitError](err); ok && e.ExitCode() == 3 {
		t.Skip("the kernel does not allow the demo to be profiled: ", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// serve runs firsttouch serve and returns the address of the page.
func serve(t *testing.T, recording string) string {
	t.Helper()
	exe, err := command()
	if err != nil {
		t.Fatal(err)
	}
	c := exec.Command(exe, "serve", "-trace-url", "http://traces.example/trace/{trace}", recording)
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Process.Signal(os.Interrupt); err != nil {
			t.Error(err)
		}
		if err := c.Wait(); err != nil {
			t.Errorf("serve ended with %v, want 0 after an interrupt", err)
		}
	})
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if url := strings.TrimSpace(lines.Text()); strings.HasPrefix(url, "http://") {
			return url
		}
	}
	t.Fatal("serve named no address")
	return ""
}

func TestMain(m *testing.M) {
	status := m.Run()
	if exe, err := command(); err == nil {
		_ = os.RemoveAll(filepath.Dir(exe)) // of the temporary directory, which may stay
	}
	os.Exit(status)
}
