package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"curia/acl"
)

// ConfigEntry is configuration that a datacenter shares ("Config"). Curia keeps
// it for clients and checks nothing but what names it. It is printed as one
// object: these fields and those of Body side by side.
type ConfigEntry struct {
	Kind string            `cbor:"1,keyasint"`
	Name string            `cbor:"2,keyasint"`
	Meta map[string]string `cbor:"3,keyasint,omitempty"`
	// Body is a JSON object of all other fields under their documented names, in
	// order and without blanks; nil when there are none.
	Body        Opaque `cbor:"4,keyasint,omitempty"`
	CreateIndex uint64 `cbor:"5,keyasint"`
	ModifyIndex uint64 `cbor:"6,keyasint"`
}

// MarshalJSON prints one object.
func (e ConfigEntry) MarshalJSON() ([]byte, error) {
	b := append(appendString([]byte(`{"Kind":`), e.Kind), `,"Name":`...)
	b = appendString(b, e.Name)
	if len(e.Body) > 2 { // more than {}
		b = append(append(b, ','), e.Body[1:len(e.Body)-1]...)
	}
	if len(e.Meta) > 0 {
		meta, err := json.Marshal(e.Meta)
		if err != nil {
			return nil, err
		}
		b = append(append(b, `,"Meta":`...), meta...)
	}
	return fmt.Appendf(b, `,"CreateIndex":%d,"ModifyIndex":%d}`, e.CreateIndex, e.ModifyIndex), nil
}

// UnmarshalJSON reads one object, whose names may be written as the documents
// do (ConnectTimeout) or with underscores (connect_timeout).
func (e *ConfigEntry) UnmarshalJSON(b []byte) error {
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.UseNumber() // so that numbers stay as they were written
	var given map[string]any
	if err := dec.Decode(&given); err != nil {
		return err
	}
	if given == nil {
		return errors.New("a config entry is an object")
	}
	var head struct {
		Kind, Name, Namespace, Partition string
		Meta                             map[string]string
		CreateIndex, ModifyIndex         uint64
	}
	rest := documented(given)
	named := map[string]any{}
	for _, name := range []string{"Kind", "Name", "Namespace", "Partition", "Meta", "CreateIndex", "ModifyIndex"} {
		if v, ok := rest[name]; ok {
			named[name] = v
			delete(rest, name)
		}
	}
	text, err := json.Marshal(named)
	if err == nil {
		err = json.Unmarshal(text, &head)
	}
	if err == nil {
		err = Tenancy{head.Namespace, head.Partition}.Validate()
	}
	if err != nil {
		return err
	}
	*e = ConfigEntry{Kind: head.Kind, Name: head.Name, Meta: head.Meta, CreateIndex: head.CreateIndex, ModifyIndex: head.ModifyIndex}
	if len(rest) > 0 {
		e.Body, err = json.Marshal(rest)
	}
	return err
}

// Fields whose value is data: its names are not ours to translate. Those of
// dataKeys have names that are data, and values that are not.
var (
	dataValues = map[string]bool{"Meta": true, "Config": true, "Arguments": true, "Set": true, "Add": true, "Metadata": true}
	dataKeys   = map[string]bool{"Subsets": true, "Failover": true}
)

// documented gives the fields of an object their documented names, all the way
// down. Of two spellings of one name, that with underscores or small letters wins.
func documented(object map[string]any) map[string]any {
	out := make(map[string]any, len(object))
	for _, name := range slices.Sorted(maps.Keys(object)) {
		value, as := object[name], documentedName(name)
		switch below, isObject := value.(map[string]any); {
		case dataValues[as]:
		case isObject && dataKeys[as]:
			renamed := make(map[string]any, len(below))
			for key, v := range below {
				renamed[key] = documentedValue(v)
			}
			value = renamed
		default:
			value = documentedValue(value)
		}
		out[as] = value
	}
	return out
}

func documentedValue(v any) any {
	switch v := v.(type) {
	case map[string]any:
		return documented(v)
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = documentedValue(v[i])
		}
		return out
	}
	return v
}

// capitals are the words that names write in capitals.
var capitals = map[string]string{
	"tls": "TLS", "http": "HTTP", "http2": "HTTP2", "tcp": "TCP", "sni": "SNI", "sds": "SDS", "ca": "CA", "id": "ID", "dns": "DNS",
	"jwt": "JWT", "jwks": "JWKS", "uri": "URI", "url": "URL", "ip": "IP", "json": "JSON", "rpc": "RPC", "acl": "ACL",
}

// documentedName writes connect_timeout as ConnectTimeout. A name that begins
// with a capital is documented.
func documentedName(name string) string {
	if name == "" || name[0] < 'a' || name[0] > 'z' {
		return name
	}
	var b strings.Builder
	for word := range strings.SplitSeq(name, "_") {
		switch known, ok := capitals[word]; {
		case ok:
			b.WriteString(known)
		case word != "" && word[0] >= 'a' && word[0] <= 'z':
			b.WriteString(strings.ToUpper(word[:1]) + word[1:])
		default:
			b.WriteString(word)
		}
	}
	return b.String()
}

// guard is whose permission a kind of config entry needs.
type guard uint8

const (
	guardService  guard = iota // read and write: the service of the name
	guardGateway               // read: the service of the name; write: the operator
	guardOpen                  // read: nobody's; write: the operator
	guardOperator              // read and write: the operator
)

// configKind is a documented kind of config entries.
type configKind struct {
	guard
	name string // the only one that an entry can have; empty: any
}

var configKinds = map[string]configKind{
	"service-defaults":            {guard: guardService},
	"service-resolver":            {guard: guardService},
	"service-router":              {guard: guardService},
	"service-splitter":            {guard: guardService},
	"service-intentions":          {guard: guardService},
	"ingress-gateway":             {guard: guardGateway},
	"terminating-gateway":         {guard: guardGateway},
	"proxy-defaults":              {guardOpen, "global"},
	"mesh":                        {guardOpen, "mesh"},
	"exported-services":           {guardOperator, "default"},
	"sameness-group":              {guard: guardOperator},
	"api-gateway":                 {guard: guardOperator},
	"bound-api-gateway":           {guard: guardOperator},
	"http-route":                  {guard: guardOperator},
	"tcp-route":                   {guard: guardOperator},
	"inline-certificate":          {guard: guardOperator},
	"file-system-certificate":     {guard: guardOperator},
	"jwt-provider":                {guard: guardOperator},
	"control-plane-request-limit": {guard: guardOperator},
}

// ConfigKinds lists the kinds of config entries.
func ConfigKinds() []string { return slices.Sorted(maps.Keys(configKinds)) }

// CheckKind refuses kinds that the documents do not name.
func CheckKind(kind string) error {
	if _, ok := configKinds[kind]; !ok {
		return Errorf(Invalid, "invalid config entry kind: %s", kind)
	}
	return nil
}

// Complete fills in the name where a kind has but one, and refuses entries that
// cannot be: without a name, or of an unknown kind.
func (e *ConfigEntry) Complete() error {
	if err := CheckKind(e.Kind); err != nil {
		return err
	}
	only := configKinds[e.Kind].name
	switch {
	case only == "" && e.Name == "":
		return Errorf(Invalid, "Name is required")
	case e.Name == "":
		e.Name = only
	case only != "" && e.Name != only:
		return Errorf(Invalid, "invalid name (%q), only %q is supported", e.Name, only)
	}
	return nil
}

// configNeed is the permission for an access to an entry.
func configNeed(kind, name string, access acl.Access) acl.Need {
	switch g := configKinds[kind].guard; {
	case g == guardService || g == guardGateway && access == acl.Read:
		return acl.Need{Resource: acl.Service, Access: access, Name: name}
	case g == guardOpen && access == acl.Read:
		return acl.Need{}
	}
	return acl.Need{Resource: acl.Operator, Access: access}
}

// CanRead reports whether the holder of a may see the entry.
func (e *ConfigEntry) CanRead(a acl.Authorizer) bool {
	need := configNeed(e.Kind, e.Name, acl.Read)
	return need == acl.Need{} || a.Allows(need)
}

// ConfigKindArgs names a kind.
type ConfigKindArgs struct {
	Kind string `path:"kind"`
}

// Validate wants a kind.
func (a *ConfigKindArgs) Validate() error {
	if a.Kind == "" {
		return Errorf(Invalid, "Must provide either a kind or both kind and name")
	}
	return nil
}

// ConfigEntryArgs names an entry.
type ConfigEntryArgs struct {
	Kind string `path:"kind"`
	Name string `path:"name"`
}

// Validate wants a kind and a name.
func (a *ConfigEntryArgs) Validate() error {
	if a.Kind == "" || a.Name == "" {
		return Errorf(Invalid, "Missing name")
	}
	return nil
}

// ConfigDeleteArgs deletes an entry.
type ConfigDeleteArgs struct {
	ConfigEntryArgs
	CAS *uint64 `query:"cas"` // delete only if ModifyIndex equals this
}

// ConfigPutArgs writes an entry.
type ConfigPutArgs struct {
	CAS   *uint64     `query:"cas"` // write only if ModifyIndex equals this; 0: only if there is none
	Entry ConfigEntry `body:"json"`
}

// BodyError implements BodyNamer.
func (*ConfigPutArgs) BodyError() string { return "Request decoding failed: " }

// The verbs of config entries.
var (
	ConfigPut = Write[ConfigPutArgs, bool]("PUT /v1/config", "config.put",
		"Writes a config entry, on a condition if one is given.",
		Needs(func(a *ConfigPutArgs) acl.Need { return configNeed(a.Entry.Kind, a.Entry.Name, acl.Write) }))
	ConfigGet = Read[ConfigEntryArgs, *ConfigEntry]("GET /v1/config/{kind}/{name}", "config.get",
		"Reads a config entry.",
		Needs(func(a *ConfigEntryArgs) acl.Need { return configNeed(a.Kind, a.Name, acl.Read) }))
	ConfigList = Read[ConfigKindArgs, []*ConfigEntry]("GET /v1/config/{kind}", "config.list",
		"Lists the config entries of a kind.")
	ConfigDelete = Write[ConfigDeleteArgs, bool]("DELETE /v1/config/{kind}/{name}", "config.delete",
		"Deletes a config entry, on a condition if one is given.",
		Needs(func(a *ConfigDeleteArgs) acl.Need { return configNeed(a.Kind, a.Name, acl.Write) }))
)
