package uffd

import (
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// readPrivileges reads what decides about the open paths. What cannot be read stays unknown: the
// hints that are drawn from it explain a refusal, and never cause one.
func readPrivileges() Privileges {
	p := Privileges{UID: os.Geteuid()}
	if text, err := os.ReadFile("/proc/sys/vm/unprivileged_userfaultfd"); err == nil {
		if value, err := strconv.Atoi(strings.TrimSpace(string(text))); err == nil {
			p.UnprivilegedSysctl = &value
		}
	}
	status := statusFields()
	if caps, err := strconv.ParseUint(status["CapEff"], 16, 64); err == nil {
		p.CapSysPtrace = caps>>unix.CAP_SYS_PTRACE&1 != 0
	}
	p.Seccomp = map[string]string{"0": "none", "1": "strict", "2": "filter"}[status["Seccomp"]]
	p.NoNewPrivs = status["NoNewPrivs"] == "1"
	p.UserNamespace = inUserNamespace()
	return p
}

// statusFields reads /proc/thread-self/status, proc_pid_status(5): capabilities belong to threads.
func statusFields() map[string]string {
	fields := map[string]string{}
	text, err := os.ReadFile("/proc/thread-self/status")
	if err != nil {
		return fields
	}
	for line := range strings.Lines(string(text)) {
		if name, value, ok := strings.Cut(line, ":"); ok {
			fields[name] = strings.TrimSpace(value)
		}
	}
	return fields
}

// inUserNamespace reports whether ids are mapped. The kernel asks for CAP_SYS_PTRACE in the initial
// namespace, so a capability held in another one does not help.
func inUserNamespace() bool {
	text, err := os.ReadFile("/proc/self/uid_map")
	if err != nil {
		return false
	}
	return strings.Join(strings.Fields(string(text)), " ") != "0 0 4294967295"
}
