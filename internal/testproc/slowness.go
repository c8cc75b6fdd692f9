package testproc

import (
	"fmt"
	"os"
	"strconv"
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

// Budget is how long something may take that takes at most d on fast hardware.
func Budget(d time.Duration) time.Duration { return d * slowness }
