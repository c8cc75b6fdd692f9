// Command slowstore serves a file from a store that is slow to answer, as if it were in memory:
// go run ./examples/slowstore FILE & echo 0 64 | nc 127.0.0.1 8082
//
// Connections write straight out of a region. Where it is not there yet, write(2) waits in the kernel,
// and the extent around it is fetched, with the next one. Nothing but system calls touches the region.
package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/firsttouch/firsttouch/uffd"
)

const extent = 256 << 10 // bytes of one request to the store, a multiple of every page size

type region struct {
	fd    *uffd.FD
	mem   []byte
	store func(p []byte, off int64) (int, error)
	asked []atomic.Bool // by extent
}

func open(store func(p []byte, off int64) (int, error), size int) (*region, error) {
	extents := (size + extent - 1) / extent
	mem, err := syscall.Mmap(-1, 0, extents*extent, syscall.PROT_READ, syscall.MAP_PRIVATE|syscall.MAP_ANON)
	fd, openErr := uffd.Open(uffd.WithPaths(uffd.PathDevice, uffd.PathSyscall)) // the faults are the kernel's
	if err = errors.Join(err, openErr); err != nil {
		return nil, err
	}
	_, err = fd.Register(uffd.RangeOf(mem), uffd.ModeMissing)
	return &region{fd, mem, store, make([]atomic.Bool, extents)}, err
}

// serve answers faults until the descriptor is closed.
func (r *region) serve() error {
	for msgs := make([]uffd.Msg, 64); ; {
		n, err := r.fd.Read(msgs)
		if err != nil {
			return err
		}
		for i := range msgs[:n] {
			e := int(msgs[i].Address()-uffd.RangeOf(r.mem).Start) / extent
			go r.load(e)
			go r.load(e + 1) // prefetch
		}
	}
}

// load fills an extent, once, which wakes all who wait for a page of it.
func (r *region) load(e int) {
	if e >= len(r.asked) || r.asked[e].Swap(true) {
		return
	}
	data, at := make([]byte, extent), uffd.RangeOf(r.mem).Start+uffd.Addr(e*extent)
	_, err := r.store(data, int64(e*extent))
	if err == nil || err == io.EOF {
		_, err = r.fd.Copy(at, data, 0)
	} else { // an error for those who wait, in place of a wait without end
		_, err = r.fd.Poison(uffd.Range{Start: at, End: at + extent}, 0)
	}
	log.Printf("extent %d: %v", e, err)
}

// answer sends the bytes that one line asks for, by offset and length.
func (r *region) answer(c net.Conn) {
	defer c.Close()
	var from, n int
	if _, err := fmt.Fscanln(c, &from, &n); err == nil && from >= 0 && n >= 0 && from <= len(r.mem)-n {
		_, _ = c.Write(r.mem[from : from+n])
	}
}

func main() {
	data := must(os.ReadFile(os.Args[1]))
	r := must(open(func(p []byte, off int64) (int, error) {
		time.Sleep(20 * time.Millisecond)
		return bytes.NewReader(data).ReadAt(p, off)
	}, len(data)))
	go func() { log.Fatal(r.serve()) }()
	for l := must(net.Listen("tcp", "127.0.0.1:8082")); ; {
		go r.answer(must(l.Accept()))
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	return v
}
