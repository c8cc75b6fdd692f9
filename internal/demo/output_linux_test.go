package demo

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/firsttouch/firsttouch/internal/uffdtest"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"golang.org/x/sys/unix"
)

// smallDisk mounts a file system with room for size bytes.
func smallDisk(t *testing.T, size string) string {
	t.Helper()
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size="+size); errors.Is(err, unix.EPERM) {
		t.Skipf("only root can mount a small disk: %v", err)
	} else if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	return dir
}

func names(t *testing.T, dir string) (list []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		list = append(list, e.Name())
	}
	return list
}

func TestPrepareOut(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{fileProfile, "other"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := prepareOut(dir); err != nil {
		t.Fatal(err)
	}
	if got := names(t, dir); len(got) != 1 || got[0] != "other" {
		t.Errorf("left %v, want what is not the demo's", got)
	}
	file := filepath.Join(dir, "other")
	for _, bad := range []string{file, filepath.Join(file, "below"), "/proc/firsttouch-demo", strings.Repeat("x", 300)} {
		if err := prepareOut(bad); err == nil || !strings.Contains(err.Error(), "-out") {
			t.Errorf("%.20s: got %v, want advice to use -out", bad, err)
		}
	}
}

func TestWriteFileIsWholeOrNotThere(t *testing.T) {
	dir := t.TempDir()
	broken := errors.New("broken")
	err := writeFile(dir, "file", func(w io.Writer) error {
		_, _ = io.WriteString(w, "half")
		return broken
	})
	if !errors.Is(err, broken) || len(names(t, dir)) != 0 {
		t.Errorf("got %v and left %v", err, names(t, dir))
	}
	if err := writeFile(dir, "file", func(w io.Writer) error { _, err := io.WriteString(w, "whole"); return err }); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(dir, "file"))
	if err != nil || string(text) != "whole" {
		t.Errorf("read %q, %v", text, err)
	}
}

func TestFullDisk(t *testing.T) {
	dir := smallDisk(t, "32k")
	if err := prepareOut(dir); !errors.Is(err, unix.ENOSPC) {
		t.Errorf("before the work: got %v, want ENOSPC", err)
	}
	err := writeFile(dir, "file", func(w io.Writer) error { _, err := w.Write(make([]byte, 100<<10)); return err })
	if !errors.Is(err, unix.ENOSPC) || !strings.Contains(err.Error(), "-out") {
		t.Errorf("got %v, want ENOSPC and advice to use -out", err)
	}
	if got := names(t, dir); len(got) != 0 {
		t.Errorf("left %v", got)
	}
}

// A disk that fills up while the service runs: the demo fails and says why.
func TestDemoOnAFullDisk(t *testing.T) {
	uffdtest.Need(t)
	o := small(t)
	o.Out = smallDisk(t, "72k") // enough to begin with
	err := Execute(context.Background(), o)
	if err == nil || !strings.Contains(err.Error(), unix.ENOSPC.Error()) || !strings.Contains(err.Error(), "-out") {
		t.Errorf("got %v, want ENOSPC and advice to use -out", err)
	}
}

func upload(t *testing.T, f *traceFile, name string) error {
	t.Helper()
	return f.UploadTraces(t.Context(), []*tracepb.ResourceSpans{{ScopeSpans: []*tracepb.ScopeSpans{{
		Spans: []*tracepb.Span{{Name: name, TraceId: make([]byte, 16), SpanId: make([]byte, 8)}},
	}}}})
}

func TestTraceFileEndsWithAWholeLine(t *testing.T) {
	path := filepath.Join(smallDisk(t, "16k"), fileTraces)
	f, err := openTraceFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var accepted int
	for accepted = 0; accepted < 100; accepted++ {
		if err = upload(t, f, strings.Repeat("x", 3000)); err != nil {
			break
		}
	}
	if !errors.Is(err, unix.ENOSPC) || accepted == 0 {
		t.Fatalf("%d lines and %v, want some and ENOSPC", accepted, err)
	}
	if err := upload(t, f, "small"); !errors.Is(err, unix.ENOSPC) {
		t.Errorf("after the error: %v", err)
	}
	if n, err := f.written(); n != accepted || !errors.Is(err, unix.ENOSPC) {
		t.Errorf("written %d, %v", n, err)
	}
	if err := f.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	if got := readTraces(t, path); len(got) != accepted {
		t.Errorf("the file holds %d spans, want %d", len(got), accepted)
	}
}

func TestTraceFileOnAFullDevice(t *testing.T) {
	f, err := openTraceFile("/dev/full")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Stop(t.Context())
	if err := upload(t, f, "span"); !errors.Is(err, unix.ENOSPC) || !strings.Contains(err.Error(), fileTraces) {
		t.Errorf("got %v, want ENOSPC", err)
	}
}
