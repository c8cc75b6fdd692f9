package uffd

import (
	"os"
	"time"
)

const stressEnv = "FIRSTTOUCH_STRESS"

// stressTime is how long the stress row goes on for each kind of memory.
func stressTime() time.Duration {
	if d, err := time.ParseDuration(os.Getenv(stressEnv)); err == nil {
		return d
	}
	return 200 * time.Millisecond
}
