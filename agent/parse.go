package agent

import (
	"fmt"
	"math"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/firsttouch/firsttouch/profiler"
)

func (c *config) parseFiles(v string) error  { return c.setFiles(filepath.SplitList(v)) }
func (c *config) parseArenas(v string) error { return c.setArenas(filepath.SplitList(v)) }

func (c *config) parseGrouping(v string) error {
	for g := GroupAuto; g <= GroupPattern; g++ {
		if v == g.String() {
			return c.setGrouping(g)
		}
	}
	return fmt.Errorf("%w: write auto, file, directory or pattern", profiler.ErrInvalid)
}

func (c *config) parseGranule(v string) error {
	n, err := parseBytes(v)
	if err != nil {
		return err
	}
	return c.setGranule(n)
}

func (c *config) parseDelivery(v string) error {
	for _, d := range []profiler.Delivery{profiler.DeliveryAuto, profiler.DeliveryThread, profiler.DeliverySignal, profiler.DeliveryObserve} {
		if v == d.String() {
			return c.setDelivery(d)
		}
	}
	return fmt.Errorf("%w: write auto, thread, signal or observe", profiler.ErrInvalid)
}

func (c *config) parseFailing(v string) error { return parseBool(v, &c.failing) }

func (c *config) parseStopLimit(v string) error { return parseDuration(v, c.setStopLimit) }

func (c *config) parseWindows(v string) error { return parseDuration(v, c.setWindows) }

func (c *config) parseRequired(v string) error { return parseBool(v, &c.required) }
func (c *config) parseAdvice(v string) error   { return parseBool(v, &c.advice) }
func (c *config) parseShadow(v string) error   { return parseBool(v, &c.shadow) }
func (c *config) parseDisabled(v string) error { return parseBool(v, &c.disabled) }

func (c *config) parseGoHeap(v string) error {
	switch v {
	case "false":
		c.goHeap = 0
		return nil
	case "all":
		return c.setGoHeap(1)
	}
	if n, ok := strings.CutPrefix(v, "1/"); ok {
		if k, err := strconv.ParseUint(n, 10, 16); err == nil && k > 0 {
			return c.setGoHeap(1 / float64(k))
		}
	}
	return fmt.Errorf("%w: write false, 1/N for one block of 2 MiB in N, such as 1/16, or all", profiler.ErrInvalid)
}

func (c *config) parseStacks(v string) error {
	bad := fmt.Errorf("%w: write all, none, 1/N for one fault in N, or N/s for at most N a second", profiler.ErrInvalid)
	switch v {
	case "all":
		return c.setStacks(profiler.StacksEvery())
	case "none":
		return c.setStacks(profiler.StacksNone())
	}
	if n, ok := strings.CutPrefix(v, "1/"); ok {
		if k, err := strconv.ParseUint(n, 10, 31); err == nil && k > 0 {
			return c.setStacks(profiler.StacksOneIn(int(k)))
		}
		return bad
	}
	if n, ok := strings.CutSuffix(v, "/s"); ok {
		if k, err := strconv.ParseUint(n, 10, 31); err == nil && k > 0 {
			return c.setStacks(profiler.StacksPerSecond(int(k)))
		}
	}
	return bad
}

func parseDuration(v string, set func(time.Duration) error) error {
	d, err := time.ParseDuration(v)
	if err != nil {
		return fmt.Errorf("%w: not a duration: write for example 100ms", profiler.ErrInvalid)
	}
	return set(d)
}

func parseBool(v string, to *bool) error {
	b, err := strconv.ParseBool(v)
	if err != nil {
		return fmt.Errorf("%w: write true or false", profiler.ErrInvalid)
	}
	*to = b
	return nil
}

// parseBytes reads a whole number of bytes with an optional binary suffix.
func parseBytes(v string) (int, error) {
	digits, shift := v, 0
	for _, u := range []struct {
		suffix string
		shift  int
	}{{"KiB", 10}, {"MiB", 20}, {"GiB", 30}} {
		if d, ok := strings.CutSuffix(v, u.suffix); ok {
			digits, shift = strings.TrimSpace(d), u.shift
		}
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || n < 0 || n > math.MaxInt>>shift {
		return 0, fmt.Errorf("%w: not a size: write a number of bytes, or one followed by KiB, MiB or GiB", profiler.ErrInvalid)
	}
	return int(n) << shift, nil
}

func (c *config) parseRecordSlow(v string) error { return parseDuration(v, c.setRecordSlow) }
