package uffd

import (
	"errors"
	"math/bits"
	"runtime"

	"golang.org/x/sys/unix"
)

// Probe asks the kernel everything that this package can ask, on memory of its own. It takes a few
// milliseconds, changes nothing, and needs no privileges: what they would allow is in the answers.
func Probe() Report {
	r := Report{
		OS: runtime.GOOS, Arch: runtime.GOARCH, Kernel: kernelRelease(), PageSizeBytes: PageSize(),
		Paths: probePaths(), Privileges: readPrivileges(),
		Features: []FeatureReport{}, Ioctls: []IoctlReport{}, Memory: []MemoryReport{},
	}
	fd, err := Open()
	if err != nil {
		r.Reason = err.Error()
		return r
	}
	defer fd.Close()
	path := fd.Path()
	r.OpenPath = &path
	r.Features = reportFeatures(fd.Features())
	for _, p := range ioctlProbes {
		err := p.run()
		r.Ioctls = append(r.Ioctls, IoctlReport{
			Name: p.request.String(), Available: answer(err), Reason: reason(err),
		})
	}
	for _, kind := range memoryKinds() {
		r.Memory = append(r.Memory, probeKind(kind, fd.Features().Has(FeatureWPAsync)))
	}
	return r
}

func kernelRelease() string {
	var name unix.Utsname
	if unix.Uname(&name) != nil {
		return ""
	}
	return unix.ByteSliceToString(name.Release[:])
}

func probePaths() []PathReport {
	var paths []PathReport
	for _, path := range []OpenPath{PathDevice, PathSyscall, PathUserModeOnly} {
		err := HavePath(path)
		p := PathReport{Path: path, Available: answer(err), Reason: reason(err)}
		if refused, ok := errors.AsType[*OpenError](err); ok {
			p.Reason, p.Remedy = refused.Refusals[0].Err.Error(), refused.Refusals[0].Remedy
		}
		paths = append(paths, p)
	}
	return paths
}

// reportFeatures lists the known bits, and those that came after this package.
func reportFeatures(offered Features) []FeatureReport {
	var reports []FeatureReport
	for bit := range max(len(featureTable), bits.Len64(uint64(offered))) {
		info, available := featureAt(bit), No
		if offered.Has(1 << bit) {
			available = Yes
		}
		if bit < len(featureTable) || available == Yes {
			reports = append(reports, FeatureReport{info.name, bit, info.since, available})
		}
	}
	return reports
}

func probeKind(kind MemoryKind, async bool) MemoryReport {
	report := MemoryReport{Kind: kind, Modes: []ModeReport{}}
	p, err := newProbeMemory(kind)
	if err != nil {
		report.Reason = err.Error()
		return report
	}
	report.PageSizeBytes = len(p.mem)
	p.close()
	for _, mode := range registerModes() {
		report.Modes = append(report.Modes, probeMode(kind, mode, 0))
	}
	report.Modes = append(report.Modes, probeMode(kind, ModeRWP, FeatureRWP))
	if async {
		report.Modes = append(report.Modes, probeMode(kind, ModeWP, FeatureWPAsync))
	}
	return report
}

func probeMode(kind MemoryKind, mode RegisterMode, features Features) ModeReport {
	ioctls, err := HaveRegister(kind, mode, features)
	m := ModeReport{Modes: mode.String(), Async: features.Has(FeatureWPAsync), Available: answer(err), Reason: reason(err)}
	if refused, ok := errors.AsType[*Error](err); ok {
		m.Reason = refused.Errno.Error() // the rest says what the report says anyway
	}
	if err == nil {
		m.Ioctls = ioctls.names()
	}
	return m
}

func answer(err error) Answer {
	switch {
	case err == nil:
		return Yes
	case errors.Is(err, ErrNotSupported):
		return No
	}
	return Unknown
}

func reason(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
