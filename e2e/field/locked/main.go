// Command locked has all its memory locked while it reads a file, or where it may not lock so much the file alone, and then
// nothing any more.
package main

import (
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"

	"github.com/firsttouch/firsttouch/e2e/field/service"
	"golang.org/x/sys/unix"
)

func main() { service.Main(service.Service{Prepare: prepare, Open: open}) }

const pages = 1000

func prepare(dir string) error {
	b := make([]byte, pages*os.Getpagesize())
	for at := 0; at < len(b); at += 8 {
		binary.LittleEndian.PutUint64(b[at:], uint64(at)*3)
	}
	return os.WriteFile(filepath.Join(dir, "locked.data"), b, 0o644)
}

type file struct {
	path   string
	mapped []byte
}

func open(dir string) (service.Instance, error) {
	f := &file{path: filepath.Join(dir, "locked.data")}
	all := unix.Mlockall(unix.MCL_CURRENT | unix.MCL_FUTURE)
	if err := f.remap(); err != nil || all == nil {
		return f, err
	}
	return f, unix.Mlock(f.mapped) // RLIMIT_MEMLOCK
}

func (f *file) remap() error {
	if f.mapped != nil {
		if err := unix.Munmap(f.mapped); err != nil {
			return err
		}
	}
	o, err := os.Open(f.path)
	if err != nil {
		return err
	}
	defer o.Close()
	f.mapped, err = unix.Mmap(int(o.Fd()), 0, pages*os.Getpagesize(), unix.PROT_READ, unix.MAP_SHARED)
	return err
}

func (f *file) Query(w io.Writer) error {
	r := rand.New(rand.NewPCG(11, 12))
	for range 300 {
		at := r.IntN(len(f.mapped)/8) * 8
		fmt.Fprintln(w, binary.LittleEndian.Uint64(f.mapped[at:]))
	}
	return nil
}

// Change unlocks everything, and maps the file anew.
func (f *file) Change() error {
	if err := unix.Munlockall(); err != nil {
		return err
	}
	return f.remap()
}

func (f *file) Close() error { return unix.Munmap(f.mapped) }
