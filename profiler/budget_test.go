package profiler

import (
	"errors"
	"testing"
)

func TestBudgetInWords(t *testing.T) {
	for v, want := range map[string]costLimit{
		"1%": {share: 0.01}, "0.5%": {share: 0.005}, "100%": {share: 1}, "500/s": {faults: 500}, "off": {},
	} {
		c, err := newConfig([]Option{WithBudget("1/s"), WithBudget(v)})
		if err != nil || c.budget != want {
			t.Errorf("%s: %+v, %v", v, c.budget, err)
		}
	}
	for _, v := range []string{"", "1", "0%", "-1%", "101%", "NaN%", "x/s", "5%/s", "1 %", "1e99/s"} {
		if err := Check(WithBudget(v)); !errors.Is(err, ErrInvalid) {
			t.Errorf("%q was taken: %v", v, err)
		}
	}
}
