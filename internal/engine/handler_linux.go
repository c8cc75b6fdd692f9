//go:build linux && (amd64 || arm64)

package engine

import (
	"fmt"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/firsttouch/firsttouch/internal/raw"
	"golang.org/x/sys/unix"
)

// running is held by the one engine of the process.
var running atomic.Bool

// inHandler counts threads inside the signal handler, so that nothing is freed under them.
var inHandler uint32

// sigaction is the kernel's struct (include/linux/signal_types.h): amd64 has the restorer, arm64
// keeps the field for compatibility and returns through the vDSO.
type sigaction struct {
	handler, flags, restorer uintptr
	mask                     uint64
}

// include/uapi/asm-generic/signal-defs.h; SA_RESTORER is the architectures' own.
const (
	saSiginfo  = 0x00000004
	saRestorer = 0x04000000
	saOnstack  = 0x08000000
	saRestart  = 0x10000000
)

// SIG_DFL and SIG_IGN in the place of a handler.
const (
	sigDfl = 0
	sigIgn = 1
)

// signalBefore is the handler that a signal of ours had before, by its number, or 0. It gets what is not ours.
var signalBefore [65]uintptr

// installHandler puts the engine's handler in the place of the one that was seen there. It stays for the life of the
// process: a signal still on its way when an engine stops would otherwise end the process, as is the default.
func installHandler(sig int, seen *sigaction) error {
	_, handler, restorer := entries()
	signalBefore[sig] = 0
	if seen.handler > sigIgn {
		signalBefore[sig] = seen.handler
	}
	a := sigaction{
		handler: handler, restorer: restorer,
		// On the signal stack, because a goroutine's own has no room; restarting system calls, because
		// the code that is interrupted does not know; with everything masked, because the handler must
		// not be interrupted by one that faults.
		flags: saSiginfo | saOnstack | saRestart | saRestorer,
		mask:  ^uint64(0),
	}
	var was sigaction
	if e := rtSigaction(sig, &a, &was); e != 0 {
		return fmt.Errorf("install the handler of signal %d: %w", sig, e)
	}
	if was.handler != seen.handler {
		rtSigaction(sig, &was, nil)
		return fmt.Errorf("signal %d: %w", sig, errHandlerChanged)
	}
	return nil
}

func rtSigaction(sig int, set, old *sigaction) unix.Errno {
	return unix.Errno(raw.Errno(raw.Syscall(unix.SYS_RT_SIGACTION, uintptr(sig),
		uintptr(unsafe.Pointer(set)), uintptr(unsafe.Pointer(old)), 8, 0, 0)))
}

// retireHandler makes the handler find no engine and waits until none is inside. Those that wait for storage are not: they look at epoch.
func retireHandler() {
	raw.Store64(&sh, 0)
	raw.Add64(&epoch, 1)
	settleBus()
	for raw.Load32(&inHandler) != 0 {
		time.Sleep(50 * time.Microsecond)
	}
}
