package agent

import (
	"bufio"
	"bytes"
	"context"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"curia/api"
)

// runtimeStats describes the running program.
func runtimeStats() map[string]map[string]string {
	return map[string]map[string]string{"runtime": {
		"arch": runtime.GOARCH, "os": runtime.GOOS, "version": runtime.Version(),
		"cpu_count": strconv.Itoa(runtime.NumCPU()), "goroutines": strconv.Itoa(runtime.NumGoroutine()),
		"max_procs": strconv.Itoa(runtime.GOMAXPROCS(0)),
	}}
}

// host describes the machine as far as the kernel tells.
func (a *Agent) host(context.Context, *api.None) (*api.Host, error) {
	h := &api.Host{CollectionTime: time.Now().UnixNano(), CPU: []api.HostCPU{}}
	note := func(err error) {
		if err != nil {
			h.Errors = append(h.Errors, err.Error())
		}
	}
	note(hostMemory(&h.Memory))
	note(hostCPUs(&h.CPU))
	note(hostInfo(&h.Host))
	note(hostDisk(&h.Disk, a.cfg.DataDir))
	return h, nil
}

// eachField calls f for the "name: value" lines of a file of the kernel.
func eachField(path string, f func(name, value string)) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	lines := bufio.NewScanner(bytes.NewReader(b))
	for lines.Scan() {
		name, value, _ := strings.Cut(lines.Text(), ":")
		f(strings.TrimSpace(name), strings.TrimSpace(value))
	}
	return lines.Err()
}

func hostMemory(m *api.HostMemory) error {
	err := eachField("/proc/meminfo", func(name, value string) {
		n, _ := strconv.ParseUint(strings.TrimSuffix(value, " kB"), 10, 64)
		switch name {
		case "MemTotal":
			m.Total = n << 10
		case "MemAvailable":
			m.Available = n << 10
		case "MemFree":
			m.Free = n << 10
		}
	})
	m.Used = m.Total - m.Available
	m.UsedPercent = percent(m.Used, m.Total)
	return err
}

func percent(part, whole uint64) float64 {
	if whole == 0 {
		return 0
	}
	return 100 * float64(part) / float64(whole)
}

func hostCPUs(cpus *[]api.HostCPU) error {
	return eachField("/proc/cpuinfo", func(name, value string) {
		if name == "processor" {
			n, _ := strconv.Atoi(value)
			*cpus = append(*cpus, api.HostCPU{CPU: n, Cores: 1})
		}
		if len(*cpus) == 0 {
			return
		}
		cpu := &(*cpus)[len(*cpus)-1]
		switch name {
		case "model name":
			cpu.ModelName = value
		case "cpu MHz":
			cpu.Mhz, _ = strconv.ParseFloat(value, 64)
		}
	})
}

func hostInfo(h *api.HostInfo) error {
	h.OS, h.KernelArch = runtime.GOOS, runtime.GOARCH
	var err error
	if h.Hostname, err = os.Hostname(); err != nil {
		return err
	}
	var info syscall.Sysinfo_t
	if err := syscall.Sysinfo(&info); err != nil {
		return err
	}
	h.Uptime = uint64(info.Uptime)
	h.BootTime = uint64(time.Now().Unix()) - h.Uptime
	release, err := os.ReadFile("/proc/sys/kernel/osrelease")
	h.KernelVersion = strings.TrimSpace(string(release))
	return err
}

func hostDisk(d *api.HostDisk, dir string) error {
	if dir == "" {
		dir = "/"
	}
	var fs syscall.Statfs_t
	if err := syscall.Statfs(dir, &fs); err != nil {
		return err
	}
	d.Path = dir
	d.Total = fs.Blocks * uint64(fs.Bsize)
	d.Free = fs.Bavail * uint64(fs.Bsize)
	d.Used = d.Total - fs.Bfree*uint64(fs.Bsize)
	d.UsedPercent = percent(d.Used, d.Total)
	return nil
}
