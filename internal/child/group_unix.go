//go:build unix

package child

import (
	"os"
	"os/exec"
	"syscall"
	"time"
)

// lookEvery is how often a group is looked for that should be gone.
const lookEvery = 20 * time.Millisecond

func shell() []string { return []string{"/bin/sh", "-c"} }

// leadGroup makes the command lead a process group of its own.
func leadGroup(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }

func terminate(p *os.Process) error { return p.Signal(syscall.SIGTERM) }

func terminateGroup(p *os.Process) error { return syscall.Kill(-p.Pid, syscall.SIGTERM) }

// endGroup waits until the group that a process has led is gone, and kills what
// is left of it at a time. The number of a group is not given to others while
// there is somebody in it.
func endGroup(p *os.Process, at time.Time) {
	for time.Now().Before(at) {
		if syscall.Kill(-p.Pid, 0) != nil {
			return
		}
		time.Sleep(lookEvery)
	}
	_ = syscall.Kill(-p.Pid, syscall.SIGKILL)
}
