//go:build field

// Command bleve searches an index of bleve (scorch), adds to it, and merges its segments.
package main

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"time"

	"github.com/blevesearch/bleve/v2"
	"github.com/blevesearch/bleve/v2/index/scorch"
	"github.com/blevesearch/bleve/v2/index/scorch/mergeplan"
	"github.com/firsttouch/firsttouch/e2e/field/service"
)

func main() { service.Main(service.Service{Prepare: prepare, Open: open}) }

const (
	batches   = 8
	documents = 500 // of a batch
)

type index struct {
	bleve.Index
	dir   string
	added int
}

// add makes a batch, which becomes a segment. Documents of one text are found by one question.
func (x *index) add(from int, text string) error {
	b := x.NewBatch()
	for i := from; i < from+documents; i++ {
		if err := b.Index(fmt.Sprintf("%s %06d", text, i), map[string]any{
			"text":   fmt.Sprintf("%s-%d of group %s-g%d, with w%d y%d", text, i, text, i%200, i*7%1009, i*13%4001),
			"number": i,
		}); err != nil {
			return err
		}
	}
	return x.Batch(b)
}

func prepare(dir string) error {
	created, err := bleve.NewUsing(filepath.Join(dir, "index"), bleve.NewIndexMapping(), scorch.Name, scorch.Name, nil)
	if err != nil {
		return err
	}
	x := &index{Index: created, dir: dir}
	for b := range batches {
		if err := x.add(b*documents, "thing"); err != nil {
			return err
		}
	}
	if err := x.merge(); err != nil {
		return err
	}
	return x.Close()
}

func open(dir string) (service.Instance, error) {
	opened, err := bleve.Open(filepath.Join(dir, "index"))
	return &index{Index: opened, dir: dir}, err
}

func (x *index) Query(w io.Writer) error {
	for i := range 20 {
		r := bleve.NewSearchRequestOptions(bleve.NewMatchPhraseQuery(fmt.Sprintf("thing-g%d", i*9)), 20, 0, false)
		r.SortBy([]string{"_id"})
		r.Fields = []string{"text"}
		found, err := x.Search(r)
		if err != nil {
			return err
		}
		fmt.Fprintln(w, found.Total)
		for _, hit := range found.Hits {
			fmt.Fprintln(w, hit.ID, hit.Fields["text"])
		}
	}
	return nil
}

// merge makes one segment of all, and waits until the files of the others are gone.
func (x *index) merge() error {
	inner, err := x.Advanced()
	if err != nil {
		return err
	}
	if err := inner.(*scorch.Scorch).ForceMerge(context.Background(), &mergeplan.SingleSegmentMergePlanOptions); err != nil {
		return err
	}
	var last []string
	for same := 0; same < 10; { // until nothing has changed for half a second
		list, err := filepath.Glob(filepath.Join(x.dir, "index", "store", "*.zap"))
		if err != nil {
			return err
		}
		same++
		if !slices.Equal(list, last) {
			same = 0
		}
		last = list
		time.Sleep(50 * time.Millisecond)
	}
	return nil
}

// Change adds documents that are no answers, and merges.
func (x *index) Change() error {
	x.added++
	if err := x.add(x.added*documents, "other"); err != nil {
		return err
	}
	return x.merge()
}
