package config

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// write puts files into a new directory and returns its path. The names sort as given.
func write(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// aHost has one private address and a name.
func aHost() host {
	return host{
		name:      func() (string, error) { return "box", nil },
		addresses: func() ([]netip.Addr, error) { return []netip.Addr{netip.MustParseAddr("10.0.0.7")}, nil },
	}
}

// loadHCL loads pieces of HCL on aHost, as if each was a file.
func loadHCL(pieces ...string) (*Config, []string, error) {
	l := &loader{c: Default()}
	for _, text := range pieces {
		l.text("test.hcl", []byte(text), HCL)
	}
	return l.finish(aHost())
}

func TestDevLoads(t *testing.T) {
	c, warnings, err := Load(Sources{Dev: true})
	if err != nil {
		t.Fatalf("load -dev: %v", err)
	}
	if !c.Mode.Server || !c.Mode.Bootstrap || !c.Log.EnableDebug || !c.UI.Enabled || c.Log.Level != "DEBUG" ||
		c.Performance.RaftMultiplier != 1 || c.Addresses.Bind != "127.0.0.1" || c.Addresses.Advertise != "127.0.0.1" {
		t.Errorf("load -dev: got %+v", c)
	}
	for _, w := range warnings {
		if !strings.Contains(w, "DNS") { // the name of the host that runs the test
			t.Errorf("load -dev warns: %s", w)
		}
	}
}
