package realtest

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	consul "github.com/hashicorp/consul/api"

	"curia/gossip"
)

const (
	oldKey = "pUqJrVyVRj5jsiYEkM/tFQYfWyJIv4s3XkvDwy7Cu5s="
	newKey = "a1i101sMY8rxB+0eAKD/gw=="
)

// enter opens a pool in this process, beside those of agents, until the end of
// the test.
func enter(t *testing.T, cfg gossip.Config) *gossip.Pool {
	t.Helper()
	cfg.Bind = "127.0.0.1"
	p, err := gossip.Open(cfg, slog.New(slog.DiscardHandler))
	check(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- p.Run(ctx, func(gossip.Event) {}) }()
	t.Cleanup(func() {
		cancel()
		check(t, <-ended)
	})
	return p
}

// command runs the command line against an agent, and gives what it printed.
func (a *agent) command(args ...string) (string, error) {
	cmd := exec.Command(program, args...)
	cmd.Env = append(os.Environ(), "CONSUL_HTTP_ADDR="+a.addr)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// prints runs a command line that has to print something.
func (a *agent) prints(want string, args ...string) {
	a.t.Helper()
	if out, err := a.command(args...); err != nil || out != want {
		a.t.Errorf("curia %s\n got %v, %q\nwant %q", strings.Join(args, " "), err, out, want)
	}
}

// TestKeyring changes the key of three agents of a datacenter, and of the
// servers of two, without anybody getting lost.
func TestKeyring(t *testing.T) {
	t.Parallel()
	a := start(t, option{config: map[string]any{"encrypt": oldKey}})
	for _, name := range []string{"n2", "n3"} {
		p := enter(t, gossip.Config{Name: name, Tags: map[string]string{"role": "node", "dc": "dc1", "id": name}, Encryption: gossip.Encryption{Key: oldKey}})
		_, err := p.Join([]string{a.lanAddress()})
		check(t, err)
	}
	s := start(t, option{config: map[string]any{"encrypt": oldKey, "datacenter": "dc2"}})
	check(t, s.client().Agent().Join(a.wanAddress(), true))
	a.sees("n1=1 n2=1 n3=1")

	list := func(lines ...string) string {
		wan, one, two := "\nWAN:\n", "\ndc1 (LAN):\n", "\ndc2 (LAN):\n"
		for _, key := range lines {
			wan, one, two = wan+"  "+key+" [2/2]\n", one+"  "+key+" [3/3]\n", two+"  "+key+" [1/1]\n"
		}
		return wan + one + two
	}
	const gathering, primaries = "==> Gathering installed encryption keys...\n", "==> Gathering installed primary encryption keys...\n"
	a.prints(gathering+list(oldKey), "keyring", "-list")
	a.prints("==> Installing new gossip encryption key...\n", "keyring", "-install="+newKey)
	a.prints(gathering+list(newKey, oldKey), "keyring", "-list", "-relay-factor=2")
	a.prints(primaries+list(oldKey), "keyring", "-list-primary")
	if out, err := a.command("keyring", "-remove="+oldKey); err == nil || !strings.Contains(out, "n2: ") || !strings.Contains(out, "n1.dc2: ") || !strings.Contains(out, "in datacenter dc2: ") {
		t.Errorf("remove the key that is in use: got %v, %q, want every member's refusal", err, out)
	}
	a.prints("==> Changing primary gossip encryption key...\n", "keyring", "-use="+newKey)
	a.prints(primaries+list(newKey), "keyring", "-list-primary")
	a.prints("==> Removing gossip encryption key...\n", "keyring", "-remove="+oldKey)
	a.prints(gathering+"\ndc1 (LAN):\n  "+newKey+" [3/3]\n", "keyring", "-list", "-local-only")
	a.sees("n1=1 n2=1 n3=1")

	operator := a.client().Operator()
	reports, err := operator.KeyringList(nil)
	check(t, err)
	for i, want := range []consul.KeyringResponse{{WAN: true, Datacenter: "dc1", NumNodes: 2}, {Datacenter: "dc1", NumNodes: 3}, {Datacenter: "dc2", NumNodes: 1}} {
		want.Keys = map[string]int{newKey: want.NumNodes}
		want.PrimaryKeys = want.Keys
		same(t, fmt.Sprintf("report %d", i), reports[i], &want)
	}
	if status, _, text, err := a.ask("POST", "/v1/operator/keyring", `{"Key":"c2hvcnQ="}`); err != nil || status != 400 || !strings.Contains(text, "16, 24 or 32 bytes") {
		t.Errorf("install a short key: got %d %q, %v, wanted 400", status, text, err)
	}
	if err := operator.KeyringUse(oldKey, nil); err == nil {
		t.Error("use a key that nobody has: got no error")
	}

	// The file has the new key, and wins over the configuration.
	for _, file := range []string{"local", "remote"} {
		text, err := os.ReadFile(filepath.Join(a.dir, "serf", file+".keyring"))
		check(t, err)
		if !strings.Contains(string(text), newKey) || strings.Contains(string(text), oldKey) {
			t.Errorf("%s.keyring after the change: got %s", file, text)
		}
	}
	a.stop(syscall.SIGTERM)
	a.restart()
	a.sees("n1=1 n2=1 n3=1")
	check(t, a.said("the keyring file exists, the key of the configuration is not used"))
	a.prints(gathering+list(newKey), "keyring", "-list")
}

// TestKeyringInMemory covers that no file is written when none is wanted.
func TestKeyringInMemory(t *testing.T) {
	t.Parallel()
	a := start(t, option{config: map[string]any{"encrypt": oldKey, "disable_keyring_file": true}})
	check(t, a.client().Operator().KeyringInstall(newKey, nil))
	if files, err := filepath.Glob(filepath.Join(a.dir, "serf", "*.keyring")); len(files) > 0 || err != nil {
		t.Errorf("keyring files: got %q, %v, wanted none", files, err)
	}
}
