package realtest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestSecurityGuide runs the commands of docs/security.md as they stand there, in
// directories and on ports of its own.
func TestSecurityGuide(t *testing.T) {
	text, err := os.ReadFile("../../docs/security.md")
	if err != nil {
		t.Fatal(err)
	}
	var script strings.Builder
	blocks := 0
	for _, part := range strings.Split(string(text), "```sh\n")[1:] {
		block, _, _ := strings.Cut(part, "```")
		script.WriteString(block)
		blocks++
	}
	if blocks < 10 {
		t.Fatalf("blocks of commands: got %d; want all of the guide", blocks)
	}
	a := prepare(t, option{}) // for its port
	dir := t.TempDir()
	conf, data := filepath.Join(dir, "etc"), filepath.Join(dir, "data")
	// A shell that stops at failures does not stop where one is missing.
	commands := strings.NewReplacer("/etc/curia.d", conf, "/var/lib/curia", data, "\n! ", "\nrefused ").Replace("\n" + script.String())
	_, port, _ := strings.Cut(a.addr, ":")
	dns := freePort(t)
	head := fmt.Sprintf("set -eu\ncurl() { command curl -sf \"$@\"; }\nrefused() { if \"$@\"; then echo \"not refused: $*\"; exit 1; fi; }\ntrap 'kill -9 $(jobs -p)' EXIT\nmkdir %[1]s\nchmod 700 %[1]s\n", conf) +
		fmt.Sprintf("echo 'ports { http = %s dns = %d server = %d serf_lan = %d serf_wan = %d }' >%s/ports.hcl\n", port, dns, freePort(t), freePort(t), freePort(t), conf)
	// What the guide promises, from without.
	tail := fmt.Sprintf(`
curl "http://%[1]s/v1/health/service/web?token=$(cat dns-token)" | grep -q '"Port":80' || { echo "web is not in the catalog"; exit 1; }
for _ in $(seq 50); do
  curl "http://%[1]s/v1/health/service/mail?token=$(cat dns-token)" | grep -q '"Port":25' && found=yes && break
  sleep 0.2
done
[ "${found:-}" = yes ] || { echo "mail is not in the catalog"; exit 1; }
[ "$(stat -c %%a root-token)" = 600 ]
echo "the guide works"
`, a.addr)
	cmd := exec.Command("bash", "-x", "-c", head+commands+tail)
	cmd.Dir = dir
	bin := filepath.Dir(consulLink)
	if filepath.Base(program) != "curia" {
		bin = t.TempDir()
		if err := os.Symlink(program, filepath.Join(bin, "curia")); err != nil {
			t.Fatal(err)
		}
	}
	cmd.Env = append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"), "CURIA_HTTP_ADDR="+a.addr)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "\nthe guide works\n") {
		t.Errorf("the commands of docs/security.md: %v\n%s", err, out)
	}
}
