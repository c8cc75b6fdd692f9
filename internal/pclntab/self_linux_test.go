package pclntab

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
)

func mustSelf(tb testing.TB) *Table {
	tb.Helper()
	t, err := Self()
	if err != nil {
		tb.Fatal(err)
	}
	return t
}

func (t *Table) name(f function) string {
	name := t.names[binary.NativeEndian.Uint32(f.rec[recName:]):]
	return string(name[:bytes.IndexByte(name, 0)])
}

// TestSelfAgreesWithRuntime holds every function, not a sample, against the runtime.
func TestSelfAgreesWithRuntime(t *testing.T) {
	tab := mustSelf(t)
	described, inline := 0, 0
	for i := range tab.nfunc {
		if err := tab.verifyFunction(i); err != nil {
			t.Fatal(err)
		}
		f, _ := tab.function(i)
		pc := tab.text + uintptr(f.entry)
		if tab.IsReturnAddress(pc) {
			t.Errorf("entry %#x of %s is a return address", pc, tab.name(f))
		}
		s, ok := tab.steps(f)
		if !ok {
			continue
		}
		described++
		// Where the first instruction comes from an inlined call, the runtime names that.
		if name := runtime.FuncForPC(pc).Name(); name != tab.name(f) {
			inline++
		}
		if delta, ok := tab.SPDelta(pc); !ok || delta != 0 {
			t.Errorf("at the entry of %s: %d, %t", tab.name(f), delta, ok)
		}
		for s.next() {
		}
		if end := pc + uintptr(s.pc); s.pc < uint64(f.end-f.entry) && (tab.IsReturnAddress(end) || tab.IsReturnAddress(pc+uintptr(f.end-f.entry)-1)) {
			t.Errorf("padding of %s at %#x is a return address", tab.name(f), end)
		}
	}
	if described < 1000 || inline > described/4 {
		t.Errorf("%d functions of %d with deltas, %d under another name in the runtime", described, tab.nfunc, inline)
	}
}

// TestSelfFramelessFunctions: the functions for whose sake the package is there have no frame at
// any of their instructions.
func TestSelfFramelessFunctions(t *testing.T) {
	tab := mustSelf(t)
	want := map[string]bool{"runtime.memmove": false, "runtime.memequal": false, "runtime.memclrNoHeapPointers": false, "runtime.cmpstring": false}
	for i := range tab.nfunc {
		f, ok := tab.function(i)
		if !ok {
			t.Fatalf("no record of function %d", i)
		}
		s, ok := tab.steps(f)
		name := tab.name(f)
		if _, wanted := want[name]; !wanted || !ok {
			continue
		}
		for s.next() {
		}
		pc := tab.text + uintptr(f.entry)
		for off := uintptr(0); off < uintptr(s.pc); off += uintptr(tab.quantum) {
			if delta, ok := tab.SPDelta(pc + off); !ok || delta != 0 {
				t.Fatalf("%s+%#x: %d, %t", name, off, delta, ok)
			}
		}
		want[name] = true
	}
	for name, seen := range want {
		if !seen {
			t.Errorf("no function %s", name)
		}
	}
}

func TestSelfConcurrent(t *testing.T) {
	var wg sync.WaitGroup
	tables := make([]*Table, 8)
	for i := range tables {
		wg.Go(func() {
			var pcs [1]uintptr
			runtime.Callers(1, pcs[:])
			tab, err := Self()
			if err != nil {
				t.Error(err)
				return
			}
			tables[i] = tab
			if delta, ok := tab.SPDelta(pcs[0]); !ok || delta <= 0 {
				t.Errorf("in a function with a frame: %d, %t", delta, ok)
			}
		})
	}
	wg.Wait()
	for _, tab := range tables {
		if tab == nil || tab != tables[0] {
			t.Fatalf("not one table: %v", tables)
		}
	}
}

// TestSelfStaysOffTheHeap: the section of a large service has tens of megabytes.
func TestSelfStaysOffTheHeap(t *testing.T) {
	tab := mustSelf(t)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if _, err := loadSelf(); err != nil {
		t.Fatal(err)
	}
	runtime.ReadMemStats(&after)
	if got, section := after.TotalAlloc-before.TotalAlloc, uint64(len(tab.names)+len(tab.pctab)); got > section/4 {
		t.Errorf("loading allocated %d bytes for a section of %d", got, section)
	}

	var pcs [8]uintptr
	n := runtime.Callers(0, pcs[:])
	if a := testing.AllocsPerRun(100, func() {
		for _, pc := range pcs[:n] {
			tab.SPDelta(pc)
			tab.IsReturnAddress(pc)
		}
	}); a != 0 {
		t.Errorf("%v allocations", a)
	}
}

func TestLocateRefuses(t *testing.T) {
	for name, content := range map[string]string{"empty": "", "script": "#!/bin/sh\nexit 0\n"} {
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if off, size, err := locate(f); err == nil {
			t.Errorf("%s: found %d bytes at %d", name, size, off)
		}
	}
}

func BenchmarkSPDelta(b *testing.B) {
	tab := mustSelf(b)
	pcs := make([]uintptr, 1024)
	for k := range pcs {
		f, ok := tab.function(k * (tab.nfunc - 1) / len(pcs))
		if !ok {
			b.Fatal("no record of a function")
		}
		pcs[k] = tab.text + uintptr(f.entry+(f.end-f.entry)/2)
	}
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		tab.SPDelta(pcs[i%len(pcs)])
		i++
	}
}
