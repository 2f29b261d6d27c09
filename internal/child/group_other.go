//go:build !unix

package child

import (
	"os"
	"os/exec"
	"time"
)

func shell() []string { return []string{"cmd", "/C"} }

// leadGroup does nothing: there are no process groups.
func leadGroup(*exec.Cmd) {}

// terminate kills: there is no way to ask.
func terminate(p *os.Process) error { return p.Kill() }

func terminateGroup(p *os.Process) error { return p.Kill() }

func endGroup(*os.Process, time.Time) {}
