package main

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestKernelPackagesAreThoseOfOneVersion(t *testing.T) {
	plan := []byte(`Inst kmod (30 Debian:13/stable [amd64])
Inst linux-base-arm64-16k:arm64 (7.3.4-1~bpo13+1 Debian Backports:stable-backports [arm64])
Inst linux-binary-7.3.4+deb13-arm64-16k:arm64 (7.3.4-1~bpo13+1 Debian Backports:stable-backports [arm64])
Inst linux-modules-7.3.4+deb13-arm64-16k:arm64 (7.3.4-1~bpo13+1 Debian Backports:stable-backports [arm64])
Inst linux-image-7.3.4+deb13-arm64-16k:arm64 (7.3.4-1~bpo13+1 Debian Backports:stable-backports [arm64])
Inst linux-image-arm64-16k:arm64 (7.3.4-1~bpo13+1 Debian Backports:stable-backports [arm64])
Conf linux-image-7.3.4+deb13-arm64-16k:arm64 (7.3.4-1~bpo13+1 Debian Backports:stable-backports [arm64])
`)
	want := []string{
		"linux-binary-7.3.4+deb13-arm64-16k:arm64=7.3.4-1~bpo13+1",
		"linux-modules-7.3.4+deb13-arm64-16k:arm64=7.3.4-1~bpo13+1",
		"linux-image-7.3.4+deb13-arm64-16k:arm64=7.3.4-1~bpo13+1",
	}
	if got := kernelPackages(plan); !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
}

func TestKernelIsFoundInBothLayouts(t *testing.T) {
	for name, files := range map[string][2]string{
		"old": {"boot/vmlinuz-6.1.0", "lib/modules/6.1.0/kernel"},
		"new": {"usr/lib/modules/7.3.4/vmlinuz", "usr/lib/modules/7.3.4/kernel"},
	} {
		root := t.TempDir()
		if _, err := openKernel(root); err == nil {
			t.Errorf("%s: a kernel where there is none", name)
		}
		image, modules := filepath.Join(root, files[0]), filepath.Join(root, files[1])
		for _, d := range []string{filepath.Dir(image), modules} {
			if err := os.MkdirAll(d, 0o755); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.WriteFile(image, nil, 0o644); err != nil {
			t.Fatal(err)
		}
		k, err := openKernel(root)
		if err != nil || k.image != image || k.modules != modules {
			t.Errorf("%s: %+v, %v", name, k, err)
		}
	}
}

// Every entry of a cpio archive begins at a multiple of four bytes, as do the contents of a file.
func TestArchiveIsAligned(t *testing.T) {
	var b bytes.Buffer
	a := &archive{w: &b}
	a.dir("d")
	a.file("d/name", 0o644, []byte("12345"))
	if err := a.close(); err != nil {
		t.Fatal(err)
	}
	for _, magic := range []string{"d\x00", "12345", "TRAILER!!!"} {
		if !bytes.Contains(b.Bytes(), []byte(magic)) {
			t.Errorf("no %q", magic)
		}
	}
	if at := bytes.Index(b.Bytes(), []byte("12345")); at%4 != 0 || b.Len()%4 != 0 {
		t.Errorf("contents at %d, %d bytes", at, b.Len())
	}
	if n := bytes.Count(b.Bytes(), []byte("070701")); n != 3 {
		t.Errorf("%d entries", n)
	}
}
