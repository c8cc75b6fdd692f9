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
	if got := Budget(3 * time.Second); got < time.Minute || got > mostLoad*time.Minute {
		t.Errorf("3 s became %v", got)
	}
}

func TestLoadMultipliesBudgets(t *testing.T) {
	for _, c := range []struct {
		average string
		cpus    int
		want    float64
	}{
		{"", 2, 1}, {"0.21 0.14 0.06 1/80 123\n", 2, 1}, {"8.00 3.00 1.00 9/80 123\n", 2, 4}, {"500.00 3.00 1.00 9/80 123\n", 2, mostLoad},
	} {
		if got := load(c.average, c.cpus); got != c.want {
			t.Errorf("%q on %d processors: %v, want %v", c.average, c.cpus, got, c.want)
		}
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
