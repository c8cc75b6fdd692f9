// Command restore answers the page faults of a virtual machine from its snapshot, as Firecracker asks for:
// go run ./examples/restore -prefetch SOCKET SNAPSHOT
//
// It waits at SOCKET for the monitor, which sends its userfaultfd and a JSON list of its mappings, fills each page of
// SNAPSHOT when it is first touched and, with -prefetch, all others in the background. It ends with the machine.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log"
	"net"
	"os"
	"os/signal"

	"github.com/firsttouch/firsttouch/uffd"
	"github.com/firsttouch/firsttouch/uffd/serve"
	"golang.org/x/sys/unix"
)

func main() {
	prefetch := flag.Bool("prefetch", false, "fill all pages in the background, not only those that are touched")
	flag.Parse()
	if flag.NArg() != 2 {
		log.Fatal("usage: restore [-prefetch] SOCKET SNAPSHOT")
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: flag.Arg(0), Net: "unix"})
	if err != nil {
		log.Fatal(err)
	}
	defer listener.Close()
	defer context.AfterFunc(ctx, func() { listener.Close() })()
	monitor, err := listener.AcceptUnix()
	if err != nil {
		log.Fatal(err)
	}
	defer monitor.Close()
	stats, err := restore(ctx, monitor, flag.Arg(1), *prefetch)
	log.Printf("%d faults, %d KiB filled, %d of them ahead", stats.Faults, stats.Filled>>10, stats.Prefetched>>10)
	if err != nil {
		log.Fatal(err)
	}
}

// mapping is Firecracker's GuestRegionUffdMapping.
type mapping struct {
	Base     uint64 `json:"base_host_virt_addr"`
	Size     uint64 `json:"size"`
	Offset   uint64 `json:"offset"` // in the snapshot
	PageSize int    `json:"page_size"`
}

// restore serves one machine until that has ended.
func restore(ctx context.Context, monitor *net.UnixConn, snapshot string, prefetch bool) (serve.Stats, error) {
	file, err := os.Open(snapshot)
	if err != nil {
		return serve.Stats{}, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return serve.Stats{}, err
	}
	contents, err := unix.Mmap(int(file.Fd()), 0, int(info.Size()), unix.PROT_READ, unix.MAP_PRIVATE)
	if err != nil {
		return serve.Stats{}, fmt.Errorf("map %s: %w", snapshot, err)
	}
	defer unix.Munmap(contents)

	hello := make([]byte, 64<<10)
	fd, n, err := uffd.Receive(monitor, hello)
	if err != nil {
		return serve.Stats{}, err
	}
	defer fd.Close()
	layout, err := layoutOf(hello[:n], contents)
	if err != nil {
		return serve.Stats{}, err
	}
	process, err := peer(monitor)
	if err != nil {
		return serve.Stats{}, err
	}
	defer unix.Close(process)
	server := serve.New(fd, layout, serve.WithProcess(process))
	ahead := make(chan error, 1)
	background, cancel := context.WithCancel(ctx)
	go func() { ahead <- prefetchAll(background, server, prefetch) }()
	err = server.Run(ctx)
	cancel()
	return server.Stats(), errors.Join(err, <-ahead)
}

// layoutOf reads the monitor's list.
func layoutOf(list, contents []byte) (*serve.Layout, error) {
	var mappings []mapping
	if err := json.Unmarshal(list, &mappings); err != nil {
		return nil, fmt.Errorf("the monitor's mappings: %w", err)
	}
	var areas []serve.Area
	for _, m := range mappings {
		if m.Offset > uint64(len(contents)) || m.Size > uint64(len(contents))-m.Offset {
			return nil, fmt.Errorf("the snapshot has %d bytes, and the monitor wants %d at %d", len(contents), m.Size, m.Offset)
		}
		r, _ := uffd.RangeAt(uffd.Addr(m.Base), uintptr(m.Size))
		areas = append(areas, serve.Area{Range: r, Contents: contents[m.Offset:][:m.Size], PageSize: m.PageSize})
	}
	return serve.NewLayout(areas...)
}

// peer is a pidfd of the process at the other end.
func peer(conn *net.UnixConn) (int, error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return -1, err
	}
	var who *unix.Ucred
	var asked error
	if err := raw.Control(func(fd uintptr) { who, asked = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) }); err != nil {
		return -1, err
	}
	if asked != nil {
		return -1, asked
	}
	return unix.PidfdOpen(int(who.Pid), 0)
}

// prefetchAll fills what the machine has not touched yet.
func prefetchAll(ctx context.Context, server *serve.Server, wanted bool) error {
	if !wanted {
		return nil
	}
	for _, a := range server.Layout().Areas() {
		if _, err := server.Prefetch(ctx, a.Range); err != nil && ctx.Err() == nil {
			return fmt.Errorf("prefetch: %w", err)
		}
	}
	return nil
}
