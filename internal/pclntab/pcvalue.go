package pclntab

// steps walks a pc-value table: pairs of varints, the first the zigzag-coded change of the value,
// the second the number of quanta for which the new value holds. A value change of 0 that is not
// the first ends the table (step and readvarint, runtime/symtab.go).
type steps struct {
	tab     []byte
	quantum uint64
	value   int32
	pc      uint64 // bytes from the function's entry at which value stops to hold
}

// next moves to the next value; false at the end of the table and where it is cut off.
func (s *steps) next() bool {
	change, ok := s.uvarint()
	if !ok || change == 0 && s.pc != 0 {
		return false
	}
	run, ok := s.uvarint()
	if !ok {
		return false
	}
	s.value += int32(-(change & 1) ^ (change >> 1))
	s.pc += uint64(run) * s.quantum
	return true
}

// uvarint is the linker's: at most 32 bits, higher ones lost.
func (s *steps) uvarint() (v uint32, ok bool) {
	for i, b := range s.tab {
		if shift := 7 * i; shift < 32 {
			v |= uint32(b&0x7f) << shift
		}
		if b&0x80 == 0 {
			s.tab = s.tab[i+1:]
			return v, true
		}
	}
	return 0, false
}

// at returns the value that holds dist bytes behind the entry.
func (s steps) at(dist uint32) (value int32, ok bool) {
	for s.next() {
		if uint64(dist) < s.pc {
			return s.value, true
		}
	}
	return 0, false
}
