//go:build linux && (amd64 || arm64)

package profiler

import (
	"os"
	"runtime/debug"
	"slices"
	"strconv"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// When a thread dies, the kernel marks the robust mutexes that it holds (pthread_mutexattr_setrobust), so that whoever
// waits for one goes on with EOWNERDEAD. The faults of a dying thread go to no userfaultfd (PF_EXITING in
// handle_userfault, fs/userfaultfd.c), whatever may be served: a mutex in armed memory would stay locked for ever, for other
// processes too. LMDB's writers have such a mutex in lock.mdb.

// robustHead is struct robust_list_head, include/uapi/linux/futex.h.
type robustHead struct {
	next    uintptr // the first entry, or the head itself; bit 0 tells the kind of the mutex
	offset  int64   // from an entry to its futex
	pending uintptr // an entry that is being added or taken away, or 0
}

// robustLimit is how many entries of a list the kernel looks at (ROBUST_LIST_LIMIT).
const robustLimit = 2048

// openHeld opens the granules of mappings, right after they were armed, in which a thread holds a robust mutex or has its
// list of them: by touching them, so that they show as touched by the profiler. A mutex that is taken later opens its
// granule itself. The caller holds r.mu.
//
// A thread that dies between the arming and this, some 100 µs, leaves its mutexes locked.
func (r *Region) openHeld(list []*mapping) {
	if r.kind == KindGoHeap || r.kind == KindMappedFile { // C keeps no mutex there
		return
	}
	if r.kind == KindAttached {
		list = slices.DeleteFunc(slices.Clone(list), func(m *mapping) bool { return m.prot&unix.PROT_WRITE == 0 })
	}
	if len(list) == 0 {
		return
	}
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return // the notes say so: threads cannot be parked either
	}
	open := func(p uintptr) {
		for _, m := range list {
			if m.Lo <= p && p < m.Hi {
				touchWord(p&^3, m.means == byProtect)
			}
		}
	}
	for _, task := range tasks {
		var head, size uintptr
		tid, err := strconv.Atoi(task.Name())
		if err != nil {
			continue
		}
		if _, _, errno := unix.Syscall(unix.SYS_GET_ROBUST_LIST, uintptr(tid), uintptr(unsafe.Pointer(&head)), uintptr(unsafe.Pointer(&size))); errno != 0 || head == 0 {
			continue // it has ended, or has no list
		}
		var h robustHead
		open(head)
		open(head + unsafe.Sizeof(h) - 1)
		if !peek(head, unsafe.Pointer(&h), unsafe.Sizeof(h)) {
			continue
		}
		held := func(entry uintptr) {
			open(entry)
			open(entry + uintptr(h.offset))
		}
		if p := h.pending &^ 1; p != 0 {
			held(p)
		}
		entry := h.next &^ 1
		for range robustLimit {
			if entry == head || entry == 0 {
				break
			}
			held(entry)
			var next uintptr
			if !peek(entry, unsafe.Pointer(&next), unsafe.Sizeof(next)) {
				break
			}
			entry = next &^ 1
		}
	}
}

// peek reads memory of this process that may be gone.
func peek(p uintptr, to unsafe.Pointer, n uintptr) bool {
	local := unix.Iovec{Base: (*byte)(to)}
	local.SetLen(int(n))
	got, err := unix.ProcessVMReadv(os.Getpid(), []unix.Iovec{local}, []unix.RemoteIovec{{Base: p, Len: int(n)}}, 0)
	return err == nil && got == int(n)
}

// touchWord reads a word, or writes it without a change. The owner of the memory may unmap it at this moment.
func touchWord(p uintptr, write bool) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() { _ = recover() }()
	word := *(**uint32)(unsafe.Pointer(&p))
	if write {
		atomic.AddUint32(word, 0)
		return
	}
	atomic.LoadUint32(word)
}
