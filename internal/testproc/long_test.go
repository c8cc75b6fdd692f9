package testproc

import "testing"

func TestLong(t *testing.T) {
	for value, want := range map[string]bool{"": false, "0": false, "1": true} {
		t.Setenv(LongEnv, value)
		ran := false
		t.Run("test", func(t *testing.T) {
			NeedLong(t, "it does nothing")
			ran = true
		})
		times := 2
		if want {
			times = 30
		}
		if got := Times(2, 30); ran != want || Long() != want || got != times {
			t.Errorf("%q: the test ran %v, %d times; want %v, %d", value, ran, got, want, times)
		}
	}
}
