// Command locked has all its memory locked while it reads a file, or where it may not lock so much the file alone, and then
// nothing any more.
package main

import (
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
	service.Numbers(b, func(at uint64) uint64 { return at * 3 })
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
	var err error
	f.mapped, err = service.Map(f.path)
	return err
}

func (f *file) Query(w io.Writer) error {
	return service.AskNumbers(w, f.mapped, rand.New(rand.NewPCG(11, 12)))
}

// Change unlocks everything, and maps the file anew.
func (f *file) Change() error {
	if err := unix.Munlockall(); err != nil {
		return err
	}
	return f.remap()
}

func (f *file) Close() error { return unix.Munmap(f.mapped) }
