package api

import (
	"net/url"
	"strconv"

	"curia/acl"
)

// KVPair is one entry of the key/value store ("KV").
type KVPair struct {
	// LockIndex counts the successful acquisitions of the key.
	LockIndex uint64 `cbor:"1,keyasint,omitempty"`
	Key       string `cbor:"2,keyasint"`
	// Flags is opaque to Curia.
	Flags uint64 `cbor:"3,keyasint,omitempty"`
	// Value is printed as base64, and null when empty.
	Value []byte `cbor:"4,keyasint,omitempty"`
	// Session holds the lock; empty when the key is not locked.
	Session     string `json:",omitempty" cbor:"5,keyasint,omitempty"`
	CreateIndex uint64 `cbor:"6,keyasint"`
	ModifyIndex uint64 `cbor:"7,keyasint"`
}

// CanRead reports whether the holder of a may see the entry.
func (p *KVPair) CanRead(a acl.Authorizer) bool {
	return a.Allows(acl.Need{Resource: acl.Key, Access: acl.Read, Name: p.Key})
}

// RawValue is a value without encoding, sent as plain text.
type RawValue []byte

// KeyArgs names one key.
type KeyArgs struct {
	Key string `path:"key"`
}

// Validate wants a key.
func (a *KeyArgs) Validate() error {
	if a.Key == "" {
		return Errorf(Invalid, "Missing key name")
	}
	return nil
}

// PrefixArgs names the keys that begin with a prefix; an empty prefix means all.
type PrefixArgs struct {
	Prefix string `path:"key"`
}

// KVKeysArgs lists names under a prefix, cut after the first separator behind it.
type KVKeysArgs struct {
	Prefix    string `path:"key"`
	Separator string `query:"separator"`
	// Seperator is a misspelling that clients send.
	Seperator string `query:"seperator"`
}

// Validate lets the misspelt separator stand in for a missing one.
func (a *KVKeysArgs) Validate() error {
	if a.Separator == "" {
		a.Separator = a.Seperator
	}
	return nil
}

// KVPutArgs writes one key. At most one of CAS, Acquire and Release is given.
type KVPutArgs struct {
	Key     string  `path:"key"`
	Flags   uint64  `query:"flags"`
	CAS     *uint64 `query:"cas"`     // write only if ModifyIndex equals this; 0: only if the key is absent
	Acquire *string `query:"acquire"` // session that takes the lock
	Release *string `query:"release"` // session that gives the lock back
	Value   []byte  `body:"raw"`
}

// Validate wants a key and at most one condition.
func (a *KVPutArgs) Validate() error {
	if a.Key == "" {
		return Errorf(Invalid, "Missing key name")
	}
	conflict := url.Values{}
	if a.CAS != nil {
		conflict.Set("cas", strconv.FormatUint(*a.CAS, 10))
	}
	if a.Acquire != nil {
		conflict.Set("acquire", *a.Acquire)
	}
	if a.Release != nil {
		conflict.Set("release", *a.Release)
	}
	if len(conflict) > 1 {
		return Errorf(Invalid, "Conflicting flags: %s", conflict.Encode())
	}
	return nil
}

// KVDeleteArgs deletes one key, or with Recurse all that begin with it.
type KVDeleteArgs struct {
	Key     string  `path:"key"`
	Recurse bool    `query:"recurse"`
	CAS     *uint64 `query:"cas"` // delete only if ModifyIndex equals this
}

// Validate wants a key or Recurse, and not both conditions.
func (a *KVDeleteArgs) Validate() error {
	if a.Recurse && a.CAS != nil {
		return Errorf(Invalid, "Conflicting flags: cas=%d&recurse=", *a.CAS)
	}
	if a.Key == "" && !a.Recurse {
		return Errorf(Invalid, "Missing key name")
	}
	return nil
}

// The verbs of the key/value store.
var (
	KVGet = Read[KeyArgs, []*KVPair]("GET /v1/kv/{key}", "kv.get",
		"Reads one key.", Needs(readKey))
	KVRaw = Read[KeyArgs, RawValue]("GET /v1/kv/{key}?raw", "kv.raw",
		"Reads the value of one key without any encoding.", Needs(readKey))
	KVList = Read[PrefixArgs, []*KVPair]("GET /v1/kv/{key}?recurse", "kv.list",
		"Reads all keys that begin with a prefix.",
		Needs(func(a *PrefixArgs) acl.Need { return listKeys(a.Prefix) }))
	KVKeys = Read[KVKeysArgs, []string]("GET /v1/kv/{key}?keys", "kv.keys",
		"Lists the names of the keys that begin with a prefix.",
		Needs(func(a *KVKeysArgs) acl.Need { return listKeys(a.Prefix) }))
	KVPut = Write[KVPutArgs, bool]("PUT /v1/kv/{key}", "kv.put",
		"Writes one key, on a condition if one is given.",
		Needs(func(a *KVPutArgs) acl.Need { return acl.Need{Resource: acl.Key, Access: acl.Write, Name: a.Key} }))
	KVDelete = Write[KVDeleteArgs, bool]("DELETE /v1/kv/{key}", "kv.delete",
		"Deletes one key or all that begin with a prefix.",
		Needs(func(a *KVDeleteArgs) acl.Need {
			return acl.Need{Resource: acl.Key, Access: acl.Write, Name: a.Key, Prefix: a.Recurse}
		}))
)

func listKeys(prefix string) acl.Need {
	return acl.Need{Resource: acl.Key, Access: acl.List, Name: prefix, Prefix: true}
}

func readKey(a *KeyArgs) acl.Need {
	return acl.Need{Resource: acl.Key, Access: acl.Read, Name: a.Key}
}
