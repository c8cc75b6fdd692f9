package doctor

import (
	"errors"
	"fmt"
	"os"

	"github.com/firsttouch/firsttouch/profiler"
	"golang.org/x/sys/unix"
)

// tryMemory attaches memory that holds something, touches a page, arms it again and touches the page again.
func tryMemory(p *profiler.Profiler, name string, flags int, opts ...profiler.RegionOption) (err error) {
	mem, err := unix.Mmap(-1, 0, trialPages*os.Getpagesize(), unix.PROT_READ|unix.PROT_WRITE, flags|unix.MAP_ANONYMOUS)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, unix.Munmap(mem)) }()
	for i := range mem {
		mem[i] = byte(i / os.Getpagesize())
	}
	r, err := p.AttachMemory(name, mem, opts...)
	if err != nil {
		return err
	}
	return errors.Join(touchTwice(p, r, mem), r.Close())
}

// touchTwice writes to one page before and after it is armed again.
func touchTwice(p *profiler.Profiler, r *profiler.Region, mem []byte) error {
	page := os.Getpagesize()
	for round := range 2 {
		mem[page+2] = byte(round)
		if mem[page] != 1 || mem[page+2] != byte(round) {
			return errors.New("the memory has other contents than were written")
		}
		if err := expect(p, r.ID(), uint64(round+1)); err != nil {
			return err
		}
		if round == 0 {
			if err := r.Rearm(); err != nil {
				return fmt.Errorf("arm it again: %w", err)
			}
		}
	}
	return nil
}
