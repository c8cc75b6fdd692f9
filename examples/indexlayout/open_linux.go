package indexlayout

import (
	"os"

	"golang.org/x/sys/unix"
)

// Open maps an index.
func Open(path string, l Layout) (*Index, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	data, err := unix.Mmap(int(f.Fd()), 0, int(st.Size()), unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return nil, err
	}
	return on(data, int(st.Size())/(KeySize+ValueSize), l), nil
}

// Close unmaps it.
func (ix *Index) Close() error { return unix.Munmap(ix.data) }
