//go:build linux && (amd64 || arm64)

package profiler

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// What another process reads of armed memory, a debugger say, is what it holds, and one first touch; or the kernel
// refuses to read it, and nothing was touched. It is never something else.
func TestAnotherProcessReads(t *testing.T) {
	const order = "FIRSTTOUCH_TEST_READ"
	if text := os.Getenv(order); text != "" {
		var pid int
		var at uintptr
		var how string
		if _, err := fmt.Sscan(text, &pid, &at, &how); err != nil {
			t.Fatal(err)
		}
		b := make([]byte, 64)
		n, err := readOther(pid, at, b, how)
		fmt.Printf("read %x %v\n", b[:max(n, 0)], err)
		return
	}
	inChildren(t, "TestAnotherProcessReads", "all", nil, func(t *testing.T) {
		p := newProfiler(t)
		served := !p.Snapshot().Stats.UserModeOnly
		unix.Prctl(unix.PR_SET_PTRACER, ^uintptr(0), 0, 0, 0) // EINVAL: a kernel without Yama, which does not ask for it
		for _, a := range arm(t, p, 8) {
			for i, how := range []string{"process_vm_readv", "/proc/PID/mem"} {
				at := (2*i + 1) * pageSize
				before := p.Snapshot().Stats.Faults
				c := exec.Command(os.Args[0], "-test.run=^TestAnotherProcessReads$")
				c.Env = append(os.Environ(), fmt.Sprintf("%s=%d %d %s", order, os.Getpid(), addressOf(a.memory)+uintptr(at), how))
				out, err := c.CombinedOutput()
				if err != nil {
					t.Fatalf("%v\n%s", err, out)
				}
				_, text, _ := strings.Cut(string(out), "read ")
				got, _, _ := strings.Cut(text, " ")
				b, err := hex.DecodeString(got)
				if err != nil {
					t.Fatalf("%v\n%s", err, out)
				}
				faults := p.Snapshot().Stats.Faults - before
				if len(b) > 0 && !bytes.Equal(b, a.want[at:at+len(b)]) || (len(b) > 0) != (faults == 1) || faults > 1 {
					t.Errorf("%s, %s: %d faults, and it has %x\n%s", a.region.Name(), how, faults, b, out)
				}
				if served && how == "process_vm_readv" && len(b) == 0 && !strings.Contains(text, unix.EPERM.Error()) {
					t.Errorf("%s, %s: not served\n%s", a.region.Name(), how, out)
				}
				t.Logf("seen: %s, %s: %d bytes", a.region.Name(), how, len(b))
			}
			a.checkContents(t)
		}
	})
}

// readOther reads memory of another process.
func readOther(pid int, at uintptr, b []byte, how string) (int, error) {
	if how == "process_vm_readv" {
		local := unix.Iovec{Base: &b[0]}
		local.SetLen(len(b))
		return unix.ProcessVMReadv(pid, []unix.Iovec{local}, []unix.RemoteIovec{{Base: at, Len: len(b)}}, 0)
	}
	f, err := os.Open(fmt.Sprintf("/proc/%d/mem", pid))
	if err != nil {
		return 0, err
	}
	defer f.Close()
	return f.ReadAt(b, int64(at))
}
