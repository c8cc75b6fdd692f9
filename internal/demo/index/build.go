package index

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
)

// rankingBlock is about how many bytes of names a ranking value holds.
const rankingBlock = 16 << 10

// Build reads the tree and writes its index to path, which must not exist. The file is on the disk
// when Build returns; after an error, or a crash, it is not an index: Open answers ErrIncomplete.
func Build(ctx context.Context, t Tree, path string, progress Progress) error {
	w, err := newWriter(path)
	if err != nil {
		return err
	}
	defer w.abandon()
	var s scan
	err = s.tree(ctx, t, progress, func(file uint32, text []byte) error {
		if err := w.put(bucketFiles, number(file), []byte(t.Files[file].Path)); err != nil {
			return err
		}
		return w.put(bucketSource, number(file), text)
	})
	if err != nil {
		return err
	}
	m := Meta{
		Version: schemaVersion, Source: t.Root, Files: len(t.Files), SourceBytes: t.Bytes,
		Names: len(s.names), Occurrences: len(s.occurrences),
	}
	if err := s.write(ctx, w, progress); err != nil {
		return err
	}
	return w.finish(m)
}

// write turns the occurrences into postings, names and ranking, in the order of their keys.
func (s *scan) write(ctx context.Context, w *writer, progress Progress) error {
	list, first := s.byName()
	s.occurrences = nil // half of the memory, not needed any more
	order := make([]uint32, len(s.names))
	for n := range order {
		order[n] = uint32(n)
	}
	slices.SortFunc(order, func(a, b uint32) int { return strings.Compare(s.names[a], s.names[b]) })
	for i, n := range order {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := s.writeName(w, n, list[first[n]:first[n+1]]); err != nil {
			return err
		}
		progress.report("writing the index", int64(i+1), int64(len(order)))
	}
	count := func(n uint32) int { return first[n+1] - first[n] }
	slices.SortStableFunc(order, func(a, b uint32) int { return cmp.Compare(count(b), count(a)) })
	return s.writeRanking(w, order)
}

func (s *scan) writeName(w *writer, n uint32, list []occurrence) error {
	var files uint32
	all := uint32(len(list))
	for len(list) > 0 {
		file, k := list[0].file, 0
		var value []byte
		for ; k < len(list) && list[k].file == file; k++ {
			value = appendOccurrence(value, list[k].line, list[k].start)
		}
		if err := w.put(bucketPostings, postingKey(s.names[n], file), value); err != nil {
			return err
		}
		list = list[k:]
		files++
	}
	return w.put(bucketNames, []byte(s.names[n]), counts(all, files))
}

func (s *scan) writeRanking(w *writer, order []uint32) error {
	var block []byte
	var blocks uint32
	for i, n := range order {
		block = append(append(block, s.names[n]...), '\n')
		if len(block) < rankingBlock && i < len(order)-1 {
			continue
		}
		if err := w.put(bucketRanking, number(blocks), block); err != nil {
			return err
		}
		blocks++
		block = nil // bbolt keeps the value until the commit
	}
	return nil
}

// Progress is told what is being done and how far it is, often, from one goroutine. nil is silent.
type Progress func(stage string, done, total int64)

func (p Progress) report(stage string, done, total int64) {
	if p != nil {
		p(stage, done, total)
	}
}

// String says what the index holds, for a person.
func (m Meta) String() string {
	return fmt.Sprintf("%d occurrences of %d identifiers in %d files", m.Occurrences, m.Names, m.Files)
}
