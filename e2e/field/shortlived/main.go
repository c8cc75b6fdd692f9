// Command shortlived maps a thousand files that do not live for long, as logs in segments do.
package main

import (
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"

	"github.com/firsttouch/firsttouch/e2e/field/service"
	"golang.org/x/sys/unix"
)

func main() { service.Main(service.Service{Prepare: prepare, Open: open}) }

const (
	generations = 20
	files       = 50 // at once
	pages       = 32 // of a file
)

func prepare(dir string) error { return create(dir, 0) }

func name(dir string, generation, i int) string {
	return filepath.Join(dir, fmt.Sprintf("%03d-%03d.seg", generation, i))
}

// create writes the files of a generation, which all hold the same.
func create(dir string, generation int) error {
	b := make([]byte, pages*os.Getpagesize())
	for i := range files {
		service.Numbers(b, func(at uint64) uint64 { return uint64(i)<<32 | at })
		if err := os.WriteFile(name(dir, generation, i), b, 0o644); err != nil {
			return err
		}
	}
	return nil
}

type segments struct {
	dir        string
	generation int
	mapped     [][]byte
}

func open(dir string) (service.Instance, error) {
	s := &segments{dir: dir}
	// In a soak the generation is what was left.
	left, err := filepath.Glob(filepath.Join(dir, "*.seg"))
	if err != nil || len(left) == 0 {
		return nil, fmt.Errorf("no segments in %s: %v", dir, err)
	}
	if _, err := fmt.Sscanf(filepath.Base(left[0]), "%d-", &s.generation); err != nil {
		return nil, err
	}
	return s, s.mapAll()
}

func (s *segments) mapAll() error {
	for i := range files {
		b, err := service.Map(name(s.dir, s.generation, i))
		if err != nil {
			return err
		}
		s.mapped = append(s.mapped, b)
	}
	return nil
}

func (s *segments) unmapAll() error {
	for _, b := range s.mapped {
		if err := unix.Munmap(b); err != nil {
			return err
		}
	}
	s.mapped = nil
	return nil
}

func (s *segments) Query(w io.Writer) error {
	r := rand.New(rand.NewPCG(3, 4))
	for _, b := range s.mapped {
		for range pages / 4 {
			at := r.IntN(len(b)/8) * 8
			fmt.Fprintln(w, at, service.Number(b, at))
		}
	}
	return nil
}

// Change replaces all files, generation after generation; each is read while it is there.
func (s *segments) Change() error {
	for n := range generations - 1 {
		if err := create(s.dir, s.generation+1); err != nil {
			return err
		}
		old := s.generation
		if err := s.unmapAll(); err != nil {
			return err
		}
		s.generation++
		if err := s.mapAll(); err != nil {
			return err
		}
		for i := range files {
			if err := os.Remove(name(s.dir, old, i)); err != nil {
				return err
			}
		}
		if n == generations-2 {
			break // the last one is touched by whoever asks next
		}
		time.Sleep(50 * time.Millisecond)
		if err := s.Query(io.Discard); err != nil {
			return err
		}
	}
	return nil
}

func (s *segments) Close() error { return s.unmapAll() }
