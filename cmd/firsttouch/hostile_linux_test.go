package main

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/firsttouch/firsttouch/exporter/pprof"
	"github.com/firsttouch/firsttouch/exporter/recording"
	"github.com/firsttouch/firsttouch/exporter/summary"
	"github.com/firsttouch/firsttouch/internal/convert"
	"github.com/firsttouch/firsttouch/internal/heatmap"
	"github.com/firsttouch/firsttouch/internal/hostile"
	"github.com/firsttouch/firsttouch/internal/report"
	"github.com/firsttouch/firsttouch/internal/testproc"
	"github.com/google/pprof/profile"
	"golang.org/x/sys/unix"
)

// onRecordings are the commands that read a recording, which stands for X.
var onRecordings = []string{"report X", "report -json X", "diff X X", "diff -json X X", "heatmap X", "heatmap -o - X", "pprof -o p X", "pprof -address -o p X",
	"pprof -spans -o - X", "convert -to chrome X", "convert -to otlp X"}

func onRecording(t *testing.T, line, file string) (args []string) {
	t.Helper()
	for _, arg := range strings.Fields(line) {
		if arg == "X" {
			arg = file
		}
		args = append(args, arg)
	}
	return args
}

var peakLine = regexp.MustCompile(`VmHWM:\s+(\d+) kB`)

// limited runs the command with a time limit, and returns the most memory that it had resident.
func limited(t *testing.T, args ...string) (r result, peak int64) {
	t.Helper()
	c := command(t, args...)
	to := filepath.Join(t.TempDir(), "peak")
	c.Env = append(c.Env, asPeak+"="+to)
	kill := time.AfterFunc(testproc.Budget(time.Minute), func() { _ = c.Process.Kill() })
	defer kill.Stop()
	r = wait(t, c)
	text, err := os.ReadFile(to)
	m := peakLine.FindSubmatch(text)
	if err != nil || m == nil {
		t.Fatalf("%v: it did not end by itself: status %d, %v, %.500s", args, r.status, err, r.diag)
	}
	peak, err = strconv.ParseInt(string(m[1]), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return r, peak << 10
}

// raceFactor is how much more memory the race detector takes.
const raceFactor = 6

// memoryOf is what reading a recording of a size may take: 64 MiB, and 100 times its size.
func memoryOf(size int) int64 {
	most := int64(64)<<20 + 100*int64(size)
	if raceEnabled {
		most *= raceFactor
	}
	return most
}

// Whatever a small recording says, reading it takes memory for a small recording, and ends.
func TestMemoryOfHostileRecordings(t *testing.T) {
	commands := onRecordings
	shapes := hostile.Shapes()
	if !testproc.Long() {
		// Each shape with the command that made most of it.
		commands = []string{"report X"}
		for name := range shapes {
			if strings.HasPrefix(name, "rows") { // there are the same with more rows
				delete(shapes, name)
			}
		}
	}
	dir := t.TempDir()
	for name, data := range shapes {
		file := filepath.Join(dir, strings.ReplaceAll(name, " ", "_"))
		if err := os.WriteFile(file, data, 0o600); err != nil {
			t.Fatal(err)
		}
		for _, line := range commands {
			r, peak := limited(t, onRecording(t, line, file)...)
			if most := memoryOf(len(data)); peak > most {
				t.Errorf("%s, %s: %d MiB resident, of %d bytes; at most %d MiB are justified", name, line, peak>>20, len(data), most>>20)
			}
			if r.status != exitDone && r.status != exitFailed && r.status != exitPartial {
				t.Errorf("%s, %s: status %d, %s", name, line, r.status, r.diag)
			}
		}
	}
}

// A live agent that does not end its answer, or packs it, takes no more.
func TestMemoryOfHostileAgents(t *testing.T) {
	rows := hostile.Rows(17, 24)
	mux := http.NewServeMux()
	mux.HandleFunc("/rows/recording", func(w http.ResponseWriter, r *http.Request) { _, _ = w.Write(rows) })
	mux.HandleFunc("/packed/recording", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		_, _ = w.Write([]byte("\x1f\x8b\x08\x00"))
	})
	mux.HandleFunc("/header/recording", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Long", strings.Repeat("x", 1<<20))
	})
	mux.HandleFunc("/error/recording", func(w http.ResponseWriter, r *http.Request) {
		http.Error(w, "\x1b[2J\nfirsttouch: all is well", http.StatusTeapot)
	})
	server := httptest.NewServer(mux)
	defer server.Close()
	for line, diag := range map[string]string{
		"report " + server.URL + "/rows":       "more memory than a recording of its size can need",
		"report " + server.URL + "/packed":     "the answer is packed",
		"report " + server.URL + "/header":     "server response headers exceeded",
		"report " + server.URL + "/error":      `\u001b[2J; firsttouch: all is well`,
		"top -times 1 " + server.URL + "/rows": "more memory than a recording of its size can need",
	} {
		r, peak := limited(t, strings.Fields(line)...)
		if r.status != exitFailed && r.status != exitPartial || !strings.Contains(r.diag, diag) || strings.Count(r.diag, "\n") != 1 {
			t.Errorf("%s: status %d, %q; want %q", line, r.status, r.diag, diag)
		}
		if most := memoryOf(4 << 20); peak > most {
			t.Errorf("%s: %d MiB", line, peak>>20)
		}
	}
}

// An interrupt ends a command that reads, whatever it waits for.
func TestInterruptWhileReading(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	asked := make(chan struct{}, 8)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			defer c.Close() // at the end of the test
			_, _ = c.Read(make([]byte, 4096))
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\n\r\n\x89FTR\r\n\x1a\n\x01\x00\x01\x00")
			asked <- struct{}{}
		}
	}()
	fifo := filepath.Join(t.TempDir(), "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	const head = "\x89FTR\r\n\x1a\n\x01\x00\x01\x00"
	for _, source := range []string{l.Addr().String(), fifo, "-"} {
		pipe, writer, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		c := command(t, "report", source)
		c.Stdin = pipe
		var out bytes.Buffer
		c.Stdout, c.Stderr = &out, &out
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		kill := time.AfterFunc(testproc.Budget(30*time.Second), func() { _ = c.Process.Kill() })
		switch source {
		case l.Addr().String():
			<-asked
		case fifo:
			// There is a reader once this returns.
			w, err := os.OpenFile(fifo, os.O_WRONLY, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer w.Close()
		default:
			if _, err := io.WriteString(writer, head); err != nil {
				t.Fatal(err)
			}
			for left := 1; left > 0; time.Sleep(time.Millisecond) {
				if left, err = unix.IoctlGetInt(int(writer.Fd()), unix.TIOCINQ); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err := c.Process.Signal(syscall.SIGINT); err != nil {
			t.Fatal(err)
		}
		_ = c.Wait()
		kill.Stop()
		if status := c.ProcessState.ExitCode(); status != exitInterrupted {
			t.Errorf("%s: status %d (-1: it did not end), %s", source, status, &out)
		}
		pipe.Close()
		writer.Close()
	}
}

// What a terminal shows is printable, and the lines are those of the recording with harmless names.
func TestHostileNames(t *testing.T) {
	dir := t.TempDir()
	file := func(name string) string {
		path := filepath.Join(dir, "a.ftr")
		if err := os.WriteFile(path, hostile.Named(name), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	names := hostile.Names
	if !testproc.Long() {
		names = []string{strings.Join(names, "")}
	}
	for _, line := range onRecordings {
		if strings.HasPrefix(line, "pprof -spans") {
			continue // no text
		}
		want := runCommand(t, onRecording(t, line, file("harmless"))...)
		for _, name := range names {
			r := runCommand(t, onRecording(t, line, file(name))...)
			if r.status != want.status || r.status != exitDone {
				t.Errorf("%s, %q: status %d, %s; want %d", line, name, r.status, r.diag, want.status)
			}
			text := r.out + r.diag
			machine := strings.Contains(line, "convert") || strings.Contains(line, "json") || strings.Contains(line, "-o -")
			if !utf8.ValidString(text) {
				t.Errorf("%s, %q: no UTF-8", line, name)
			}
			if machine {
				if strings.Contains(line, "svg") || strings.Contains(line, "heatmap") {
					continue
				}
				if !json.Valid([]byte(r.out)) {
					t.Errorf("%s, %q: no JSON", line, name)
				}
				continue
			}
			if i := strings.IndexFunc(text, func(r rune) bool { return r != '\n' && !unicode.IsPrint(r) }); i >= 0 {
				t.Errorf("%s, %q: %q", line, name, text[max(i-40, 0):min(i+40, len(text))])
			}
			if got, want := strings.Count(text, "\n"), strings.Count(want.out+want.diag, "\n"); got != want {
				t.Errorf("%s, %q: %d lines, want %d:\n%s", line, name, got, want, text)
			}
		}
	}
}

// FuzzRecording: what a recording holds, if it can be read at all, every command can work on.
func FuzzRecording(f *testing.F) {
	for _, name := range hostile.Names {
		f.Add(hostile.Named(name))
	}
	for _, data := range hostile.Shapes() {
		if len(data) < 4096 {
			f.Add(data)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) { useAll(t, data) })
}

// FuzzFrames does the same with the contents of a frame that is whole.
func FuzzFrames(f *testing.F) {
	f.Add(byte(15), 2, []byte{1, 2, 3}, []byte{4, 5}, []byte{6}, byte(2), byte(5), byte(8))
	f.Add(byte(3), 2, []byte{0, 2}, []byte{4, 5}, []byte{6}, byte(4), byte(5), byte(21))
	f.Add(byte(17), 2, []byte{0, 2}, []byte{4, 5}, []byte{6}, byte(2), byte(3), byte(17))
	f.Fuzz(func(t *testing.T, table byte, rows int, a, b, c []byte, i, j, k byte) {
		regions := hostile.Regions(2)
		more := hostile.Frame{Table: table, Rows: max(rows%(1<<16), 0), Columns: map[int][]byte{int(i % 64): a, int(j % 64): b, int(k % 64): c}}
		if table != 3 {
			useAll(t, hostile.File(hostile.Origin(), regions, more))
		} else {
			useAll(t, hostile.File(hostile.Origin(), more))
		}
	})
}

func useAll(t *testing.T, data []byte) {
	r, err := recording.Read(bytes.NewReader(data))
	if r == nil {
		if err == nil {
			t.Fatal("nothing, without an error")
		}
		return
	}
	var out bytes.Buffer
	d := report.Of(r, "x", "", summary.DefaultLimits())
	c := report.Compare(r, r, "x", "y", report.ByStall, 5)
	for _, err := range []error{
		report.RenderDocument(&out, d), report.RenderComparison(&out, c), json.NewEncoder(&out).Encode(d), json.NewEncoder(&out).Encode(c),
		convert.Chrome(&out, r),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := convert.OTLP(&out, r); err != nil && len(r.Requests) > 0 {
		t.Fatal(err)
	}
	for _, v := range []heatmap.Value{heatmap.Faults, heatmap.Stall} {
		if g, err := heatmap.New(r.Snapshot, heatmap.Options{Value: v, Columns: 20, Rows: 10}); err == nil {
			if err := g.WriteText(&out, false); err != nil {
				t.Fatal(err)
			}
			if err := g.WriteSVG(&out); err != nil {
				t.Fatal(err)
			}
		}
	}
	if !utf8.Valid(out.Bytes()) {
		t.Error("what was written is no UTF-8")
	}
	// The library's CheckValid is part of Write.
	for _, p := range []*profile.Profile{pprof.ByCode(r.Snapshot, pprof.WithSpans(), pprof.WithExecutables(r.Executables)), pprof.ByAddress(r.Snapshot)} {
		if err := pprof.Write(io.Discard, p); err != nil {
			t.Fatal(err)
		}
	}
}

// firsttouch serve has the guards of an agent's endpoint.
func TestServeIsGuarded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.ftr")
	if err := os.WriteFile(path, hostile.Named("a name"), 0o600); err != nil {
		t.Fatal(err)
	}
	const secret = "0123456789abcdef"
	c := command(t, "serve", "-listen", ":0", path)
	c.Env = append(c.Env, "FIRSTTOUCH_TOKEN="+secret)
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	defer c.Wait()
	kill := time.AfterFunc(testproc.Budget(30*time.Second), func() { _ = c.Process.Kill() })
	defer kill.Stop()
	defer c.Process.Signal(syscall.SIGINT)
	address := ""
	for lines := bufio.NewScanner(out); address == "" && lines.Scan(); {
		address = strings.TrimSpace(lines.Text())
		if !strings.HasPrefix(address, "http://127.0.0.1:") {
			address = ""
		}
	}
	if address == "" {
		t.Fatal("it does not say where it is, on loopback")
	}
	for _, tt := range []struct {
		host, header, value string
		want                int
	}{
		{"", "Authorization", "Bearer " + secret, 200},
		{"", "Authorization", "Basic " + base64.StdEncoding.EncodeToString([]byte("me:"+secret)), 200},
		{"", "Authorization", "Bearer " + secret + "x", 401},
		{"", "X", "", 401},
		{"evil.example", "Authorization", "Bearer " + secret, 403},
	} {
		r, err := http.NewRequest(http.MethodGet, address+"recording", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set(tt.header, tt.value)
		r.Host = tt.host
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != tt.want {
			t.Errorf("%+v: %d", tt, resp.StatusCode)
		}
	}
	if r := runCommand(t, "serve", "-listen", "256.0.0.1:0", path); r.status != exitFailed || !strings.Contains(r.diag, "choose a free address") {
		t.Errorf("%+v", r)
	}
}
