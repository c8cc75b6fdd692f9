package main

import (
	"errors"
	"math"
	"strconv"
	"strings"
)

// bytesValue is a flag that takes a number of bytes, with a binary suffix where that is shorter.
type bytesValue struct{ n *int }

// String is the value as a number, empty for none.
func (v bytesValue) String() string {
	if v.n == nil || *v.n == 0 {
		return ""
	}
	return strconv.Itoa(*v.n)
}

// Type is what the usage shows.
func (v bytesValue) Type() string { return "bytes" }

// Set reads a number such as 4096, 64KiB or 2MiB.
func (v bytesValue) Set(text string) error {
	digits, shift := text, 0
	for i, suffix := range []string{"KiB", "MiB", "GiB"} {
		if rest, ok := strings.CutSuffix(text, suffix); ok {
			digits, shift = strings.TrimSpace(rest), 10*(i+1)
		}
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || n < 1 || n > math.MaxInt32>>shift {
		return errors.New("write a number of bytes, or one followed by KiB or MiB")
	}
	*v.n = int(n) << shift
	return nil
}
