package pclntab

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"testing"
)

// openTable reads the table of an executable that need not run here. The text address comes from
// the symbol runtime.text.
func openTable(t *testing.T, path string) (*Table, *elf.File) {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { file.Close() })
	off, size, err := locate(file)
	if err != nil {
		t.Fatal(err)
	}
	data := make([]byte, size)
	if _, err := file.ReadAt(data, off); err != nil && !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	tab, err := parse(data)
	if err != nil {
		t.Fatal(err)
	}
	e, err := elf.NewFile(file)
	if err != nil {
		t.Fatal(err)
	}
	syms, err := e.Symbols()
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range syms {
		if s.Name == "runtime.text" {
			tab.text = uintptr(s.Value)
			return tab, e
		}
	}
	t.Fatalf("no symbol runtime.text in %s", path)
	return nil, nil
}

// prologue finds the instructions with which the Go compilers open a frame: at and behind are
// their offsets in code, delta what SP has moved by in between.
func prologue(machine elf.Machine, code []byte) (at, behind, delta uint32, ok bool) {
	switch machine {
	case elf.EM_X86_64: // PUSHQ BP; MOVQ SP, BP; SUBQ $imm, SP
		i := bytes.Index(code, []byte{0x55, 0x48, 0x89, 0xe5, 0x48})
		switch {
		case i < 0 || len(code) < i+11:
		case code[i+5] == 0x83 && code[i+6] == 0xec && code[i+7] < 0x80:
			return uint32(i), uint32(i + 8), 8 + uint32(code[i+7]), true
		case code[i+5] == 0x81 && code[i+6] == 0xec:
			return uint32(i), uint32(i + 11), 8 + binary.LittleEndian.Uint32(code[i+7:]), true
		}
	case elf.EM_AARCH64: // MOVD.W R30, -imm(RSP)
		for i := 0; i+4 <= len(code); i += 4 {
			insn := binary.LittleEndian.Uint32(code[i:])
			if imm := insn >> 12 & 0x1ff; insn&^(0x1ff<<12) == 0xf8000ffe && imm >= 0x100 {
				return uint32(i), uint32(i + 4), 0x200 - imm, true
			}
		}
	}
	return 0, 0, 0, false
}

// checkPrologues holds the deltas of a whole executable against its machine code and against its
// symbols, neither of which the table was made from.
func checkPrologues(t *testing.T, path string, quantum uint64) {
	t.Helper()
	tab, e := openTable(t, path)
	if tab.quantum != quantum {
		t.Errorf("quantum %d, want %d", tab.quantum, quantum)
	}
	text := e.Section(".text")
	code, err := text.Data()
	if err != nil {
		t.Fatal(err)
	}
	frames, leaves := 0, 0
	syms, err := e.Symbols()
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range syms {
		f, dist, ok := tab.find(uintptr(s.Value))
		if elf.ST_TYPE(s.Info) != elf.STT_FUNC || !ok || dist != 0 || !tab.named(f, s.Name) || f.spWrite() {
			continue
		}
		steps, ok := tab.steps(f)
		if !ok {
			continue
		}
		for steps.next() {
		}
		if steps.pc != s.Size {
			t.Fatalf("deltas for %d bytes of %s, which has %d", steps.pc, s.Name, s.Size)
		}
		at, behind, want, ok := prologue(e.Machine, code[s.Value-text.Addr:][:s.Size])
		if !ok {
			leaves++
			continue
		}
		frames++
		before, ok1 := tab.SPDelta(uintptr(s.Value) + uintptr(at))
		after, ok2 := tab.SPDelta(uintptr(s.Value) + uintptr(behind))
		if !ok1 || !ok2 || after-before != int32(want) {
			t.Fatalf("%s moves SP by %d at +%#x, deltas say %d (%t) to %d (%t)", s.Name, want, at, before, ok1, after, ok2)
		}
	}
	if frames < 1000 || leaves < 100 {
		t.Errorf("only %d functions with and %d without a prologue were found", frames, leaves)
	}
	t.Logf("%d functions with a prologue, %d without", frames, leaves)
}
