//go:build linux && (amd64 || arm64)

package agent

import "os"

// On a busy machine it takes long until all threads have stopped, and these tests are about other things.
func init() { os.Setenv("FIRSTTOUCH_STOP_LIMIT", "10s") }
