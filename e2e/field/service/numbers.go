package service

import (
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"os"

	"golang.org/x/sys/unix"
)

// Map maps a file for reading.
func Map(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	return unix.Mmap(int(f.Fd()), 0, int(st.Size()), unix.PROT_READ, unix.MAP_SHARED)
}

// Numbers fills what a file is to hold with numbers of 8 bytes, each by where it stands.
func Numbers(b []byte, of func(at uint64) uint64) {
	for at := 0; at < len(b); at += 8 {
		binary.LittleEndian.PutUint64(b[at:], of(uint64(at)))
	}
}

// Number is the one at a place.
func Number(b []byte, at int) uint64 { return binary.LittleEndian.Uint64(b[at:]) }

// AskNumbers asks for 300 numbers of a file, by chance.
func AskNumbers(w io.Writer, mapped []byte, r *rand.Rand) error {
	for range 300 {
		fmt.Fprintln(w, Number(mapped, r.IntN(len(mapped)/8)*8))
	}
	return nil
}
