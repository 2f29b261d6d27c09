//go:build unix

package check

import (
	"os"
	"os/exec"
	"syscall"
)

// shell is what a Script is appended to.
func shell() []string { return []string{"/bin/sh", "-c"} }

// leadGroup makes the command lead a process group of its own.
func leadGroup(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }

// killGroup kills the process and all of its group. The process must not have
// been waited for, so that its number is still its own.
func killGroup(p *os.Process) { _ = syscall.Kill(-p.Pid, syscall.SIGKILL) }
