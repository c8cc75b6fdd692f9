//go:build field

// Command victoria reads files as VictoriaMetrics does (lib/fs), with its own switch -fs.disableMincore.
package main

import (
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"

	"github.com/VictoriaMetrics/VictoriaMetrics/lib/fs"
	"github.com/firsttouch/firsttouch/e2e/field/service"
)

func main() {
	if err := flag.CommandLine.Parse([]string{"-fs.disableMincore"}); err != nil {
		panic(err)
	}
	service.Main(service.Service{Prepare: prepare, Open: open})
}

const (
	parts = 6
	pages = 1000 // of a part
)

func name(dir string, generation, i int) string {
	return filepath.Join(dir, fmt.Sprintf("part%d-%d.bin", generation, i))
}

func write(dir string, generation int) error {
	b := make([]byte, pages*os.Getpagesize())
	for i := range parts {
		service.Numbers(b, func(at uint64) uint64 { return uint64(i)<<40 | at })
		fs.MustWriteSync(name(dir, generation, i), b)
	}
	return nil
}

func prepare(dir string) error { return write(dir, 0) }

type table struct {
	dir        string
	generation int
	parts      []*fs.ReaderAt
}

func open(dir string) (service.Instance, error) {
	t := &table{dir: dir}
	for ; ; t.generation++ { // in a soak some have gone
		if _, err := os.Stat(name(dir, t.generation, 0)); err == nil {
			break
		} else if t.generation > 1<<20 {
			return nil, err
		}
	}
	t.openAll()
	return t, nil
}

// openAll maps the parts, which the reader does at the first byte that is asked for.
func (t *table) openAll() {
	t.parts = nil
	for i := range parts {
		r := fs.MustOpenReaderAt(name(t.dir, t.generation, i))
		r.MustReadAt(make([]byte, 1), 0)
		t.parts = append(t.parts, r)
	}
}

func (t *table) Query(w io.Writer) error {
	r := rand.New(rand.NewPCG(19, 20))
	b := make([]byte, 24)
	for range 400 {
		at := r.IntN(pages*os.Getpagesize() - len(b))
		t.parts[r.IntN(parts)].MustReadAt(b, int64(at))
		fmt.Fprintln(w, at, b)
	}
	return nil
}

// Change writes new parts, opens them, and removes the old ones, as merging does.
func (t *table) Change() error {
	if err := write(t.dir, t.generation+1); err != nil {
		return err
	}
	old, was := t.parts, t.generation
	t.generation++
	t.openAll()
	for i, r := range old {
		r.MustClose()
		fs.MustRemovePath(name(t.dir, was, i))
	}
	return nil
}

func (t *table) Close() error {
	for _, r := range t.parts {
		r.MustClose()
	}
	return nil
}
