package recordings

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/url"
	"runtime"
	"strings"
	"testing"

	"github.com/firsttouch/firsttouch/exporter/recording"
	"github.com/firsttouch/firsttouch/internal/hostile"
)

// smallMost is how many bytes of an input are taken, and allocatedMost what opening them may allocate: twice what the
// reader may keep, see docs/recording.md, since tables grow while they are read.
const (
	smallMost     = 64 << 10
	allocatedMost = 2 * (64<<20 + 100*smallMost)
)

// FuzzOpen: whatever a file holds, opening it ends within the memory that its size justifies, with a recording, which
// says where it is cut, or with an error that names it.
func FuzzOpen(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte("hello"))
	for _, data := range seeds(f) {
		f.Add(data)
		f.Add(data[:len(data)-1])
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		data = data[:min(len(data), smallMost)]
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		r, err := Open(t.Context(), "-", Options{Stdin: bytes.NewReader(data)})
		runtime.ReadMemStats(&after)
		if n := after.TotalAlloc - before.TotalAlloc; n > allocatedMost {
			t.Errorf("%d bytes allocated for a recording of %d", n, len(data))
		}
		whole := err == nil && r.Cut == ""
		if again, bad := recording.Read(bytes.NewReader(data)); whole != (bad == nil) || err == nil && len(again.Snapshot.Faults) != len(r.Snapshot.Faults) {
			t.Errorf("opened: %v; read: %v", err, bad)
		}
		switch {
		case err != nil && (r != nil || !strings.HasPrefix(err.Error(), "-: ")):
			t.Errorf("%v, with a recording: %v", err, r != nil)
		case err == nil && (r.Snapshot == nil || r.Name != "-"):
			t.Errorf("%q has no snapshot", r.Name)
		case err == nil && !whole && r.Snapshot.Stats.Notes[len(r.Snapshot.Stats.Notes)-1] != r.Cut:
			t.Errorf("%q is not in the notes %q", r.Cut, r.Snapshot.Stats.Notes)
		}
	})
}

// FuzzAnswer: what an agent answers is its body as it came, or a short error.
func FuzzAnswer(f *testing.F) {
	for _, data := range seeds(f) {
		f.Add(200, "", data)
		f.Add(503, "", data)
	}
	f.Add(202, "gzip", []byte("\x1f\x8b"))
	f.Add(404, "", []byte("404 page not found\n"))
	f.Add(401, "identity", bytes.Repeat([]byte{0}, 1<<16))
	u := &url.URL{Scheme: "http", Host: "agent:1"}
	f.Fuzz(func(t *testing.T, status int, packed string, data []byte) {
		resp := &http.Response{StatusCode: status, Status: "a status", Body: io.NopCloser(bytes.NewReader(data)), Header: http.Header{"Content-Encoding": {packed}}}
		body, err := answer(resp, u)
		if err != nil {
			if body != nil || len(err.Error()) > len(u.String())+100+errorText+5*len(packed) || !strings.HasPrefix(err.Error(), u.String()+": ") {
				t.Errorf("%d, %q: %v", status, packed, err)
			}
			return
		}
		got, err := io.ReadAll(body)
		if err = errors.Join(err, body.Close()); err != nil || !bytes.Equal(got, data) || status != http.StatusOK && status != http.StatusAccepted {
			t.Errorf("%d: %d bytes of %d, %v", status, len(got), len(data), err)
		}
	})
}

// seeds are small recordings, most of them hostile.
func seeds(f *testing.F) (all [][]byte) {
	all = append(all, sample(f), hostile.Named("\x1b]0;a\x07\n"))
	for _, data := range hostile.Shapes() {
		if len(data) <= smallMost {
			all = append(all, data)
		}
	}
	return all
}
