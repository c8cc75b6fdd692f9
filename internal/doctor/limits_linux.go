package doctor

import (
	"os"
	"runtime"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// ReadLimits reads the facts about this process.
func ReadLimits() Limits {
	l := Limits{CPUs: runtime.NumCPU()}
	if text, err := os.ReadFile("/proc/sys/vm/max_map_count"); err == nil {
		if n, err := strconv.Atoi(strings.TrimSpace(string(text))); err == nil {
			l.MaxMapCount = &n
		}
	}
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData // 64 capabilities, 32 to a set
	if unix.Capget(&header, &data[0]) == nil {
		l.CapSysNice = data[0].Effective>>unix.CAP_SYS_NICE&1 != 0
	}
	return l
}
