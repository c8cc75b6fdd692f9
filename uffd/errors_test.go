package uffd

import (
	"errors"
	"os"
	"slices"
	"testing"
)

func TestErrorText(t *testing.T) {
	errno := errors.New("file exists")
	for want, err := range map[string]*Error{
		"UFFDIO_COPY [0x1000,0x3000) after 4096 bytes: page already present: wake its waiters (file exists)": {
			Op: "UFFDIO_COPY", Range: Range{0x1000, 0x3000}, Done: 4096, Kind: ErrExist, Errno: errno,
		},
		"UFFDIO_API: file exists": {Op: "UFFDIO_API", Errno: errno},
	} {
		if err.Error() != want {
			t.Errorf("%q, want %q", err, want)
		}
		if !errors.Is(err, errno) || (err.Kind != nil && !errors.Is(err, err.Kind)) {
			t.Errorf("%v does not match what it wraps", err)
		}
	}
	if !errors.Is(ErrClosed, os.ErrClosed) {
		t.Error("ErrClosed is not os.ErrClosed")
	}
}

func TestOpenErrorIsNotSupportedUnlessPassing(t *testing.T) {
	errno := errors.New("operation not permitted")
	err := &OpenError{[]Refusal{
		{Path: PathDevice, Err: os.ErrNotExist, Remedy: "pass it"},
		{Path: PathSyscall, Err: errno, Remedy: "allow it"},
	}}
	want := "userfaultfd is not available: device: file does not exist (pass it); syscall: operation not permitted (allow it)"
	if err.Error() != want {
		t.Errorf("%q, want %q", err, want)
	}
	for _, target := range []error{ErrNotSupported, os.ErrNotExist, errno} {
		if !errors.Is(err, target) {
			t.Errorf("does not match %v", target)
		}
	}
	err.Refusals[1].Passing = true
	if errors.Is(err, ErrNotSupported) {
		t.Error("running out of descriptors is not the same as not supported")
	}
}

func TestFeatureError(t *testing.T) {
	err := error(&FeatureError{Missing: FeatureMove | FeaturePoison})
	want := "this kernel does not offer POISON (Linux 6.6), MOVE (Linux 6.8): use a newer kernel, or one that is configured for it"
	if err.Error() != want || !errors.Is(err, ErrNotSupported) {
		t.Errorf("%q, want %q", err, want)
	}
}

func TestNames(t *testing.T) {
	for _, c := range []struct{ got, want string }{
		{Features(0).String(), "none"},
		{(FeatureThreadID | FeaturePagefaultFlagWP | 1<<40).String(), "PAGEFAULT_FLAG_WP|THREAD_ID|bit 40"},
		{(ModeMinor | ModeMissing | 1<<9).String(), "MISSING|MINOR|bit 9"},
		{IoctlSet(0x13c).String(), "WAKE|COPY|ZEROPAGE|MOVE|POISON"},
		{IoctlSet(1 << 0x20).String(), "ioctl 0x20"},
		{PathUserModeOnly.String(), "user-mode-only"},
		{(PageIsWritten | PageIsAccessed | 1<<10).String(), "WRITTEN|ACCESSED|bit 10"},
		{IoctlPagemapScan.String(), "PAGEMAP_SCAN"},
		{OpenPath(9).String(), "path 9"},
	} {
		if c.got != c.want {
			t.Errorf("%q, want %q", c.got, c.want)
		}
	}
	if !IoctlSet(0x13c).Has(IoctlMove) || IoctlSet(0x13c).Has(IoctlContinue) {
		t.Error("IoctlSet.Has looks at the wrong bit")
	}
	if got := IoctlSet(3).names(); !slices.Equal(got, []string{"REGISTER", "UNREGISTER"}) {
		t.Error(got)
	}
}

func TestFeatureBits(t *testing.T) {
	if len(featureTable) != 19 {
		t.Fatalf("%d features named", len(featureTable))
	}
	for f, bit := range map[Features]int{FeatureEventUnmap: 6, FeatureExactAddress: 11, FeatureMove: 16, FeatureRWPAsync: 18} {
		if f != 1<<bit {
			t.Errorf("%v is %#x, want bit %d", f, uint64(f), bit)
		}
	}
	if f := FeatureMove | FeatureSigbus; !f.Has(FeatureMove) || f.Has(FeatureMove|FeaturePoison) || !f.Has(0) {
		t.Error("Has does not ask for all")
	}
}
