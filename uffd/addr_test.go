package uffd

import (
	"math"
	"testing"
)

func TestAddrAddReportsOverflow(t *testing.T) {
	const top = Addr(math.MaxUint64)
	for _, c := range []struct {
		a    Addr
		n    uintptr
		want Addr
		ok   bool
	}{
		{0, 0, 0, true},
		{0x1000, 0x1000, 0x2000, true},
		{top, 0, top, true},
		{top, 1, 0, false},
		{top - 0xfff, 0x2000, 0x1000, false},
	} {
		if got, ok := c.a.Add(c.n); got != c.want || ok != c.ok {
			t.Errorf("%v.Add(%#x) = %v, %v; want %v, %v", c.a, c.n, got, ok, c.want, c.ok)
		}
		if r, ok := RangeAt(c.a, c.n); r != (Range{c.a, c.want}) || ok != c.ok {
			t.Errorf("RangeAt(%v, %#x) = %v, %v", c.a, c.n, r, ok)
		}
	}
}

func TestRangeIsHalfOpen(t *testing.T) {
	r := Range{0x1000, 0x3000}
	for a, want := range map[Addr]bool{0xfff: false, 0x1000: true, 0x2fff: true, 0x3000: false} {
		if r.Contains(a) != want {
			t.Errorf("%v contains %v: %v", r, a, !want)
		}
	}
}

func TestRangeVocabulary(t *testing.T) {
	if got := (Range{0x2000, 0x1000}).Len(); got != 0 {
		t.Errorf("a range that is not well formed has length %d", got)
	}
	if got := (Range{0x1000, 0x2fff}).Len(); got != 0x1fff {
		t.Errorf("length %#x", got)
	}
	if got := (Range{0x7f001000, 0x7f002000}).String(); got != "[0x7f001000,0x7f002000)" {
		t.Error(got)
	}
	if got := Addr(0x1fff).AlignDown(0x1000); got != 0x1000 {
		t.Error(got)
	}
	if !(Range{0x1000, 0x2000}).IsAligned(0x1000) || (Range{0x1000, 0x2001}).IsAligned(0x1000) || (Range{0x1001, 0x2000}).IsAligned(0x1000) {
		t.Error("IsAligned is wrong")
	}
	mem := make([]byte, 24)
	if r := RangeOf(mem); r.Len() != 24 || RangeOf(mem[8:]).Start != r.Start+8 {
		t.Errorf("RangeOf: %v, then %v", r, RangeOf(mem[8:]))
	}
}
