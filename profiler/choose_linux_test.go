//go:build linux && (amd64 || arm64)

package profiler

import (
	"errors"
	"os"
	"runtime"
	"strings"
	"testing"

	"github.com/firsttouch/firsttouch/internal/testproc"
)

// DeliveryAuto takes the best way in which no system call can fail, and one in which they can only where that is allowed. The
// result says which, and why not a better one.
func TestDeliveryAuto(t *testing.T) {
	const top = "TestDeliveryAuto"
	for _, c := range []struct {
		name     string
		root     bool
		refused  bool // there is no userfaultfd
		allowed  bool
		want     string // or an error where it cannot be had
		userOnly bool
	}{
		{"root", true, false, false, "thread", false},
		{"nobody", false, false, false, "observe", false},
		{"nobody, allowed", false, false, true, "thread", true},
		{"no userfaultfd", false, true, false, "observe", false},
		{"no userfaultfd, allowed", false, true, true, "signal", true},
	} {
		if os.Getenv(caseEnv) != "" {
			if os.Getenv(caseEnv) != c.name {
				continue
			}
			runtime.LockOSThread()
			if c.refused {
				hideDevice(t)
				refuse(t)
			}
			opts := []Option{WithDelivery(DeliveryAuto)}
			if c.allowed {
				opts = append(opts, WithFailingSystemCalls())
			}
			_, seen := Observable()
			p, err := New(opts...)
			if c.want == "observe" && seen != nil {
				if !errors.Is(err, ErrNotSupported) || !strings.Contains(err.Error(), seen.Error()) {
					t.Errorf("nothing can be observed (%v), and New says %v", seen, err)
				}
				continue
			}
			must(t, err)
			s := p.Snapshot().Stats
			must(t, p.Close())
			if s.Delivery != c.want || s.UserModeOnly != c.userOnly || !strings.HasPrefix(s.Observed(), "by ") {
				t.Errorf("%s was taken (user mode only: %v), want %s (%v): %s", s.Delivery, s.UserModeOnly, c.want, c.userOnly, s.Observed())
			}
			notes := strings.Join(s.Notes, "\n")
			if better := strings.Contains(notes, "a better way cannot be had"); better != (c.name != "root") {
				t.Errorf("notes: %q", s.Notes)
			}
			if c.refused && strings.Count(notes, "by thread: ") != 1 {
				t.Errorf("why it is not by thread has to be said once: %q", s.Notes)
			}
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			var opts []testproc.Option
			switch root := os.Getuid() == 0; {
			case root && !c.root:
				opts = append(opts, testproc.AsUser(nobody))
			case !root && c.root:
				t.Skip("only root is served without restriction")
			}
			testproc.Run(t, top, []string{caseEnv + "=" + c.name, "GORACE=atexit_sleep_ms=0 halt_on_error=1"}, hangBudget, opts...)
		})
	}
}
