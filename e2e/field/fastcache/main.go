// Command fastcache reads a cache that lies outside Go's heap, in memory without a file.
package main

import (
	"fmt"
	"io"
	"math/rand/v2"
	"reflect"
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
	c := &cache{Cache: fastcache.New(32 << 20)}
	c.fill(0)
	c.end = lastChunk(c.Cache)
	c.start = c.end - block
	return c, nil
}

// lastChunk is the end of the highest chunk in use. The cache maps a block at once and takes the chunks from its end, so that
// is the block's end. The kernel's list of mappings does not tell it: there a block grows together with what is beside it.
func lastChunk(c *fastcache.Cache) (end uintptr) {
	buckets := reflect.ValueOf(c).Elem().FieldByName("buckets")
	for i := range buckets.Len() {
		chunks := buckets.Index(i).FieldByName("chunks")
		for j := range chunks.Len() {
			if b := chunks.Index(j); b.Cap() > 0 {
				end = max(end, b.Pointer()+uintptr(b.Cap()))
			}
		}
	}
	return end
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
