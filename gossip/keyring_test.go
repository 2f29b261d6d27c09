package gossip

import (
	"encoding/base64"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var discard = slog.New(slog.DiscardHandler)

// key makes a key of 32 bytes.
func key(b byte) string {
	return base64.StdEncoding.EncodeToString([]byte(strings.Repeat(string(rune(b)), 32)))
}

func encrypted(name, key string) Config {
	c := config(name)
	c.Encryption.Key = key
	return c
}

func TestEncryption(t *testing.T) {
	a := enter(t, encrypted("a", key('1')))
	for name, cfg := range map[string]Config{"wrong key": encrypted("b", key('2')), "no key": config("b")} {
		b := enter(t, cfg)
		if n, err := b.Join([]string{a.address()}); n != 0 || err == nil {
			t.Errorf("%s: joined %d, %v; want an error", name, n, err)
		}
		if a.statuses() != "a=alive" || b.statuses() != "b=alive" {
			t.Errorf("%s: a sees %q, b sees %q", name, a.statuses(), b.statuses())
		}
		b.kill()
	}
	enter(t, encrypted("b", key('1'))).join(a)
	if s := a.Stats(); s["encrypted"] != "true" {
		t.Errorf("stats: got %v", s)
	}
}

func TestKeyRotation(t *testing.T) {
	file := filepath.Join(t.TempDir(), "serf", "local.keyring")
	cfg := encrypted("a", key('1'))
	cfg.Encryption.KeyringFile = file
	a, b := enter(t, cfg), enter(t, encrypted("b", key('1')))
	b.join(a)
	steps := []struct {
		name string
		do   func(string, uint8) (*KeyReport, error)
		key  string
		want KeyReport // of a list afterwards
	}{
		{"install", a.InstallKey, key('2'), KeyReport{Keys: map[string]int{key('1'): 2, key('2'): 2}, Primary: map[string]int{key('1'): 2}}},
		{"use", b.UseKey, key('2'), KeyReport{Keys: map[string]int{key('1'): 2, key('2'): 2}, Primary: map[string]int{key('2'): 2}}},
		{"remove", a.RemoveKey, key('1'), KeyReport{Keys: map[string]int{key('2'): 2}, Primary: map[string]int{key('2'): 2}}},
	}
	for _, s := range steps {
		if r, err := s.do(s.key, 0); err != nil || r.Nodes != 2 {
			t.Fatalf("%s: got %+v, %v", s.name, r, err)
		}
		s.want.Nodes, s.want.Messages = 2, map[string]string{}
		got, err := b.Keys(0)
		if err != nil {
			t.Fatalf("list after %s: %v", s.name, err)
		}
		if diff := cmp.Diff(&s.want, got); diff != "" {
			t.Errorf("list after %s (-want +got)\n%s", s.name, diff)
		}
	}
	if r, err := a.RemoveKey(key('2'), 0); err == nil || len(r.Messages) != 2 {
		t.Errorf("remove the primary key: got %+v, %v; want both to refuse", r, err)
	}
	if _, err := a.InstallKey("not base64", 0); err == nil {
		t.Error("install nonsense: got no error")
	}
	enter(t, encrypted("c", key('2'))).join(a)

	// The file has what was changed, and wins over the configuration.
	text, err := os.ReadFile(file)
	if err != nil || !strings.Contains(string(text), key('2')) || strings.Contains(string(text), key('1')) {
		t.Errorf("keyring file: got %s, %v", text, err)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode of the keyring file: got %v, %v", info, err)
	}
	a.kill()
	b.await(Failed, "a")
	a = enter(t, cfg)
	a.join(b)
}

func TestNoKeys(t *testing.T) {
	a := enter(t, config("a"))
	if _, err := a.Keys(0); !errors.Is(err, ErrPlain) {
		t.Errorf("list keys without encryption: got %v, want %v", err, ErrPlain)
	}
}

func TestDamagedKeyring(t *testing.T) {
	for name, text := range map[string]string{"no JSON": "x", "no list": "{}", "empty": "[]", "no key": `["eA=="]`} {
		file := filepath.Join(t.TempDir(), "local.keyring")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		e := Encryption{KeyringFile: file, Key: key('1')}
		if keys, err := e.open(discard); err == nil {
			t.Errorf("%s: got %v, want an error", name, keys)
		}
	}
}
