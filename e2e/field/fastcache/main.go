// Command fastcache reads a cache that lies outside Go's heap, in memory without a file.
package main

import (
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/VictoriaMetrics/fastcache"
	"github.com/firsttouch/firsttouch/e2e/field/service"
	"golang.org/x/sys/unix"
)

func main() { service.Main(service.Service{Prepare: prepare, Open: open}) }

const (
	keys  = 30000
	block = 64 << 20 // what it maps at once
)

func prepare(string) error { return nil }

type cache struct {
	*fastcache.Cache
	start, end uintptr
}

func open(string) (service.Instance, error) {
	// Pages are known by the page tables, in which a huge page would be there as a whole.
	if err := unix.Prctl(unix.PR_SET_THP_DISABLE, 1, 0, 0, 0); err != nil {
		return nil, fmt.Errorf("PR_SET_THP_DISABLE: %w", err)
	}
	before, err := anonymous()
	if err != nil {
		return nil, err
	}
	c := &cache{Cache: fastcache.New(32 << 20)}
	c.fill(0)
	after, err := anonymous()
	if err != nil {
		return nil, err
	}
	// The new mapping may have grown together with one that was there.
	for _, m := range after {
		start, end := m.Start, m.End
		for _, b := range before {
			if b.Start <= start && start < b.End {
				start = b.End
			}
			if b.Start < end && end <= b.End {
				end = b.Start
			}
		}
		if end > start && end-start >= block {
			c.start, c.end = start, start+block
		}
	}
	if c.end == 0 {
		return nil, fmt.Errorf("no mapping of %d bytes", block)
	}
	return c, nil
}

// anonymous lists the private mappings without a file below Go's heap and above it.
func anonymous() ([]service.Mapping, error) {
	list, err := service.Mappings()
	return slices.DeleteFunc(list, func(m service.Mapping) bool { return m.Path != "" || m.Rights != "rw-p" }), err
}

func key(i int) []byte { return fmt.Appendf(nil, "key %d", i) }

// fill sets the keys from a number on, as many as there are answers for.
func (c *cache) fill(from int) {
	for i := from; i < from+keys; i++ {
		c.Set(key(i), []byte(strings.Repeat(fmt.Sprint("value ", i, " "), 12)))
	}
}

func (c *cache) Memory() (start, end uintptr, err error) { return c.start, c.end, nil }

func (c *cache) Query(w io.Writer) error {
	r := rand.New(rand.NewPCG(17, 18))
	for range 300 {
		v, ok := c.HasGet(nil, key(r.IntN(keys)))
		fmt.Fprintf(w, "%v %s\n", ok, v)
	}
	return nil
}

// Change sets other keys, for which it takes more of its memory.
func (c *cache) Change() error {
	c.fill(keys)
	return nil
}

func (c *cache) Close() error { return nil }
