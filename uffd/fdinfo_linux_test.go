package uffd

import "testing"

func TestParseInfo(t *testing.T) {
	const text = "pos:\t0\nflags:\t02004002\nmnt_id:\t15\nino:\t1060\npending:\t2\ntotal:\t5\nAPI:\taa:80000100:8000000000000fff\n"
	if i, err := parseInfo(text); err != nil || i != (info{2, 5, FeatureThreadID, true}) {
		t.Errorf("%+v, %v", i, err)
	}
	if i, err := parseInfo("pending:\t0\ntotal:\t0\nAPI:\taa:0:0\n"); err != nil || i.shaken {
		t.Errorf("without a handshake: %+v, %v", i, err)
	}
	for _, text := range []string{
		"", "pending:\t0\ntotal:\t0\n", "pending:\tx\ntotal:\t0\nAPI:\taa:0:0\n",
		"pending:\t0\ntotal:\t0\nAPI:\taa\n", "pending:\t0\ntotal:\t0\nAPI:\taa:xyz:0\n",
	} {
		if i, err := parseInfo(text); err == nil {
			t.Errorf("%q: %+v, want an error", text, i)
		}
	}
}

// What is enabled is what the kernel says is enabled, whatever was asked for.
func TestEnabledIsWhatTheKernelHas(t *testing.T) {
	for _, want := range []Features{0, FeatureThreadID | FeatureExactAddress, FeatureWPAsync, FeatureSigbus} {
		if err := HaveFeatures(want); err != nil {
			t.Logf("%v is left out: %v", want, err)
			continue
		}
		fd := openTest(t, WithFeatures(want))
		i, err := readInfo(fd.Fd())
		if err != nil || !i.shaken || i.enabled != fd.Enabled() || !fd.Enabled().Has(want) {
			t.Errorf("asked for %v: enabled is %v, the kernel has %v (%v)", want, fd.Enabled(), i.enabled, err)
		}
	}
}
