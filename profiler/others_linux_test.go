//go:build linux && (amd64 || arm64)

package profiler

import (
	"context"
	"os/exec"
	"testing"

	"github.com/firsttouch/firsttouch/internal/testproc"
)

// Threads of others that no signal stops, and other code that takes the profiler's signal after it has started: who is in
// the way is named, nobody is stopped for longer than that may take, and the process goes on.
func TestThreadsAndSignalsOfOthers(t *testing.T) {
	program := buildCProgram(t.Context(), t, "cthreads")
	for _, name := range []string{
		"blocks", "blocks later", "kernel", "vfork", "handler", "handler that passes on", "default", "ignored",
		"handler of the chosen", "default of the chosen", "ignored by os/signal", "reset by os/signal", "notified",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), testproc.Budget(hangBudget))
			defer cancel()
			out, err := exec.CommandContext(ctx, program, name).CombinedOutput()
			testproc.Told(t, out, err)
		})
	}
}
