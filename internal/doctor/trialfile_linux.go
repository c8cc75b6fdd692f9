package doctor

import (
	"bytes"
	"errors"
	"fmt"
	"os"

	"github.com/firsttouch/firsttouch/profiler"
	"golang.org/x/sys/unix"
)

// trialFile makes a file whose pages hold their own number.
func trialFile(path string) error {
	var text []byte
	for i := range trialPages {
		text = append(text, bytes.Repeat([]byte{byte('0' + i)}, os.Getpagesize())...)
	}
	return os.WriteFile(path, text, 0o600)
}

// readPages touches the first and the third page.
func readPages(mem []byte) error {
	for _, i := range []int{0, 2} {
		if got, want := mem[i*os.Getpagesize()+1], byte('0'+i); got != want {
			return fmt.Errorf("page %d reads as %q, and the file has %q", i, got, want)
		}
	}
	return nil
}

func tryFile(p *profiler.Profiler, path string) error {
	if err := trialFile(path); err != nil {
		return err
	}
	r, err := p.MapFile(path)
	if err != nil {
		return err
	}
	defer r.Close()
	if err := readPages(r.Bytes()); err != nil {
		return err
	}
	return expect(p, r.ID(), 2)
}

func tryAttached(p *profiler.Profiler, path string) (err error) {
	if err := trialFile(path); err != nil {
		return err
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	mem, err := unix.Mmap(int(f.Fd()), 0, trialPages*os.Getpagesize(), unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, unix.Munmap(mem)) }()
	r, err := p.AttachFile(path)
	if err != nil {
		return err
	}
	if err := readPages(mem); err != nil {
		return errors.Join(err, r.Close())
	}
	return errors.Join(expect(p, r.ID(), 2), r.Close())
}
