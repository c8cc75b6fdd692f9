//go:build linux && (amd64 || arm64)

package profiler

import (
	"strings"

	"golang.org/x/sys/unix"
)

// refusal says why a piece of memory cannot be attached, or is empty for private anonymous memory that
// can.
func (m *procMap) refusal() string {
	switch {
	case m.path == "[vvar]" || m.path == "[vvar_vclock]" || m.path == "[vdso]" || m.path == "[vsyscall]":
		return "it is the kernel's own"
	case m.path == "[stack]":
		return "it is the stack of the first thread, which grows"
	case strings.HasPrefix(m.path, "[anon: Go:"):
		return "it is the Go runtime's"
	case strings.HasPrefix(m.path, "/anon_hugepage"):
		return "private huge pages cannot be moved"
	case m.shared && m.inode != 0:
		return "it is shared: use AttachFile with its path"
	case m.inode != 0:
		return "it is a private mapping of a file"
	case m.prot&unix.PROT_WRITE == 0:
		return "it is not writable, and the kernel moves writable pages only"
	}
	return ""
}
