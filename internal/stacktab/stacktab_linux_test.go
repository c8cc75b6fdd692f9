//go:build linux && (amd64 || arm64)

package stacktab

import (
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"unsafe"

	"github.com/firsttouch/firsttouch/internal/raw"
	"golang.org/x/sys/unix"
)

func newTable(t testing.TB) *Table {
	t.Helper()
	p, _, err := raw.Map(Size, unix.PROT_READ|unix.PROT_WRITE)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { raw.Unmap(p, Size) })
	table := new(Table)
	table.Use(p)
	return table
}

// stackOf lays frame records for return addresses into memory, and returns the walk that begins with the first of them.
func stackOf(t testing.TB, memory []uintptr, pcs ...uintptr) Frame {
	t.Helper()
	if len(memory) < 2*len(pcs) {
		t.Fatal("the memory is too small")
	}
	lo := uintptr(unsafe.Pointer(unsafe.SliceData(memory)))
	for i, pc := range pcs[1:] {
		memory[2*i], memory[2*i+1] = lo+uintptr(i+1)*16, pc
	}
	last := 2 * (len(pcs) - 1)
	memory[last], memory[last+1] = 0, 0
	return Frame{PC: pcs[0], FP: lo, Lo: lo, Hi: lo + uintptr(len(memory))*8}
}

func TestSizes(t *testing.T) {
	if unsafe.Sizeof(entry{}) != entrySize || unsafe.Offsetof(entry{}.pcs) != header {
		t.Errorf("an entry has %d bytes and its frames at %d, the code says %d and %d", unsafe.Sizeof(entry{}), unsafe.Offsetof(entry{}.pcs), entrySize, header)
	}
}

// The same stack has one number, another leaf, caller or depth has another; of a deep one the leaf's side is kept.
func TestIntern(t *testing.T) {
	table := newTable(t)
	memory := make([]uintptr, 4*MaxPCs)
	deep := make([]uintptr, MaxPCs+8)
	for i := range deep {
		deep[i] = uintptr(1000 + i)
	}
	numbers := make(map[uint32]bool)
	for _, c := range []struct {
		pcs  []uintptr
		leaf uintptr
		cut  bool
	}{{[]uintptr{1}, 0, false}, {[]uintptr{1, 2, 3}, 0, false}, {[]uintptr{1, 2, 3}, 7, false}, {[]uintptr{1, 2, 4}, 0, false}, {[]uintptr{2, 1, 3}, 0, false},
		{deep[:MaxPCs-1], 0, false}, {deep, 0, true}} {
		number, cut := table.Intern(stackOf(t, memory, c.pcs...), c.leaf)
		again, _ := table.Intern(stackOf(t, memory, c.pcs...), c.leaf)
		if number == 0 || again != number || cut != c.cut || numbers[number] || !table.Ready(number) {
			t.Fatalf("%v: number %d, then %d, cut %t, known before %t", c.pcs, number, again, cut, numbers[number])
		}
		numbers[number] = true
		if pcs, leaf := table.Stack(number); !slices.Equal(pcs, c.pcs[:min(len(c.pcs), MaxPCs)]) || leaf != c.leaf {
			t.Errorf("%v, %d is kept as %v, %d", c.pcs, c.leaf, pcs, leaf)
		}
	}
	if table.Full() != 0 {
		t.Errorf("%d found no place", table.Full())
	}
}

// A table that is full says so, and what it has stays.
func TestFull(t *testing.T) {
	table := newTable(t)
	memory := make([]uintptr, 8)
	kept := make(map[uint32]uintptr)
	refused := uint64(0)
	for pc := uintptr(1); pc <= slots+slots/4; pc++ {
		number, cut := table.Intern(stackOf(t, memory, pc), 0)
		switch {
		case number == 0 && cut:
			refused++
		case number == 0 || number > slots || kept[number] != 0:
			t.Fatalf("number %d for %d, which has %d", number, pc, kept[number])
		default:
			kept[number] = pc
		}
	}
	if refused < slots/4 || table.Full() != refused {
		t.Errorf("%d were refused, %d counted", refused, table.Full())
	}
	for number, pc := range kept {
		if pcs, _ := table.Stack(number); !slices.Equal(pcs, []uintptr{pc}) {
			t.Fatalf("%d is %v, want %d", number, pcs, pc)
		}
	}
}

// Threads that meet the same stacks at once agree on their numbers, and each that is ready is whole.
func TestInternAtOnce(t *testing.T) {
	table := newTable(t)
	const threads, stacks = 8, 500
	var numbers [threads][stacks]uint32
	var wg sync.WaitGroup
	for i := range threads {
		wg.Go(func() {
			memory := make([]uintptr, 16)
			for j := range stacks {
				pcs := []uintptr{uintptr(j + 1), uintptr(j + 2), uintptr(j + 3)}
				numbers[i][j], _ = table.Intern(stackOf(t, memory, pcs...), 0)
				if n := numbers[i][j]; table.Ready(n) {
					if got, _ := table.Stack(n); !slices.Equal(got, pcs) {
						t.Errorf("%v is kept as %v", pcs, got)
					}
				}
			}
		})
	}
	wg.Wait()
	for i := range threads {
		if numbers[i] != numbers[0] {
			t.Errorf("thread %d has other numbers than thread 0", i)
		}
	}
}

// A stack of any contents is walked within its bounds, upwards, and ends.
func FuzzNext(f *testing.F) {
	f.Add(uint64(1), uint16(3))
	f.Fuzz(func(t *testing.T, seed uint64, size uint16) {
		random := rand.New(rand.NewPCG(seed, 1))
		memory := make([]uintptr, int(size%512)+2)
		lo := uintptr(unsafe.Pointer(unsafe.SliceData(memory)))
		hi := lo + uintptr(len(memory))*8
		for i := range memory {
			switch random.IntN(4) {
			case 0:
				memory[i] = uintptr(random.Uint64())
			case 1:
				memory[i] = ^uintptr(random.IntN(32))
			default:
				memory[i] = lo + uintptr(random.IntN(len(memory)*8+32))
			}
		}
		w := Frame{PC: 1, FP: memory[0], Lo: lo, Hi: hi}
		for n, last := 0, lo; w.Next(); n++ {
			if n > len(memory)/2 || w.Lo <= last || w.Lo > hi {
				t.Fatalf("step %d: at %#x of %#x-%#x, before %#x", n, w.Lo, lo, hi, last)
			}
			last = w.Lo
		}
	})
}

// A frame pointer that is the last of all addresses, which code that uses the register for something else may leave, ends the walk.
func TestNextAtTheLastAddress(t *testing.T) {
	for _, fp := range []uintptr{^uintptr(7), ^uintptr(15), ^uintptr(23)} {
		memory := make([]uintptr, 8)
		w := stackOf(t, memory, 1, 2)
		memory[0] = fp
		if !w.Next() || w.PC != 2 || w.Next() {
			t.Errorf("%#x: the walk goes on at %#x", fp, w.PC)
		}
	}
}
