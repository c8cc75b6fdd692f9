package testproc

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// SlownessEnv is the environment variable that makes time budgets longer on slow machines, such as
// emulated ones: a whole number that multiplies them, 1 when it is not set. It changes no count and
// nothing else that a test asserts.
const SlownessEnv = "FIRSTTOUCH_TEST_SLOWNESS"

var slowness = readSlowness(os.Getenv(SlownessEnv))

func readSlowness(text string) time.Duration {
	if text == "" {
		return 1
	}
	n, err := strconv.ParseUint(text, 10, 8)
	if err != nil || n == 0 {
		panic(fmt.Sprintf("%s is %q: set it to a whole number from 1 to 255", SlownessEnv, text))
	}
	return time.Duration(n)
}

// Budget is how long something may take now that takes at most d on fast hardware that does nothing else.
func Budget(d time.Duration) time.Duration {
	text, _ := os.ReadFile("/proc/loadavg") // elsewhere than on Linux budgets are what they are
	return time.Duration(float64(d*slowness) * load(string(text), runtime.NumCPU()))
}

// mostLoad bounds how much longer a budget becomes where many others want the processors.
const mostLoad = 4

// load is among how many a processor is divided, by the kernel's mean of the last minute.
func load(average string, cpus int) float64 {
	minute, _, _ := strings.Cut(average, " ")
	n, _ := strconv.ParseFloat(minute, 64)
	return min(max(n/float64(cpus), 1), mostLoad)
}
