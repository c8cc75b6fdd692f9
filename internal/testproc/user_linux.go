package testproc

import (
	"os/exec"
	"syscall"
	"testing"
)

// AsUser runs the child under another user and group id. Only root can: the caller checks.
func AsUser(id uint32) Option {
	return func(t *testing.T, c *exec.Cmd) {
		c.Path = readableBinary(t)
		c.Dir = "/"
		c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: id, Gid: id}}
	}
}
