package main

import (
	"fmt"
	"io"
	"io/fs"
)

// archive writes an initramfs: a cpio archive of the newc kind
// (Documentation/driver-api/early-userspace/buffer-format.rst).
type archive struct {
	w     io.Writer
	inode int
	size  int64
	err   error // the first
}

const (
	typeDir     = 0o040000
	typeRegular = 0o100000
)

func (a *archive) dir(name string) { a.add(name, typeDir|0o755, nil) }

func (a *archive) file(name string, mode fs.FileMode, data []byte) {
	a.add(name, typeRegular|int(mode.Perm()), data)
}

func (a *archive) close() error {
	a.add("TRAILER!!!", 0, nil)
	return a.err
}

// add writes an entry. Headers with their names, and contents, are padded to 4 bytes.
func (a *archive) add(name string, mode int, data []byte) {
	a.inode++
	a.write(fmt.Appendf(nil, "070701%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%s\x00",
		a.inode, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name)+1, 0, name))
	a.pad()
	a.write(data)
	a.pad()
}

func (a *archive) pad() { a.write(make([]byte, -a.size&3)) }

func (a *archive) write(b []byte) {
	if a.err == nil {
		_, a.err = a.w.Write(b)
		a.size += int64(len(b))
	}
}
