package uffd

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"unsafe"
)

// cLayout is what a C compiler's view of linux/userfaultfd.h is compared with: C expression to our
// value. An entry whose guard the header does not define is newer than the header, and is left to
// the kernel round trips of the other tests.
var cLayout = []struct {
	guard, expr string
	ours        uint64
}{
	{"UFFD_API", "UFFD_API", apiVersion},
	{"USERFAULTFD_IOC_NEW", "USERFAULTFD_IOC_NEW", uint64(IoctlNew)},
	{"UFFDIO_API", "UFFDIO_API", uint64(IoctlAPI)},
	{"UFFDIO_REGISTER", "UFFDIO_REGISTER", uint64(IoctlRegister)},
	{"UFFDIO_UNREGISTER", "UFFDIO_UNREGISTER", uint64(IoctlUnregister)},
	{"UFFDIO_WAKE", "UFFDIO_WAKE", uint64(IoctlWake)},
	{"UFFDIO_COPY", "UFFDIO_COPY", uint64(IoctlCopy)},
	{"UFFDIO_ZEROPAGE", "UFFDIO_ZEROPAGE", uint64(IoctlZeropage)},
	{"UFFDIO_MOVE", "UFFDIO_MOVE", uint64(IoctlMove)},
	{"UFFDIO_WRITEPROTECT", "UFFDIO_WRITEPROTECT", uint64(IoctlWriteProtect)},
	{"UFFDIO_CONTINUE", "UFFDIO_CONTINUE", uint64(IoctlContinue)},
	{"UFFDIO_POISON", "UFFDIO_POISON", uint64(IoctlPoison)},
	{"UFFDIO_RWPROTECT", "UFFDIO_RWPROTECT", uint64(IoctlRWProtect)},
	{"UFFDIO_SET_MODE", "UFFDIO_SET_MODE", uint64(IoctlSetMode)},
	{"PAGEMAP_SCAN", "PAGEMAP_SCAN", uint64(IoctlPagemapScan)},
	{"UFFD_USER_MODE_ONLY", "UFFD_USER_MODE_ONLY", userModeOnly},
	{"UFFD_EVENT_PAGEFAULT", "UFFD_EVENT_PAGEFAULT", uint64(EventPagefault)},
	{"UFFD_EVENT_FORK", "UFFD_EVENT_FORK", uint64(EventFork)},
	{"UFFD_EVENT_REMAP", "UFFD_EVENT_REMAP", uint64(EventRemap)},
	{"UFFD_EVENT_REMOVE", "UFFD_EVENT_REMOVE", uint64(EventRemove)},
	{"UFFD_EVENT_UNMAP", "UFFD_EVENT_UNMAP", uint64(EventUnmap)},
	{"UFFD_PAGEFAULT_FLAG_WRITE", "UFFD_PAGEFAULT_FLAG_WRITE", uint64(PagefaultFlagWrite)},
	{"UFFD_PAGEFAULT_FLAG_WP", "UFFD_PAGEFAULT_FLAG_WP", uint64(PagefaultFlagWP)},
	{"UFFD_PAGEFAULT_FLAG_MINOR", "UFFD_PAGEFAULT_FLAG_MINOR", uint64(PagefaultFlagMinor)},
	{"UFFDIO_REGISTER_MODE_MISSING", "UFFDIO_REGISTER_MODE_MISSING", uint64(ModeMissing)},
	{"UFFDIO_REGISTER_MODE_WP", "UFFDIO_REGISTER_MODE_WP", uint64(ModeWP)},
	{"UFFDIO_REGISTER_MODE_MINOR", "UFFDIO_REGISTER_MODE_MINOR", uint64(ModeMinor)},
	{"UFFDIO_COPY_MODE_DONTWAKE", "UFFDIO_COPY_MODE_DONTWAKE", uint64(CopyModeDontwake)},
	{"UFFDIO_COPY_MODE_WP", "UFFDIO_COPY_MODE_WP", uint64(CopyModeWP)},
	{"UFFDIO_ZEROPAGE_MODE_DONTWAKE", "UFFDIO_ZEROPAGE_MODE_DONTWAKE", uint64(ZeropageModeDontwake)},
	{"UFFDIO_WRITEPROTECT_MODE_WP", "UFFDIO_WRITEPROTECT_MODE_WP", uint64(WriteProtectModeWP)},
	{"UFFDIO_WRITEPROTECT_MODE_DONTWAKE", "UFFDIO_WRITEPROTECT_MODE_DONTWAKE", uint64(WriteProtectModeDontwake)},
	{"UFFDIO_CONTINUE_MODE_DONTWAKE", "UFFDIO_CONTINUE_MODE_DONTWAKE", uint64(ContinueModeDontwake)},
	{"UFFDIO_CONTINUE_MODE_WP", "UFFDIO_CONTINUE_MODE_WP", uint64(ContinueModeWP)},
	{"UFFDIO_POISON_MODE_DONTWAKE", "UFFDIO_POISON_MODE_DONTWAKE", uint64(PoisonModeDontwake)},
	{"UFFDIO_MOVE_MODE_DONTWAKE", "UFFDIO_MOVE_MODE_DONTWAKE", uint64(MoveModeDontwake)},
	{"UFFDIO_MOVE_MODE_ALLOW_SRC_HOLES", "UFFDIO_MOVE_MODE_ALLOW_SRC_HOLES", uint64(MoveModeAllowSrcHoles)},
	{"UFFD_PAGEFAULT_FLAG_RWP", "UFFD_PAGEFAULT_FLAG_RWP", uint64(PagefaultFlagRWP)},
	{"UFFDIO_REGISTER_MODE_RWP", "UFFDIO_REGISTER_MODE_RWP", uint64(ModeRWP)},
	{"UFFDIO_RWPROTECT_MODE_RWP", "UFFDIO_RWPROTECT_MODE_RWP", uint64(rwProtectModeRWP)},
	{"UFFDIO_RWPROTECT_MODE_DONTWAKE", "UFFDIO_RWPROTECT_MODE_DONTWAKE", uint64(rwProtectModeDontwake)},
	{"PM_SCAN_WP_MATCHING", "PM_SCAN_WP_MATCHING", uint64(ScanWPMatching)},
	{"PM_SCAN_CHECK_WPASYNC", "PM_SCAN_CHECK_WPASYNC", uint64(ScanCheckWPAsync)},
	{"PAGE_IS_WPALLOWED", "PAGE_IS_WPALLOWED", uint64(PageIsWPAllowed)},
	{"PAGE_IS_WRITTEN", "PAGE_IS_WRITTEN", uint64(PageIsWritten)},
	{"PAGE_IS_FILE", "PAGE_IS_FILE", uint64(PageIsFile)},
	{"PAGE_IS_PRESENT", "PAGE_IS_PRESENT", uint64(PageIsPresent)},
	{"PAGE_IS_SWAPPED", "PAGE_IS_SWAPPED", uint64(PageIsSwapped)},
	{"PAGE_IS_PFNZERO", "PAGE_IS_PFNZERO", uint64(PageIsPFNZero)},
	{"PAGE_IS_HUGE", "PAGE_IS_HUGE", uint64(PageIsHuge)},
	{"PAGE_IS_SOFT_DIRTY", "PAGE_IS_SOFT_DIRTY", uint64(PageIsSoftDirty)},
	{"PAGE_IS_GUARD", "PAGE_IS_GUARD", uint64(PageIsGuard)},
	{"PAGE_IS_ACCESSED", "PAGE_IS_ACCESSED", uint64(PageIsAccessed)},
	{"PAGEMAP_SCAN", "sizeof(struct page_region)", uint64(unsafe.Sizeof(PageRegion{}))},
	{"PAGEMAP_SCAN", "offsetof(struct page_region, categories)", uint64(unsafe.Offsetof(PageRegion{}.Categories))},
	{"PAGEMAP_SCAN", "offsetof(struct pm_scan_arg, walk_end)", uint64(unsafe.Offsetof(pagemapScanArg{}.WalkEnd))},
	{"PAGEMAP_SCAN", "offsetof(struct pm_scan_arg, vec)", uint64(unsafe.Offsetof(pagemapScanArg{}.Vec))},
	{"PAGEMAP_SCAN", "offsetof(struct pm_scan_arg, max_pages)", uint64(unsafe.Offsetof(pagemapScanArg{}.MaxPages))},
	{"PAGEMAP_SCAN", "offsetof(struct pm_scan_arg, category_mask)", uint64(unsafe.Offsetof(pagemapScanArg{}.CategoryMask))},
	{"PAGEMAP_SCAN", "offsetof(struct pm_scan_arg, return_mask)", uint64(unsafe.Offsetof(pagemapScanArg{}.ReturnMask))},
	{"UFFDIO_RWPROTECT", "offsetof(struct uffdio_rwprotect, mode)", uint64(unsafe.Offsetof(rwProtectArg{}.Mode))},
	{"UFFDIO_SET_MODE", "offsetof(struct uffdio_set_mode, disable)", uint64(unsafe.Offsetof(setModeArg{}.Disable))},
	{"UFFD_API", "sizeof(struct uffd_msg)", uint64(unsafe.Sizeof(Msg{}))},
	{"UFFD_API", "offsetof(struct uffd_msg, arg.pagefault.flags)", uint64(unsafe.Offsetof(Msg{}.Arg))},
	{"UFFD_API", "offsetof(struct uffd_msg, arg.pagefault.address)", uint64(unsafe.Offsetof(Msg{}.Arg)) + 8},
	{"UFFD_API", "offsetof(struct uffd_msg, arg.pagefault.feat.ptid)", uint64(unsafe.Offsetof(Msg{}.Arg)) + 16},
	{"UFFD_API", "offsetof(struct uffd_msg, arg.fork.ufd)", uint64(unsafe.Offsetof(Msg{}.Arg))},
	{"UFFD_API", "offsetof(struct uffd_msg, arg.remap.len)", uint64(unsafe.Offsetof(Msg{}.Arg)) + 16},
	{"UFFD_API", "offsetof(struct uffd_msg, arg.remove.end)", uint64(unsafe.Offsetof(Msg{}.Arg)) + 8},
	{"UFFDIO_API", "offsetof(struct uffdio_api, ioctls)", uint64(unsafe.Offsetof(apiArg{}.Ioctls))},
	{"UFFDIO_REGISTER", "offsetof(struct uffdio_register, ioctls)", uint64(unsafe.Offsetof(registerArg{}.Ioctls))},
	{"UFFDIO_WAKE", "offsetof(struct uffdio_range, len)", uint64(unsafe.Offsetof(rangeArg{}.Len))},
	{"UFFDIO_COPY", "offsetof(struct uffdio_copy, copy)", uint64(unsafe.Offsetof(copyArg{}.Copy))},
	{"UFFDIO_ZEROPAGE", "offsetof(struct uffdio_zeropage, zeropage)", uint64(unsafe.Offsetof(zeropageArg{}.Zeropage))},
	{"UFFDIO_MOVE", "offsetof(struct uffdio_move, move)", uint64(unsafe.Offsetof(moveArg{}.Move))},
	{"UFFDIO_WRITEPROTECT", "offsetof(struct uffdio_writeprotect, mode)", uint64(unsafe.Offsetof(writeProtectArg{}.Mode))},
	{"UFFDIO_CONTINUE", "offsetof(struct uffdio_continue, mapped)", uint64(unsafe.Offsetof(continueArg{}.Mapped))},
	{"UFFDIO_POISON", "offsetof(struct uffdio_poison, updated)", uint64(unsafe.Offsetof(poisonArg{}.Updated))},
}

// The features are compared by the names that they have here.
func init() {
	for bit, f := range featureTable {
		name := "UFFD_FEATURE_" + f.name
		cLayout = append(cLayout, struct {
			guard, expr string
			ours        uint64
		}{name, name, 1 << bit})
	}
}

// TestSizesMatchRequests needs no compiler: an ioctl number carries the size of its argument.
func TestSizesMatchRequests(t *testing.T) {
	for request, size := range map[Ioctl]uintptr{
		IoctlAPI: unsafe.Sizeof(apiArg{}), IoctlRegister: unsafe.Sizeof(registerArg{}),
		IoctlUnregister: unsafe.Sizeof(rangeArg{}), IoctlWake: unsafe.Sizeof(rangeArg{}),
		IoctlCopy: unsafe.Sizeof(copyArg{}), IoctlZeropage: unsafe.Sizeof(zeropageArg{}),
		IoctlMove: unsafe.Sizeof(moveArg{}), IoctlWriteProtect: unsafe.Sizeof(writeProtectArg{}),
		IoctlContinue: unsafe.Sizeof(continueArg{}), IoctlPoison: unsafe.Sizeof(poisonArg{}),
		IoctlRWProtect: unsafe.Sizeof(rwProtectArg{}), IoctlSetMode: unsafe.Sizeof(setModeArg{}),
		IoctlPagemapScan: unsafe.Sizeof(pagemapScanArg{}),
	} {
		if got := request >> 16 & 0x3fff; got != Ioctl(size) {
			t.Errorf("%v carries %d bytes, the struct has %d", request, got, size)
		}
	}
}

func TestLayoutMatchesCompiler(t *testing.T) {
	compiler, err := exec.LookPath("cc")
	if err != nil {
		if compiler, err = exec.LookPath("gcc"); err != nil {
			t.Skipf("no C compiler: %v", err)
		}
	}
	const header = "/usr/include/linux/userfaultfd.h"
	if _, err := os.Stat(header); err != nil {
		t.Skipf("no kernel headers: %v", err)
	}
	compared, newer := 0, []string{}
	for i, theirs := range strings.Fields(runC(t, compiler)) {
		row := cLayout[i]
		if theirs == "-" {
			newer = append(newer, row.guard)
			continue
		}
		value, err := strconv.ParseUint(theirs, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		compared++
		if value != row.ours {
			t.Errorf("%s is %#x to the compiler, %#x here", row.expr, value, row.ours)
		}
	}
	if compared+len(newer) != len(cLayout) || compared < 30 {
		t.Errorf("compared only %d of %d rows", compared, len(cLayout))
	}
	t.Logf("%d rows compared; not in this header: %v", compared, newer)
}

// runC prints one field a row of cLayout: the value in decimal, or "-".
func runC(t *testing.T, compiler string) string {
	t.Helper()
	var source strings.Builder
	source.WriteString("#include <stdio.h>\n#include <stddef.h>\n#include <sys/ioctl.h>\n#include <linux/fs.h>\n#include <linux/userfaultfd.h>\nint main(void) {\n")
	for _, row := range cLayout {
		fmt.Fprintf(&source, "#ifdef %s\nprintf(\"%%llu\\n\", (unsigned long long)(%s));\n#else\nputs(\"-\");\n#endif\n", row.guard, row.expr)
	}
	source.WriteString("return 0; }\n")
	dir := t.TempDir()
	file, program := filepath.Join(dir, "layout.c"), filepath.Join(dir, "layout")
	if err := os.WriteFile(file, []byte(source.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(compiler, "-o", program, file).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", compiler, err, out)
	}
	out, err := exec.Command(program).Output()
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}
