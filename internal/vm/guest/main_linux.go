// Command guest is process 1 of the virtual machines in which .ci/vm runs tests: it makes the usual
// file systems, runs the steps of its job, reports to the host, and turns the machine off.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"github.com/firsttouch/firsttouch/internal/vm/wire"
	"golang.org/x/sys/unix"
)

func main() {
	// Tests start true(1) to have a process that ends. There is no other program here.
	if filepath.Base(os.Args[0]) == "true" {
		return
	}
	if os.Getpid() != 1 {
		fmt.Fprintln(os.Stderr, "guest: this is process 1 of a virtual machine, see .ci/vm")
		os.Exit(1)
	}
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "guest:", err)
	}
	unix.Sync()
	err := unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF)
	fmt.Fprintln(os.Stderr, "guest: power off:", err) // the kernel panics when process 1 ends
}

func run() error {
	text, err := os.ReadFile(wire.JobFile)
	if err != nil {
		return err
	}
	var job wire.Job
	if err := json.Unmarshal(text, &job); err != nil {
		return fmt.Errorf("%s: %w", wire.JobFile, err)
	}
	if err := mountKernel(""); err != nil {
		return err
	}
	for _, name := range job.Modules {
		if err := loadModule(filepath.Join(wire.Modules, name)); err != nil {
			return err
		}
	}
	if err := switchRoot(); err != nil {
		return err
	}
	port, err := openPort(wire.ResultsTo)
	if err != nil {
		return err
	}
	out := &reporter{port: port}
	out.send(wire.Frame{Machine: describe()})
	for _, s := range job.Steps {
		out.send(wire.Frame{Begin: s.Name})
		end := runStep(s, job.Env, out)
		out.send(wire.Frame{End: &end})
	}
	out.send(wire.Frame{Done: true})
	return out.err
}
