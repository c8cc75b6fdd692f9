//go:build linux && (amd64 || arm64)

package profiler

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/firsttouch/firsttouch/internal/engine"
	"github.com/firsttouch/firsttouch/internal/raw"
	"github.com/firsttouch/firsttouch/internal/testproc"
	"golang.org/x/sys/unix"
)

// Memory that lies where a placeholder was before it came into place holds what it should, also where the reader of the kernel's
// messages is late: it must not take the placeholder's move for one of the memory that lies there now.
func TestReaderOfMovesIsLate(t *testing.T) {
	aside(t)
	env := []string{testproc.DeliveryEnv + "=" + DeliveryThread.String()}
	inChild(t, "TestReaderOfMovesIsLate", "files", env, func(t *testing.T) {
		const pages = 64
		raw.Store64(&engine.LateEvents, uint64(100*time.Millisecond))
		defer raw.Store64(&engine.LateEvents, 0)
		p := newProfiler(t)
		var all, want [][]byte
		for i := range 3 { // each comes to lie where the placeholder of the one before was
			text := contents((pages + i) * pageSize)[i*pageSize:]
			path := filepath.Join(t.TempDir(), "data")
			must(t, os.WriteFile(path, text, 0o644))
			want, all = append(want, text), append(all, mapFile(t, path, len(text), unix.PROT_READ, unix.MAP_SHARED))
			attach(t, p, path)
		}
		time.Sleep(400 * time.Millisecond) // the last messages are answered
		for i, b := range all {
			if at := different(b, want[i]); at >= 0 {
				t.Errorf("file %d: byte %d is %d, want %d: %q", i, at, b[at], want[i][at], smapsOf(t, b))
			}
		}
		if s := p.Snapshot(); s.Stats.Faults != uint64(len(all)*pages) {
			t.Errorf("%d first touches, want %d", s.Stats.Faults, len(all)*pages)
		}
	})
	inChild(t, "TestReaderOfMovesIsLate", "memory", env, func(t *testing.T) {
		const pages = 64
		p := newProfiler(t)
		b := mapMemory(t, pages)
		want := contents(len(b))
		copy(b, want)
		r := attachMemory(t, p, b)
		raw.Store64(&engine.LateEvents, uint64(100*time.Millisecond))
		defer raw.Store64(&engine.LateEvents, 0)
		for range 2 {
			must(t, patiently(r.Rearm))
		}
		time.Sleep(300 * time.Millisecond)
		if at := different(b, want); at >= 0 {
			t.Errorf("byte %d is %d, want %d: %q", at, b[at], want[at], smapsOf(t, b))
		}
	})
}
