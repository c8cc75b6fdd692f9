package uffd

// Privileges is what decides about the open paths, as far as /proc tells.
type Privileges struct {
	UID int `json:"uid"`
	// UnprivilegedSysctl is vm.unprivileged_userfaultfd; nil where it cannot be read or does not
	// exist (Linux before 5.2, when everyone was allowed).
	UnprivilegedSysctl *int `json:"vm.unprivileged_userfaultfd"`
	CapSysPtrace       bool `json:"cap_sys_ptrace"`
	// UserNamespace: the process lives in a user namespace other than the initial one, where a
	// capability does not count for userfaultfd(2).
	UserNamespace bool   `json:"user_namespace"`
	Seccomp       string `json:"seccomp"` // none, strict or filter; empty is unknown
	NoNewPrivs    bool   `json:"no_new_privs"`
}
