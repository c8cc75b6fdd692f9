package profiler

import (
	"errors"
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/firsttouch/firsttouch/uffd"
)

func TestOptions(t *testing.T) {
	page := uffd.PageSize()
	for _, c := range []struct {
		name   string
		option Option
		bad    bool
	}{
		{"granule of a page", WithGranule(page), false},
		{"granule of 1 GiB", WithGranule(1 << 30), false},
		{"granule of 2 GiB", WithGranule(1 << 31), true},
		{"granule of 0", WithGranule(0), true},
		{"granule of half a page", WithGranule(page / 2), true},
		{"granule of 3 pages", WithGranule(3 * page), true},
		{"granule that is not whole pages", WithGranule(page + 1), true},
		{"negative granule", WithGranule(-page), true},
		{"ring of 64", WithRing(64), false},
		{"ring of 63", WithRing(63), true},
		{"ring too large", WithRing(1<<24 + 1), true},
		{"log of 0", WithLogLimit(0), false},
		{"log of -1", WithLogLimit(-1), true},
		{"signal 34", WithSignal(34), false},
		{"signal 64", WithSignal(64), false},
		{"signal 33", WithSignal(33), true},
		{"signal 65", WithSignal(65), true},
		{"stops of 1 ms", WithStopLimit(time.Millisecond), false},
		{"no stops", WithStopLimit(0), true},
		{"stops of a minute", WithStopLimit(time.Minute), true},
		{"rescan every ms", WithRescan(time.Millisecond), false},
		{"rescan at once", WithRescan(0), true},
		{"delivery by signal", WithDelivery(DeliverySignal), false},
		{"delivery by nothing", WithDelivery(DeliveryAuto + 1), true},
	} {
		config := defaultConfig()
		err := c.option.apply(&config)
		if c.bad != errors.Is(err, ErrInvalid) || !c.bad && err != nil {
			t.Errorf("%s: %v, want an error: %v", c.name, err, c.bad)
		}
		if !c.bad {
			continue
		}
		if p, err := New(c.option); p != nil || !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: New answers %v", c.name, err)
		}
	}
}

func TestOptionsSet(t *testing.T) {
	c := defaultConfig()
	for _, o := range []Option{
		WithGranule(1 << 20), WithRing(100), WithLogLimit(7), WithStacks(StacksNone()), WithSignal(40), WithStopLimit(5 * time.Millisecond), WithRescan(time.Second), WithDelivery(DeliverySignal),
		WithFailingSystemCalls(), WithBudget("1%"),
	} {
		if err := o.apply(&c); err != nil {
			t.Fatal(err)
		}
	}
	if want := (config{1 << 20, 100, 7, StacksNone(), 40, 5 * time.Millisecond, time.Second, DeliverySignal, true, nil, costLimit{share: 0.01}, 0}); !reflect.DeepEqual(c, want) {
		t.Errorf("%+v, want %+v", c, want)
	}
	var r regionConfig
	for _, o := range []RegionOption{
		WithName("n"), WithRegionGranule(1 << 16), WithGuard(func(critical func()) error { critical(); return nil }),
	} {
		if err := o.applyRegion(&r); err != nil {
			t.Fatal(err)
		}
	}
	if r.name != "n" || r.granule != 1<<16 || r.guard == nil {
		t.Errorf("%+v", r)
	}
	if err := WithRegionGranule(100).applyRegion(&r); !errors.Is(err, ErrInvalid) {
		t.Errorf("granule of 100 bytes: %v", err)
	}
}

func TestNames(t *testing.T) {
	for _, c := range []struct {
		value fmt.Stringer
		want  string
	}{
		{Read, "read"}, {Write, "write"}, {Access(9), "unknown"},
		{SourceUnknown, "unknown"}, {SourceZero, "zero"}, {SourcePageCache, "page_cache"}, {SourceDisk, "disk"}, {Source(9), "unknown"},
		{StacksEvery(), "every fault"}, {StacksNone(), "none"}, {StacksOneIn(64), "1 in 64"}, {StacksOneIn(0), "every fault"},
		{StacksPerSecond(100), "at most 100/s"}, {StacksPerSecond(0), "at most 1/s"},
	} {
		if got := c.value.String(); got != c.want {
			t.Errorf("%#v is called %q, want %q", c.value, got, c.want)
		}
	}
}
