package testproc

import (
	"testing"
	"time"
)

func TestSlownessMultipliesBudgets(t *testing.T) {
	for text, want := range map[string]time.Duration{"": 1, "1": 1, "20": 20, "255": 255} {
		if got := readSlowness(text); got != want {
			t.Errorf("%q: %d, want %d", text, got, want)
		}
	}
	defer func(s time.Duration) { slowness = s }(slowness)
	slowness = 20
	if got := Budget(3 * time.Second); got != time.Minute {
		t.Errorf("3 s became %v", got)
	}
}

func TestSlownessThatIsNoNumber(t *testing.T) {
	for _, text := range []string{"0", "-1", "1.5", "fast", "256"} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%q was taken", text)
				}
			}()
			readSlowness(text)
		}()
	}
}
