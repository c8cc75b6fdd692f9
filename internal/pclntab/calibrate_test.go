package pclntab

import (
	"errors"
	"runtime"
	"strings"
	"testing"
)

// TestCalibrateRefusesTablesThatDisagree: every table here can be parsed, and is wrong about one
// thing that the runtime knows better.
func TestCalibrateRefusesTablesThatDisagree(t *testing.T) {
	near, far := anchorOf(runtime.GC), anchorOf(parse)
	if near.addr >= far.addr {
		t.Fatalf("%s is at %#x, not before %s at %#x: the offsets below assume the linker's order", near.name, near.addr, far.name, far.addr)
	}
	gap := uint32(far.addr - near.addr)
	framed := []step{{0, 4}, {8, 12}}
	first := testFunc{name: near.name, sp: framed}
	last := testFunc{name: far.name, off: gap, sp: framed}
	for _, c := range []struct {
		name  string
		funcs []testFunc
		want  string
	}{
		{"no such name", []testFunc{{name: "other", sp: framed}, last}, "no function called"},
		{"second function elsewhere", []testFunc{first, {name: far.name, off: gap + 16, sp: framed}}, "is not at"},
		{"second function of another name", []testFunc{first, {name: "other", off: gap, sp: framed}}, "is not at"},
		{"function that the runtime does not know", []testFunc{first, {name: "made up", off: 16, sp: framed}, last}, "runtime knows no function"},
		{"lines in place of deltas", []testFunc{{name: near.name, sp: []step{{41, 4}, {42, 12}}}, last}, "stack delta 41"},
		{"delta of half a word", []testFunc{{name: near.name, sp: []step{{0, 4}, {3, 12}}}, last}, "stack delta 3"},
		{"deltas beyond the function", []testFunc{{name: near.name, sp: []step{{0, 4}, {8, gap}}}, last}, "stack deltas for"},
		{"deltas of 0 throughout", []testFunc{{name: near.name, sp: []step{{0, gap}}}, {name: far.name, off: gap, sp: []step{{0, 0x1000}}}}, "stack delta 0"},
	} {
		t.Run(c.name, func(t *testing.T) {
			tab, err := parse(build(knownMagic, 1, c.funcs, gap+0x1000))
			if err != nil {
				t.Fatal(err)
			}
			err = tab.calibrate(near, far)
			if !errors.Is(err, ErrLayout) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("err = %v, want ErrLayout with %q", err, c.want)
			}
			if tab.text != 0 {
				t.Errorf("text = %#x after a refusal", tab.text)
			}
		})
	}
}

// TestCalibrateRefusesRecordsOfAnotherSize: a later Go version may give records more fields.
func TestCalibrateRefusesRecordsOfAnotherSize(t *testing.T) {
	near, far := anchorOf(runtime.GC), anchorOf(parse)
	gap := uint32(far.addr - near.addr)
	data := build(knownMagic, 1, []testFunc{
		{name: near.name, sp: []step{{0, 4}, {8, 12}}}, {name: far.name, off: gap, sp: []step{{0, 4}, {8, 12}}},
	}, gap+0x1000)
	tab, err := parse(data)
	if err != nil {
		t.Fatal(err)
	}
	f, ok := tab.function(0)
	if !ok {
		t.Fatal("no first function")
	}
	f.rec[recFuncData] = 6
	if err := tab.calibrate(near, far); !errors.Is(err, ErrLayout) || !strings.Contains(err.Error(), "bytes long") {
		t.Errorf("err = %v, want ErrLayout with the record's length", err)
	}
}
