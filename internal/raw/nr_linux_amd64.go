package raw

const (
	sysClockGettime  = 228
	sysRtSigprocmask = 14
	sysFutex         = 202
	vdsoClockName    = "__vdso_clock_gettime"
)
