//go:build linux

package serve_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"net"
	"os"
	"os/exec"

	"github.com/firsttouch/firsttouch/uffd"
	"github.com/firsttouch/firsttouch/uffd/serve"
	"golang.org/x/sys/unix"
)

// A restore handler. The process that is restored connects to a Unix socket, and sends its descriptor with a list of its
// ranges and where each of them begins in the snapshot.
func ExampleServer() {
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: "/run/restore.sock", Net: "unix"})
	if err != nil {
		log.Fatal(err)
	}
	conn, err := listener.AcceptUnix()
	if err != nil {
		log.Fatal(err)
	}
	var message [4096]byte
	fd, n, err := uffd.Receive(conn, message[:], uffd.WithFeatures(uffd.FeatureEventRemove))
	if err != nil {
		log.Fatal(err)
	}
	defer fd.Close()
	var ranges []struct {
		Base, Size, Offset uint64
		Pid                int
	}
	if err := json.Unmarshal(message[:n], &ranges); err != nil || len(ranges) == 0 {
		log.Fatalf("%q: %v", message[:n], err)
	}

	file, err := os.Open("/var/lib/snapshot")
	if err != nil {
		log.Fatal(err)
	}
	info, err := file.Stat()
	if err != nil {
		log.Fatal(err)
	}
	snapshot, err := unix.Mmap(int(file.Fd()), 0, int(info.Size()), unix.PROT_READ, unix.MAP_PRIVATE)
	if err != nil {
		log.Fatal(err)
	}
	var areas []serve.Area
	for _, r := range ranges {
		memory, ok := uffd.RangeAt(uffd.Addr(r.Base), uintptr(r.Size))
		if !ok || r.Offset+r.Size > uint64(len(snapshot)) {
			log.Fatalf("range %+v of a snapshot of %d bytes", r, len(snapshot))
		}
		areas = append(areas, serve.Area{Range: memory, Contents: snapshot[r.Offset : r.Offset+r.Size]})
	}
	layout, err := serve.NewLayout(areas...)
	if err != nil {
		log.Fatal(err)
	}
	pidfd, err := unix.PidfdOpen(ranges[0].Pid, 0)
	if err != nil {
		log.Fatal(err)
	}
	defer unix.Close(pidfd)

	server := serve.New(fd, layout, serve.WithProcess(pidfd))
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		for _, a := range areas { // what nobody has touched so far
			if _, err := server.Prefetch(ctx, a.Range); err != nil {
				log.Print(err)
				return
			}
		}
	}()
	if err := server.Run(ctx); err != nil {
		log.Fatal(err)
	}
	fmt.Printf("the process has ended: %+v\n", server.Stats())
}

// A supervisor, which has received the descriptor as in the example of Server, and starts itself again to serve it. It does
// as little as can be, so that it does not die.
func ExampleSupervise() {
	if len(os.Args) > 1 && os.Args[1] == "serve" {
		fd, journal, err := serve.Supervised()
		if err != nil {
			log.Fatal(err)
		}
		defer fd.Close()
		layout, err := serve.NewLayout( /* the areas, as they were in the beginning */ )
		if err != nil {
			log.Fatal(err)
		}
		if err := serve.New(fd, layout, journal).Run(context.Background()); err != nil {
			log.Fatal(err)
		}
		return
	}
	fd, err := uffd.Adopt(5) // came over a Unix socket
	if err != nil {
		log.Fatal(err)
	}
	err = serve.Supervise(context.Background(), fd, func() *exec.Cmd {
		c := exec.Command("/proc/self/exe", "serve")
		c.Stderr = os.Stderr
		return c
	})
	if err != nil {
		log.Print("nobody can serve: end the process now, before its memory reads as zeros: ", err)
	}
}
