package uffd

import (
	"fmt"
	"math/bits"
)

// Features is a set of UFFD_FEATURE bits. What a kernel offers is more than what a descriptor has
// enabled: see FD.Features and FD.Enabled.
type Features uint64

// The features, with the first kernel that offers them. The kernel's configuration and the
// processor may take some away, so ask HaveFeatures, never the version.
const (
	FeaturePagefaultFlagWP  Features = 1 << iota // 5.7: write-protect faults
	FeatureEventFork                             // 4.11: EventFork; enabling it needs CAP_SYS_PTRACE
	FeatureEventRemap                            // 4.11: EventRemap; without it mremap drops the registration
	FeatureEventRemove                           // 4.11: EventRemove for madvise(MADV_DONTNEED, MADV_FREE, MADV_REMOVE)
	FeatureMissingHugetlbfs                      // 4.11: missing faults on huge pages
	FeatureMissingShmem                          // 4.11: missing faults on shared memory
	FeatureEventUnmap                            // 4.11: EventUnmap for munmap and what implies it
	FeatureSigbus                                // 4.14: SIGBUS to the toucher in place of a message
	FeatureThreadID                              // 4.14: Msg.Thread
	FeatureMinorHugetlbfs                        // 5.13: minor faults on huge pages
	FeatureMinorShmem                            // 5.14: minor faults on shared memory
	FeatureExactAddress                          // 5.18: Msg.Address is not rounded to the page
	FeatureWPHugetlbfsShmem                      // 5.19: write protection of shared memory and huge pages
	FeatureWPUnpopulated                         // 6.4: write protection of pages that are not there
	FeaturePoison                                // 6.6: IoctlPoison
	FeatureWPAsync                               // 6.7: the kernel itself resolves write-protect faults
	FeatureMove                                  // 6.8: IoctlMove
	FeatureRWP                                   // after 7.1: protection against reads as well
	FeatureRWPAsync                              // after 7.1: the same, resolved by the kernel
)

// featureInfo says what a bit is called and when it came.
type featureInfo struct{ name, since string }

// featureTable is indexed by bit. Names are the kernel's, without UFFD_FEATURE_.
var featureTable = [...]featureInfo{
	{"PAGEFAULT_FLAG_WP", "5.7"}, {"EVENT_FORK", "4.11"}, {"EVENT_REMAP", "4.11"},
	{"EVENT_REMOVE", "4.11"}, {"MISSING_HUGETLBFS", "4.11"}, {"MISSING_SHMEM", "4.11"},
	{"EVENT_UNMAP", "4.11"}, {"SIGBUS", "4.14"}, {"THREAD_ID", "4.14"},
	{"MINOR_HUGETLBFS", "5.13"}, {"MINOR_SHMEM", "5.14"}, {"EXACT_ADDRESS", "5.18"},
	{"WP_HUGETLBFS_SHMEM", "5.19"}, {"WP_UNPOPULATED", "6.4"}, {"POISON", "6.6"},
	{"WP_ASYNC", "6.7"}, {"MOVE", "6.8"}, {"RWP", "after 7.1"}, {"RWP_ASYNC", "after 7.1"},
}

// Has reports whether f has all of want.
func (f Features) Has(want Features) bool { return f&want == want }

// String lists the kernel's names, separated by "|"; a bit without a name is "bit N".
func (f Features) String() string {
	return bitNames(uint64(f), featureName)
}

func featureName(bit int) string { return featureAt(bit).name }

// featureAt describes a bit, also one that came after this table was written.
func featureAt(bit int) featureInfo {
	if bit < len(featureTable) {
		return featureTable[bit]
	}
	return featureInfo{name: fmt.Sprintf("bit %d", bit), since: "unknown"}
}

// list describes the features of the set, in the order of their bits.
func (f Features) list() []featureInfo {
	var infos []featureInfo
	for rest := uint64(f); rest != 0; rest &= rest - 1 {
		infos = append(infos, featureAt(bits.TrailingZeros64(rest)))
	}
	return infos
}
