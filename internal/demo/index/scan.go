package index

import (
	"context"
	"fmt"
	"go/scanner"
	"go/token"
	"math"
	"os"
	"path/filepath"
)

// occurrence is one identifier at one place.
type occurrence struct {
	name  uint32 // number of the name, in order of first appearance
	file  uint32
	line  uint32 // counted from 1
	start uint32 // offset of the line's first byte in the file
}

// scan is what has been read of a tree so far. The texts are not kept: they go into the database
// as they are read.
type scan struct {
	numbers     map[string]uint32
	names       []string
	occurrences []occurrence
}

// tree reads every file and hands its number and text on. Broken files are read as far as the
// scanner understands them: a source tree has some on purpose, as test data.
func (s *scan) tree(ctx context.Context, t Tree, progress Progress, text func(file uint32, text []byte) error) error {
	s.numbers = make(map[string]uint32)
	var done int64
	for i, f := range t.Files {
		if err := ctx.Err(); err != nil {
			return err
		}
		src, err := os.ReadFile(filepath.Join(t.Root, filepath.FromSlash(f.Path)))
		if err != nil {
			return fmt.Errorf("reading the source tree: %w", err)
		}
		if len(src) > math.MaxInt32 {
			return fmt.Errorf("reading the source tree: %s has %d bytes, more than a source file may have", f.Path, len(src))
		}
		s.file(uint32(i), src)
		if err := text(uint32(i), src); err != nil {
			return err
		}
		done += f.Size
		progress.report("reading "+t.Root, done, t.Bytes)
	}
	return nil
}

func (s *scan) file(number uint32, src []byte) {
	file := token.NewFileSet().AddFile("", -1, len(src))
	var sc scanner.Scanner
	sc.Init(file, src, nil, 0)
	for {
		pos, tok, literal := sc.Scan()
		if tok == token.EOF {
			return
		}
		if tok != token.IDENT {
			continue
		}
		// Not adjusted by //line: the hit shows this file.
		line := file.PositionFor(pos, false).Line
		s.occurrences = append(s.occurrences, occurrence{
			name:  s.number(literal),
			file:  number,
			line:  uint32(line),
			start: uint32(file.Offset(file.LineStart(line))),
		})
	}
}

func (s *scan) number(name string) uint32 {
	n, ok := s.numbers[name]
	if !ok {
		n = uint32(len(s.names))
		s.numbers[name] = n
		s.names = append(s.names, name)
	}
	return n
}

// byName groups the occurrences: list[first[n]:first[n+1]] are those of name number n, in the order of
// file and line in which they were read. A counting sort, since there are millions.
func (s *scan) byName() (list []occurrence, first []int) {
	first = make([]int, len(s.names)+1)
	for _, o := range s.occurrences {
		first[o.name+1]++
	}
	for n := range s.names {
		first[n+1] += first[n]
	}
	next := append([]int(nil), first...)
	list = make([]occurrence, len(s.occurrences))
	for _, o := range s.occurrences {
		list[next[o.name]] = o
		next[o.name]++
	}
	return list, first
}
