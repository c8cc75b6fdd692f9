//go:build linux && (amd64 || arm64)

package profiler

import (
	"os"
	"os/exec"
	"testing"

	"github.com/firsttouch/firsttouch/internal/testproc"
)

// othersEnv is where the parent has built the program.
const othersEnv = "FIRSTTOUCH_TEST_PROGRAM"

// Threads of others that no signal stops, and other code that takes the profiler's signal after it has started: who is in
// the way is named, nobody is stopped for longer than that may take, and the process goes on.
func TestThreadsAndSignalsOfOthers(t *testing.T) {
	aside(t)
	const top = "TestThreadsAndSignalsOfOthers"
	program := os.Getenv(othersEnv)
	if program == "" {
		program = buildCProgram(t.Context(), t, "cthreads")
	}
	for _, name := range []string{
		"blocks", "blocks later", "kernel", "vfork", "handler", "handler that passes on", "default", "ignored",
		"handler of the chosen", "default of the chosen", "ignored by os/signal", "reset by os/signal", "notified",
	} {
		inChild(t, top, name, []string{othersEnv + "=" + program}, func(t *testing.T) {
			out, err := exec.CommandContext(t.Context(), program, name).CombinedOutput()
			testproc.Told(t, out, err)
		})
	}
}
