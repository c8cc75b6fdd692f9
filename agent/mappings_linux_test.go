package agent

import (
	"encoding/json"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/firsttouch/firsttouch/exporter/summary"
)

// The list of mappings has what could be attached and why not, addresses only where they are asked for, and what it
// offers can be attached.
func TestMappingsEndpoint(t *testing.T) {
	a := start(t, WithAddresses())
	if a.Profiler().Snapshot().Stats.UserModeOnly {
		t.Skip("Stats.UserModeOnly: memory is not attached")
	}
	b, err := unix.Mmap(-1, 0, 1<<20, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_ANONYMOUS)
	if err != nil {
		t.Fatal(err)
	}
	lo := uintptr(unsafe.Pointer(unsafe.SliceData(b)))
	get := func(query string, want int) string {
		t.Helper()
		w := httptest.NewRecorder()
		a.Handler().ServeHTTP(w, httptest.NewRequest("GET", basePath+"mappings"+query, nil))
		if w.Code != want {
			t.Fatalf("%s: %d: %s", query, w.Code, w.Body)
		}
		return w.Body.String()
	}
	find := func(query string) (all, ours []ProcessMapping) {
		t.Helper()
		var d Mappings
		if err := json.Unmarshal([]byte(get(query, 200)), &d); err != nil || !d.Active {
			t.Fatalf("%v, %+v", err, d)
		}
		for _, m := range d.Mappings {
			if m.Kind == "shared" && m.LengthBytes == 1<<20 {
				ours = append(ours, m)
			}
		}
		return d.Mappings, ours
	}
	text, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		t.Fatal(err)
	}
	all, ours := find("")
	if n := strings.Count(string(text), "\n"); len(all) < n/2 || len(ours) != 1 || ours[0].Attach != "AttachRange" || !ours[0].WritesOnly || ours[0].Address != "" {
		t.Errorf("%d of %d mappings, %+v", len(all), n, ours)
	}
	if _, ours := find("?addresses=true"); len(ours) != 1 || ours[0].Address != summary.Address(lo) {
		t.Errorf("%+v", ours)
	}
	if out := get("?text=true", 200); !strings.Contains(out, "AttachRange") || strings.Contains(out, summary.Address(lo)) {
		t.Errorf("table:\n%s", out)
	}
	get("?addresses=perhaps", 400)
	get("?text=perhaps", 400)
	r, err := a.AttachRange("shared", lo, lo+1<<20)
	if err != nil {
		t.Fatal(err)
	}
	if _, ours := find(""); len(ours) != 1 || ours[0].Region != "shared" || ours[0].Attach != "" {
		t.Errorf("%+v", ours)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
}
