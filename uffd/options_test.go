package uffd

import (
	"errors"
	"slices"
	"testing"
)

func TestOptionsAddUp(t *testing.T) {
	c, err := newConfig([]Option{
		WithFeatures(FeatureMove), WithFeatures(FeatureThreadID), WithOptionalFeatures(FeaturePoison),
		WithNonblock(), WithPaths(PathSyscall),
	})
	if err != nil {
		t.Fatal(err)
	}
	if c.required != FeatureMove|FeatureThreadID || c.optional != FeaturePoison || !c.nonblock ||
		!slices.Equal(c.paths, []OpenPath{PathSyscall}) {
		t.Errorf("%+v", c)
	}
}

func TestOptionsRefuseNonsense(t *testing.T) {
	for name, opt := range map[string]Option{
		"no path":            WithPaths(),
		"path of other code": WithPaths(PathAdopted),
	} {
		if _, err := Open(opt); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestOpenPathText(t *testing.T) {
	for _, path := range []OpenPath{PathDevice, PathSyscall, PathUserModeOnly, PathAdopted} {
		text, err := path.MarshalText()
		var back OpenPath
		if err != nil || back.UnmarshalText(text) != nil || back != path {
			t.Errorf("%v became %q and then %v", path, text, back)
		}
	}
	var p OpenPath
	if err := p.UnmarshalText([]byte("magic")); !errors.Is(err, ErrInvalid) {
		t.Error(err)
	}
}
