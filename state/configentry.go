package state

import (
	"bytes"
	"maps"

	"curia/api"
)

var configEntries = newTable("config-entries", func(b []byte, e *api.ConfigEntry) []byte {
	return append(b, join(e.Kind, e.Name)...)
})

func configTopic(kind string) string { return "config/" + kind }

// ConfigEntry reads one config entry; nil when it does not exist.
func (v *View) ConfigEntry(kind, name string) *api.ConfigEntry {
	e := one(v, configEntries, join(kind, name))
	if e == nil {
		v.missing = true
		v.raise(v.tableIndex(configEntries.id))
		return nil
	}
	v.raise(e.ModifyIndex)
	return e
}

// ConfigEntries reads the config entries of a kind, by name.
func (v *View) ConfigEntries(kind string) []*api.ConfigEntry {
	v.missing = !v.about(configTopic(kind), v.tableIndex(configEntries.id))
	return configEntries.collect(v, configEntries.id, join(kind, ""))
}

// ConfigSet writes a config entry that was completed before. It answers whether
// the write took place.
type ConfigSet struct {
	Entry api.ConfigEntry `cbor:"1,keyasint"`
	// CAS, when not nil, must be the ModifyIndex of what is there; 0: there must
	// be nothing.
	CAS *uint64 `cbor:"2,keyasint,omitempty"`
}

// Apply implements Command.
func (c *ConfigSet) Apply(tx *Tx) (any, error) {
	if err := admitNames(c.Entry.Kind, c.Entry.Name); err != nil {
		return nil, err
	}
	e := c.Entry
	e.CreateIndex, e.ModifyIndex = tx.index, tx.index
	old := configEntries.get(tx, join(e.Kind, e.Name))
	if !entryIsAt(old, c.CAS) {
		return false, nil
	}
	if old != nil {
		e.CreateIndex = old.CreateIndex
		if bytes.Equal(e.Body, old.Body) && maps.Equal(e.Meta, old.Meta) {
			return true, nil
		}
	}
	configEntries.put(tx, &e)
	tx.bump(configTopic(e.Kind))
	return true, nil
}

// entryIsAt reports whether an entry (nil: none) fulfils a condition.
func entryIsAt(e *api.ConfigEntry, cas *uint64) bool {
	switch {
	case cas == nil:
		return true
	case e == nil:
		return *cas == 0
	}
	return e.ModifyIndex == *cas
}

// ConfigDelete deletes a config entry. It answers whether it is gone: also when
// there was none, unless there is a condition.
type ConfigDelete struct {
	Kind string `cbor:"1,keyasint"`
	Name string `cbor:"2,keyasint"`
	// CAS, when not nil, must be the ModifyIndex of the entry.
	CAS *uint64 `cbor:"3,keyasint,omitempty"`
}

// Apply implements Command.
func (c *ConfigDelete) Apply(tx *Tx) (any, error) {
	e := configEntries.get(tx, join(c.Kind, c.Name))
	if e == nil {
		return c.CAS == nil, nil
	}
	if !entryIsAt(e, c.CAS) {
		return false, nil
	}
	configEntries.remove(tx, e)
	tx.bump(configTopic(c.Kind))
	return true, nil
}
