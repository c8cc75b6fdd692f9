package main

import (
	"os"
	"os/exec"
	"testing"

	"github.com/firsttouch/firsttouch/internal/uffdtest"
)

func TestMain(m *testing.M) {
	if len(os.Args) > 2 && os.Args[1] == "-as" {
		main()
		return
	}
	os.Exit(m.Run())
}

// Each handler serves a process whose pages are what they have to be: the process looks.
func TestHandlers(t *testing.T) {
	uffdtest.Need(t)
	if _, err := exec.LookPath("gcc"); err != nil {
		t.Skipf("no gcc in PATH, for what is compared with: %v", err)
	}
	inC, err := build(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range handlers {
		if c, err := measure(inC, h.arg, h.c, 500, 4); err != nil || c.faults <= 0 || c.cpu < 0 {
			t.Errorf("%s: %+v, %v", h.name, c, err)
		}
	}
	if c := []cost{{faults: 3}, {faults: 1}, {faults: 2}}; median(c, func(_ int, c cost) float64 { return c.faults }) != 2 {
		t.Error("the median is another")
	}
}
