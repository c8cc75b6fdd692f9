//go:build linux && (amd64 || arm64)

package engine

import (
	"maps"
	"runtime"
	"unsafe"

	"github.com/firsttouch/firsttouch/internal/raw"
	"golang.org/x/sys/unix"
)

// idPlace is where a thread's id is: the word m of a g points to what holds it in its word id.
type idPlace struct{ m, id int }

// mWords is how far into an m the id is looked for, in words.
const mWords = 64

// threadOffsets finds where this Go runtime keeps the m in a g, and the thread's id in that m (procid). As with
// goidOffsets the layout is measured: they count only if no other pair leads to the thread's id on each of
// several threads. 0 means not found; then the kernel is asked.
func threadOffsets() (m, id uintptr) {
	const trials = 4
	var places map[idPlace]bool
	release := make(chan struct{})
	defer close(release)
	for range trials {
		found := make(chan map[idPlace]bool)
		go func() {
			here := idPlaces()
			found <- here
			// The thread is kept until all have been tried, so that the next one is another.
			runtime.LockOSThread()
			<-release
			runtime.UnlockOSThread()
		}()
		here := <-found
		if places == nil {
			places = here
		}
		maps.DeleteFunc(places, func(p idPlace, _ bool) bool { return !here[p] })
	}
	if len(places) != 1 {
		return 0, 0
	}
	for p := range places {
		m, id = uintptr(p.m)*8, uintptr(p.id)*8
	}
	return m, id
}

// idPlaces returns every pair of words that leads to the id of this thread, but for what lies on its goroutine's
// stack, whose bounds a g begins with (runtime/runtime2.go).
//
//go:norace
func idPlaces() map[idPlace]bool {
	for {
		places := map[idPlace]bool{}
		thread := unix.Gettid()
		for m := range gWords {
			g := raw.G()
			lo, hi, p := *at[uintptr](g), *at[uintptr](g + 8), *at[uintptr](g + uintptr(m)*8) // the stack may grow in calls
			if lo <= p && p < hi {
				continue
			}
			var words [mWords]uint64
			n := readAt(p, &words)
			for id, v := range words[:n] {
				if v == uint64(thread) {
					places[idPlace{m, id}] = true
				}
			}
		}
		if unix.Gettid() == thread {
			return places
		}
	}
}

// readAt copies the words at what may be an address, and returns how many there are. It asks the kernel, which
// knows what is no address.
func readAt(p uintptr, words *[mWords]uint64) int {
	local := unix.Iovec{Base: (*byte)(unsafe.Pointer(words))}
	local.SetLen(len(words) * 8)
	n, err := unix.ProcessVMReadv(unix.Getpid(), []unix.Iovec{local}, []unix.RemoteIovec{{Base: p, Len: len(words) * 8}}, 0)
	if err != nil {
		return 0
	}
	return n / 8
}
