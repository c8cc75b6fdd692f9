package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"os"

	"github.com/firsttouch/firsttouch/uffd"
	"github.com/firsttouch/firsttouch/uffd/serve"
	"golang.org/x/sys/unix"
)

// handle is a handler in Go for the process at socket 3.
func handle(how string) error {
	socket := os.NewFile(3, "socket")
	var hello [24]byte
	fd, _, err := uffd.Receive(socket, hello[:])
	if err != nil {
		return err
	}
	defer fd.Close()
	base, pages := uffd.Addr(binary.NativeEndian.Uint64(hello[:])), int(binary.NativeEndian.Uint64(hello[8:]))
	size := uffd.PageSize()
	contents, err := unix.Mmap(-1, 0, pages*size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		return err
	}
	if err := unix.Madvise(contents, unix.MADV_NOHUGEPAGE); err != nil {
		return err
	}
	for n := range pages {
		binary.NativeEndian.PutUint64(contents[n*size:], uint64(n+1))
	}
	start := func() (float64, error) {
		_, err := socket.Write([]byte("g"))
		return cpu(), err
	}
	begin := 0.0
	switch how {
	case "read":
		if begin, err = start(); err == nil {
			err = read(fd, base, contents)
		}
	case "serve":
		pidfd, openErr := unix.PidfdOpen(int(binary.NativeEndian.Uint64(hello[16:])), 0)
		if openErr != nil {
			return fmt.Errorf("pidfd_open: %w", openErr)
		}
		r, _ := uffd.RangeAt(base, uintptr(len(contents)))
		layout, layoutErr := serve.NewLayout(serve.Area{Range: r, Contents: contents})
		if layoutErr != nil {
			return layoutErr
		}
		if begin, err = start(); err == nil {
			err = serve.New(fd, layout, serve.WithProcess(pidfd)).Run(context.Background())
		}
	default:
		err = fmt.Errorf("no handler %q", how)
	}
	if err != nil {
		return err
	}
	fmt.Println(cpu() - begin)
	return nil
}

// read is the plain loop: no events, since the process has none.
func read(fd *uffd.FD, base uffd.Addr, contents []byte) error {
	size := uffd.PageSize()
	var msgs [64]uffd.Msg
	for left := len(contents); left > 0; {
		n, err := fd.Read(msgs[:])
		if err != nil {
			return err
		}
		for i := range msgs[:n] {
			page := msgs[i].Address().AlignDown(uintptr(size))
			from := int(page - base)
			filled, err := fd.Copy(page, contents[from:from+size], 0)
			if err != nil {
				return err
			}
			left -= filled
		}
	}
	return nil
}

// cpu is the processor time of this process so far, in seconds.
func cpu() float64 {
	var u unix.Rusage
	_ = unix.Getrusage(unix.RUSAGE_SELF, &u) // fails for a wrong argument only
	return float64(u.Utime.Nano()+u.Stime.Nano()) / 1e9
}
