package uffd

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestProbeAnswersEverything(t *testing.T) {
	before := len(openDescriptors())
	r := Probe()
	if after := len(openDescriptors()); after != before {
		t.Errorf("%d descriptors before, %d after", before, after)
	}
	if len(r.Paths) != 3 || r.OS != "linux" || r.Kernel == "" || r.PageSizeBytes != PageSize() {
		t.Errorf("%+v", r)
	}
	for _, p := range r.Paths {
		if (p.Available == Yes) != (HavePath(p.Path) == nil) || (p.Available != Yes && (p.Reason == "" || p.Remedy == "")) {
			t.Errorf("%+v", p)
		}
	}
	if r.OpenPath == nil {
		t.Skip(r.Reason)
	}
	fd := openTest(t)
	if *r.OpenPath != fd.Path() {
		t.Errorf("Probe says %v, Open took %v", *r.OpenPath, fd.Path())
	}
	for _, f := range r.Features {
		if (f.Available == Yes) != fd.Features().Has(1<<f.Bit) || (f.Available == Yes) != (HaveFeatures(1<<f.Bit) == nil) {
			t.Errorf("%+v, the kernel offers %v", f, fd.Features())
		}
	}
	if len(r.Memory) != len(memoryKinds()) || len(r.Ioctls) != 10 || len(r.Features) < 19 {
		t.Errorf("%d kinds, %d ioctls, %d features", len(r.Memory), len(r.Ioctls), len(r.Features))
	}
	for _, m := range r.Memory {
		if m.Reason == "" && len(m.Modes) < len(registerModes()) {
			t.Errorf("%s: %d modes", m.Kind, len(m.Modes))
		}
		for _, mode := range m.Modes {
			if (mode.Available == Yes) != (len(mode.Ioctls) > 0) || (mode.Available == Yes) != (mode.Reason == "") {
				t.Errorf("%s: %+v", m.Kind, mode)
			}
		}
	}
}

// What every kernel does that Go runs on, and what the rules between the answers are.
func TestProbeKnownTruths(t *testing.T) {
	openTest(t)
	for _, request := range []Ioctl{IoctlWake, IoctlCopy, IoctlZeropage} {
		if err := HaveIoctl(request); err != nil {
			t.Errorf("%s: %v", ioctlName(int(request&0xff)), err)
		}
	}
	if _, err := HaveRegister(MemoryAnonymous, ModeMissing, 0); err != nil {
		t.Error(err)
	}
	for _, kind := range []MemoryKind{MemoryAnonymous, MemoryFile} {
		_, err := HaveRegister(kind, ModeMinor, 0)
		if kind == MemoryFile && answer(err) == Unknown {
			t.Logf("%s memory could not be had: %v", kind, err) // the program lies on tmpfs
			continue
		}
		if !errors.Is(err, ErrNotSupported) {
			t.Errorf("minor faults of %s memory: %v", kind, err)
		}
	}
	if _, err := HaveRegister("magic", ModeMissing, 0); !errors.Is(err, ErrInvalid) || errors.Is(err, ErrNotSupported) {
		t.Errorf("unknown kind: %v", err)
	}
	if err := HaveIoctl(IoctlRegister); !errors.Is(err, ErrInvalid) {
		t.Errorf("an ioctl without a probe: %v", err)
	}
	if err := HaveFeatures(1 << 62); !errors.Is(err, ErrNotSupported) {
		t.Errorf("unknown feature: %v", err)
	}
	hasMove := HaveFeatures(FeatureMove) == nil
	if err := HaveIoctl(IoctlMove); (err == nil) != hasMove {
		t.Errorf("the feature MOVE is there: %v, the ioctl: %v", hasMove, err)
	}
	hasPoison := HaveFeatures(FeaturePoison) == nil
	if err := HaveIoctl(IoctlPoison); (err == nil) != hasPoison {
		t.Errorf("the feature POISON is there: %v, the ioctl: %v", hasPoison, err)
	}
}

// A version never answers a probe, but a probe that contradicts the version is worth a look.
func TestProbesAgreeWithTheVersion(t *testing.T) {
	offered := openTest(t).Features()
	var major, minor int
	if n, _ := fmt.Sscanf(kernelRelease(), "%d.%d", &major, &minor); n != 2 {
		t.Skipf("kernel release %q is not a version", kernelRelease())
	}
	for _, f := range (FeatureSigbus | FeatureThreadID | FeatureEventRemap | FeatureExactAddress | FeaturePoison | FeatureMove).list() {
		var sinceMajor, sinceMinor int
		if _, err := fmt.Sscanf(f.since, "%d.%d", &sinceMajor, &sinceMinor); err != nil {
			t.Fatal(err)
		}
		newEnough := major > sinceMajor || major == sinceMajor && minor >= sinceMinor
		has := strings.Contains("|"+offered.String()+"|", "|"+f.name+"|")
		if newEnough && !has {
			t.Errorf("%s came with %s, but Linux %d.%d does not offer it", f.name, f.since, major, minor)
		}
	}
}

func TestReportAsJSON(t *testing.T) {
	r := Probe()
	text, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	var back Report
	if err := json.Unmarshal(text, &back); err != nil {
		t.Fatal(err)
	}
	again, err := json.Marshal(back)
	if err != nil || string(again) != string(text) {
		t.Errorf("%v\n%s\nbecame\n%s", err, text, again)
	}
	var object map[string]any
	if err := json.Unmarshal(text, &object); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"paths", "features", "ioctls", "memory"} {
		if _, ok := object[key].([]any); !ok {
			t.Errorf("%s is %v, want a list", key, reflect.TypeOf(object[key]))
		}
	}
}

// Running out of descriptors is not an answer.
func TestProbeIsInconclusiveWithoutDescriptors(t *testing.T) {
	if !inChild(t) {
		return
	}
	var allowed []OpenPath
	for _, path := range []OpenPath{PathSyscall, PathUserModeOnly} {
		if HavePath(path) == nil {
			allowed = append(allowed, path)
		}
	}
	if len(allowed) == 0 {
		t.Skip("the system call is refused here anyway")
	}
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	none := unix.Rlimit{Cur: 0, Max: limit.Max}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &none); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
			t.Error(err)
		}
	}()
	for _, path := range allowed {
		if err := HavePath(path); !errors.Is(err, unix.EMFILE) || errors.Is(err, ErrNotSupported) || answer(err) != Unknown {
			t.Errorf("%v: %v", path, err)
		}
	}
}
