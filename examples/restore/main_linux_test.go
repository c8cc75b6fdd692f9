package main

import (
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/firsttouch/firsttouch/internal/uffdtest"
)

const pages = 1000

// TestRestore restores a machine that touches all of its memory and discards, moves and forks meanwhile.
func TestRestore(t *testing.T) {
	uffdtest.NeedEvents(t)
	for _, how := range []string{"on demand", "prefetched"} {
		t.Run(how, func(t *testing.T) {
			if uffdtest.IsVM() {
				machine(t)
				return
			}
			snapshot := filepath.Join(t.TempDir(), "snapshot")
			if err := os.WriteFile(snapshot, uffdtest.Snapshot(pages), 0o600); err != nil {
				t.Fatal(err)
			}
			uffdtest.ServeVM(t, func(socket *os.File) {
				conn, err := net.FileConn(socket)
				if err != nil {
					t.Error(err)
					return
				}
				defer conn.Close()
				stats, err := restore(t.Context(), conn.(*net.UnixConn), snapshot, how == "prefetched")
				if err != nil {
					t.Error(err)
				}
				if (stats.Prefetched > 0) != (how == "prefetched") || stats.Filled < pages*4/5*uint64(os.Getpagesize()) {
					t.Errorf("%+v", stats)
				}
			})
		})
	}
}

func machine(t *testing.T) {
	m := uffdtest.StartVM(t, pages)
	third := pages / 3
	m.Discard(m.Pages(0, 50))
	moved := m.Move(m.Pages(2*third, pages))
	m.TouchAll("moved", moved, func(n int) uint64 { return uint64(2*third + n + 1) })
	m.Fork(m.Pages(60, 61), m.Expect(m.Mem, 60, 0), m.Expect(m.Mem, 61, 62), m.Expect(moved, 0, uint64(2*third+1)))
	m.TouchAll("restored", m.Pages(0, 2*third), func(n int) uint64 {
		if n < 50 {
			return 0
		}
		return uint64(n + 1)
	})
	m.Discard(moved)
	m.TouchAll("discarded", moved, func(int) uint64 { return 0 })
}

func TestBadMonitor(t *testing.T) {
	for name, list := range map[string]string{
		"no JSON":                  "x",
		"beyond the snapshot":      `[{"base_host_virt_addr":4096,"size":8192,"offset":4096}]`,
		"offset beyond the end":    `[{"base_host_virt_addr":4096,"size":4096,"offset":18446744073709551615}]`,
		"not aligned":              `[{"base_host_virt_addr":1,"size":4096,"offset":0}]`,
		"the same range two times": `[{"base_host_virt_addr":65536,"size":4096,"offset":0},{"base_host_virt_addr":65536,"size":4096,"offset":0}]`,
	} {
		if _, err := layoutOf([]byte(list), make([]byte, 8192)); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
