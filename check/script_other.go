//go:build !unix

package check

import (
	"os"
	"os/exec"
)

// shell is what a Script is appended to.
func shell() []string { return []string{"cmd", "/C"} }

// leadGroup does nothing: there are no process groups to kill.
func leadGroup(*exec.Cmd) {}

// killGroup kills the process alone.
func killGroup(p *os.Process) { _ = p.Kill() }
