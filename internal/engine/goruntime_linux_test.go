//go:build linux && (amd64 || arm64)

package engine

import (
	"errors"
	"reflect"
	"runtime"
	"slices"
	"testing"
	"unsafe"

	"github.com/firsttouch/firsttouch/internal/pclntab"
	"github.com/firsttouch/firsttouch/internal/raw"
	"github.com/firsttouch/firsttouch/uffd"
)

// With the Go releases that are supported everything is known.
func TestGoRuntimeIsKnown(t *testing.T) {
	table, err := pclntab.Self()
	if err != nil {
		t.Fatal(err)
	}
	m := MeasureGoRuntime(table, false)
	if m.TextLo == 0 || m.TextHi <= m.TextLo || m.Preempt == 0 || m.Goid == 0 || m.Parent == 0 || !m.Frames {
		t.Errorf("%+v", m)
	}
	if m.Preempt < m.TextLo || m.Preempt >= m.TextHi {
		t.Errorf("asyncPreempt is not in Go's code: %+v", m)
	}
	if m := MeasureGoRuntime(nil, false); m.Preempt != 0 || m.Goid == 0 {
		t.Errorf("without a table: %+v", m)
	}
}

func TestTextBoundsAreThoseOfGoCode(t *testing.T) {
	m := measured()
	for _, f := range []any{TestTextBoundsAreThoseOfGoCode, runtime.GC, reflect.ValueOf, testing.Benchmark, entries} {
		if pc := reflect.ValueOf(f).Pointer(); pc < m.TextLo || pc >= m.TextHi {
			t.Errorf("%s at %#x is outside [%#x, %#x)", runtime.FuncForPC(pc).Name(), pc, m.TextLo, m.TextHi)
		}
	}
	for _, p := range []uintptr{m.TextLo - 1, m.TextHi} {
		if f := runtime.FuncForPC(p); f != nil {
			t.Errorf("%#x, outside [%#x, %#x), is in %s", p, m.TextLo, m.TextHi, f.Name())
		}
	}
	if p := uintptr(unsafe.Pointer(new(int))); p >= m.TextLo && p < m.TextHi {
		t.Errorf("heap memory at %#x is inside [%#x, %#x)", p, m.TextLo, m.TextHi)
	}
}

func TestTextBounds(t *testing.T) {
	const plugin = 0x7f0000000000
	for _, c := range []struct{ lo, hi, pc uintptr }{
		{0x401000, 0x401001, 0x401000},
		{0x401000, 0x402000, 0x401000},
		{0x401000, 0x402000, 0x401fff},
		{0x401000, 0x5fedcb, 0x4f0000},
		{0x401000, 0x8401000, 0x402345},
		{plugin, plugin + 0x123456, plugin + 0x100},
	} {
		inside := func(pc uintptr) bool { return pc >= c.lo && pc < c.hi || pc >= c.hi+2*textStep && pc < c.hi+3*textStep }
		if lo, hi := textBounds(c.pc, inside); lo != c.lo || hi != c.hi {
			t.Errorf("[%#x, %#x) from %#x, want [%#x, %#x)", lo, hi, c.pc, c.lo, c.hi)
		}
	}
	if lo, hi := textBounds(0x401000, func(uintptr) bool { return false }); lo != 0 || hi != 0 {
		t.Errorf("[%#x, %#x) of nothing", lo, hi)
	}
}

// Words that are no bounds of a stack are not taken for them.
func TestImplausibleStacks(t *testing.T) {
	const sp = 0xc000123400
	for _, c := range []struct {
		name   string
		lo, hi uintptr
		want   bool
	}{
		{"a stack", 0xc000122000, 0xc000124000, true},
		{"two words of 0", 0, 0, false},
		{"exchanged", 0xc000124000, 0xc000122000, false},
		{"of another goroutine", 0xc000222000, 0xc000224000, false},
		{"a pointer and a length", 0xc000123000, 1 << 13, false},
		{"no power of two", 0xc000122000, 0xc000124008, false},
		{"half of the address space", 0, 1 << 47, false},
		{"too small", 0xc000123200, 0xc000123600, false},
	} {
		if got := plausibleStack(c.lo, c.hi, sp); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}

// The calling convention is tried before anything depends on it.
func TestCallsAsExpected(t *testing.T) {
	if !callsAsExpected() {
		t.Error("the engine's assembly and this Go call functions in different ways")
	}
	for _, a := range [][4]uintptr{{3, 2, 5, 7}, {2, 5, 3, 7}, {2, 3, 7, 5}, {0, 3, 5, 7}, {2, 3, 5, 0}} {
		if raw.Call4(codeOf(mixArguments), a[0], a[1], a[2], a[3]) == mixArguments(2, 3, 5, 7) {
			t.Errorf("arguments %v pass for 2, 3, 5, 7", a)
		}
	}
}

func TestSignalStackFits(t *testing.T) {
	for _, signals := range []bool{false, true} {
		if err := signalStackFits(signalStack(), signalFrame(), signals); err != nil {
			t.Errorf("by signal %v: %v", signals, err)
		}
		for _, size := range []uintptr{0, 2 << 10, 8 << 10} {
			if err := signalStackFits(size, 5<<10, signals); !errors.Is(err, uffd.ErrNotSupported) {
				t.Errorf("by signal %v, a stack of %d bytes: %v", signals, size, err)
			}
		}
	}
	const tiles = 11 << 10 // AMX
	if err := signalStackFits(32<<10, tiles, true); err != nil {
		t.Error(err)
	}
}

// The word that a thread keeps its g in is the one that changes with its goroutine.
func TestTLSOffset(t *testing.T) {
	off := tlsOffset()
	if runtime.GOARCH == "arm64" {
		if off != 0 {
			t.Errorf("%d, where g is in a register only", off)
		}
		return
	}
	if off == 0 {
		t.Fatal("not found")
	}
	s := &shared{tlsOff: off}
	for range 50 {
		done := make(chan struct{})
		go func() {
			defer close(done)
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			if slot := s.tlsSlot(raw.G()); slot == 0 || *at[uintptr](slot) != raw.G() {
				t.Errorf("the slot at %#x is not the thread's", slot)
			}
			if slot := s.tlsSlot(raw.G() + 8); slot != 0 {
				t.Errorf("%#x for another g", slot)
			}
			s := &shared{}
			if slot := s.tlsSlot(raw.G()); slot != 0 {
				t.Errorf("%#x where it is not known", slot)
			}
		}()
		<-done
	}
}

// A stack dump of another form tells no id, and nothing is taken for where ids are.
func TestDumpsOfAnotherForm(t *testing.T) {
	if id := idOfDump([]byte("goroutine 72 [running]:\nmain.main()")); id != 72 {
		t.Errorf("id %d, want 72", id)
	}
	for _, dump := range []string{"", "goroutine", "goroutine 7", "goroutine x [running]:", "goroutine #7 [running]:", "fiber 7 [running]:", "goroutine 7.1 [running]:", "goroutine 7 running"} {
		if id := idOfDump([]byte(dump)); id != 0 {
			t.Errorf("id %d of %q", id, dump)
		}
	}
	words := slices.Repeat([]bool{true}, gWords)
	match(words, idOfDump(nil))
	if only(words) != 0 {
		t.Error("a place for an id that was never read")
	}
	words[3], words[9] = true, true
	if only(words) != 0 {
		t.Error("one of two places was chosen")
	}
}
