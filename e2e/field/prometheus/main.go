//go:build field

// Command prometheus queries and compacts Prometheus' database of time series.
package main

import (
	"context"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/firsttouch/firsttouch/e2e/field/service"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/tsdb"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
)

func main() { service.Main(service.Service{Prepare: prepare, Open: open}) }

const (
	series = 400
	step   = 30_000 // ms
	hour   = 3_600_000
	hours  = 11 // four blocks of two hours, and the head
)

func options(longest int64) *tsdb.Options {
	o := tsdb.DefaultOptions()
	o.RetentionDuration = 0
	o.MinBlockDuration, o.MaxBlockDuration = 2*hour, longest
	return o
}

func prepare(dir string) error {
	db, err := tsdb.Open(dir, nil, nil, options(2*hour), nil)
	if err != nil {
		return err
	}
	for h := range hours {
		a := db.Appender(context.Background())
		for s := range series {
			of := labels.FromStrings("__name__", "work_seconds_total", "instance", strconv.Itoa(s), "group", strconv.Itoa(s%20))
			for t := int64(h) * hour; t < int64(h+1)*hour; t += step {
				if _, err := a.Append(0, of, t, math.Sin(float64(t+int64(s)))); err != nil {
					return err
				}
			}
		}
		if err := a.Commit(); err != nil {
			return err
		}
	}
	if err := db.Compact(context.Background()); err != nil {
		return err
	}
	if n := len(db.Blocks()); n != 4 {
		return fmt.Errorf("%d blocks", n)
	}
	return db.Close()
}

type database struct {
	db *tsdb.DB
	of string
}

func open(dir string) (service.Instance, error) {
	db, err := tsdb.Open(dir, nil, nil, options(18*hour), nil)
	if err != nil {
		return nil, err
	}
	db.DisableCompactions()
	return &database{db, dir}, nil
}

// Query asks for some series in the middle of each block.
func (d *database) Query(w io.Writer) error {
	for h := int64(1); h < hours; h += 2 {
		if err := d.ask(w, h*hour, h*hour+5*step); err != nil {
			return err
		}
	}
	return nil
}

func (d *database) ask(w io.Writer, from, to int64) error {
	q, err := d.db.Querier(from, to)
	if err != nil {
		return err
	}
	defer q.Close()
	set := q.Select(context.Background(), true, nil, labels.MustNewMatcher(labels.MatchEqual, "group", strconv.FormatInt(from/hour, 10)))
	for set.Next() {
		s := set.At()
		fmt.Fprintln(w, s.Labels())
		i := s.Iterator(nil)
		for i.Next() == chunkenc.ValFloat {
			t, v := i.At()
			fmt.Fprintln(w, t, v)
		}
		if i.Err() != nil {
			return i.Err()
		}
	}
	return set.Err()
}

// Change makes one block of several, which deletes them.
func (d *database) Change() error {
	before := len(d.db.Blocks())
	d.db.EnableCompactions()
	err := d.db.Compact(context.Background())
	d.db.DisableCompactions()
	if err != nil {
		return err
	}
	// In a soak it is done but once.
	if n := len(d.db.Blocks()); n > before {
		return fmt.Errorf("%d blocks, %d before", n, before)
	}
	return d.gone()
}

// gone waits until the old blocks are deleted.
func (d *database) gone() error {
	for range 100 {
		list, err := filepath.Glob(filepath.Join(d.of, "*", "index"))
		if err != nil {
			return err
		}
		if len(list) == len(d.db.Blocks()) {
			return nil
		}
		time.Sleep(10 * time.Millisecond)
	}
	return fmt.Errorf("blocks are not deleted: %w", os.ErrDeadlineExceeded)
}

func (d *database) Close() error { return d.db.Close() }
