package raw

const (
	sysClockGettime  = 113
	sysRtSigprocmask = 135
	sysFutex         = 98
	vdsoClockName    = "__kernel_clock_gettime"
)
