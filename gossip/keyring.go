package gossip

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"slices"

	"github.com/hashicorp/memberlist"
	"github.com/hashicorp/serf/serf"

	"curia/internal/atomicfile"
)

// Encryption is how a pool keeps its words to itself. The zero value does not.
type Encryption struct {
	// Key is 16, 24 or 32 bytes in base64; empty means none.
	Key string
	// KeyringFile holds a JSON list of keys, the first of which encrypts. Where
	// it exists, it wins over Key; changes are written to it. Empty keeps the
	// keys in memory only.
	KeyringFile string
	// TakePlain and SendPlain allow what is not encrypted, while a pool changes
	// over.
	TakePlain, SendPlain bool
}

// open gives the keys to begin with; nil for none.
func (e *Encryption) open(log *slog.Logger) (*memberlist.Keyring, error) {
	keys, err := e.load()
	if err != nil {
		return nil, err
	}
	switch {
	case len(keys) > 0 && e.Key != "" && keys[0] != e.Key:
		log.Warn("the keyring file exists, the key of the configuration is not used", "file", e.KeyringFile)
	case len(keys) == 0 && e.Key == "":
		return nil, nil
	case len(keys) == 0:
		keys = []string{e.Key}
		if err := e.save(keys); err != nil {
			return nil, err
		}
	}
	raw := make([][]byte, len(keys))
	for i, key := range keys {
		if err := CheckKey(key); err != nil {
			return nil, fmt.Errorf("gossip key %d: %w", i+1, err)
		}
		raw[i], _ = base64.StdEncoding.DecodeString(key)
	}
	return memberlist.NewKeyring(raw, raw[0])
}

// CheckKey says what is wrong with a key, without saying the key.
func CheckKey(key string) error {
	raw, err := base64.StdEncoding.DecodeString(key)
	if err == nil {
		err = memberlist.ValidateKey(raw)
	}
	if err != nil {
		return errors.New("a key must be 16, 24 or 32 bytes in base64; curia keygen makes one")
	}
	return nil
}

func (e *Encryption) load() ([]string, error) {
	if e.KeyringFile == "" {
		return nil, nil
	}
	text, err := os.ReadFile(e.KeyringFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var keys []string
	if err == nil {
		err = json.Unmarshal(text, &keys)
	}
	if err == nil && len(keys) == 0 {
		err = errors.New("it has no keys")
	}
	if err != nil {
		return nil, fmt.Errorf("read keyring %s: %w", e.KeyringFile, err)
	}
	return keys, nil
}

// save writes the first keyring file.
func (e *Encryption) save(keys []string) error {
	if e.KeyringFile == "" {
		return nil
	}
	text, err := json.MarshalIndent(keys, "", "  ")
	if err == nil {
		err = atomicfile.Write(e.KeyringFile, text)
	}
	if err != nil {
		return fmt.Errorf("keep the keys of gossip: %w", err)
	}
	return nil
}

// KeyReport is what the members answer to a change of keys ("operator/keyring").
type KeyReport struct {
	// Nodes is how many members were asked.
	Nodes int
	// Keys counts for each key the members that have it, Primary those that
	// encrypt with it. Both are empty unless the keys were listed.
	Keys, Primary map[string]int
	// Messages are the errors of members, by their names.
	Messages map[string]string
}

// Keys asks all members for their keys. relay is how many others pass on each
// answer, from 0 to 5. When members do not answer or refuse, there is a report
// beside the error; so it is with all changes of keys.
func (p *Pool) Keys(relay uint8) (*KeyReport, error) {
	return p.keys("list the keys", relay, func(m *serf.KeyManager, o *serf.KeyRequestOptions) (*serf.KeyResponse, error) {
		return m.ListKeysWithOptions(o)
	})
}

// InstallKey gives all members a key, in base64, with which they can decrypt.
func (p *Pool) InstallKey(key string, relay uint8) (*KeyReport, error) {
	return p.keys("install a key", relay, func(m *serf.KeyManager, o *serf.KeyRequestOptions) (*serf.KeyResponse, error) {
		return m.InstallKeyWithOptions(key, o)
	})
}

// UseKey makes all members encrypt with a key that they have.
func (p *Pool) UseKey(key string, relay uint8) (*KeyReport, error) {
	return p.keys("change the primary key", relay, func(m *serf.KeyManager, o *serf.KeyRequestOptions) (*serf.KeyResponse, error) {
		return m.UseKeyWithOptions(key, o)
	})
}

// RemoveKey takes a key from all members that do not encrypt with it.
func (p *Pool) RemoveKey(key string, relay uint8) (*KeyReport, error) {
	return p.keys("remove a key", relay, func(m *serf.KeyManager, o *serf.KeyRequestOptions) (*serf.KeyResponse, error) {
		return m.RemoveKeyWithOptions(key, o)
	})
}

// ErrPlain says that a pool is not encrypted and so has no keys.
var ErrPlain = errors.New("it is not encrypted")

// Encrypted reports whether the pool has keys. That does not change.
func (p *Pool) Encrypted() bool { return p.serf.EncryptionEnabled() }

func (p *Pool) keys(what string, relay uint8, ask func(*serf.KeyManager, *serf.KeyRequestOptions) (*serf.KeyResponse, error)) (*KeyReport, error) {
	if !p.Encrypted() {
		return nil, fmt.Errorf("%s of the %s pool: %w", what, p.cfg.Area, ErrPlain)
	}
	r, err := ask(p.serf.KeyManager(), &serf.KeyRequestOptions{RelayFactor: relay})
	report := &KeyReport{Nodes: r.NumNodes, Keys: r.Keys, Primary: r.PrimaryKeys, Messages: r.Messages}
	// The library counts the missing primary key of other answers as a key.
	delete(report.Primary, "")
	if err != nil {
		for _, name := range slices.Sorted(maps.Keys(report.Messages)) {
			err = fmt.Errorf("%w; %s: %s", err, name, report.Messages[name])
		}
		return report, fmt.Errorf("%s of the %s pool: %w", what, p.cfg.Area, err)
	}
	return report, nil
}
