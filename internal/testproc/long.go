package testproc

import (
	"fmt"
	"os"
	"testing"
)

// LongEnv is the environment variable that asks for what takes long, too: set it to 1. Without it no package may take
// more than two minutes on two processors that do nothing else.
const LongEnv = "FIRSTTOUCH_TEST_LONG"

// Long says whether what takes long is wanted. Children are asked the same: the environment is theirs too.
func Long() bool {
	switch v := os.Getenv(LongEnv); v {
	case "", "0":
		return false
	case "1":
		return true
	default:
		panic(fmt.Sprintf("%s is %q: set it to 1, or leave it away", LongEnv, v))
	}
}

// NeedLong skips a test that takes too long for every day, and names what it does that takes so long.
func NeedLong(t testing.TB, what string) {
	t.Helper()
	if !Long() {
		t.Skipf("long, wants %s=1: %s", LongEnv, what)
	}
}

// Times is how often to do something: short, or long where what takes long is wanted.
func Times(short, long int) int {
	if Long() {
		return long
	}
	return short
}
