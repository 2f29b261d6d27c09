package api

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"sync"
)

// DecodeRelaxed reads the first JSON value of body into the struct that into
// points to, as bodies of agent registrations and definitions in files are
// read. Names of fields may be written in any case and with underscores
// (service_id for ServiceID), or as an alias tag says (`alias:"ScriptArgs"`);
// any other name is refused with `json: unknown field "Fluff"`. Keys of maps
// and what has a decoder of its own stay as they are. Fields that the body does
// not name become zero. Errors are those of encoding/json, io.EOF for an empty
// body, and leave into unchanged.
func DecodeRelaxed(body []byte, into any) error {
	target := reflect.ValueOf(into).Elem()
	// Most bodies use the documented names: nothing to translate.
	if decodeStrict(body, target) == nil {
		return nil
	}
	var first json.RawMessage
	if err := json.NewDecoder(bytes.NewReader(body)).Decode(&first); err != nil {
		return err
	}
	translated, err := translate(first, target.Type(), 0)
	if err != nil {
		return err
	}
	return decodeStrict(translated, target)
}

// decodeStrict sets target only if all of body can be read into it.
func decodeStrict(body []byte, target reflect.Value) error {
	fresh := reflect.New(target.Type())
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.DisallowUnknownFields()
	if err := dec.Decode(fresh.Interface()); err != nil {
		return err
	}
	target.Set(fresh.Elem())
	return nil
}

// relaxedDepth bounds the nesting of values that are translated, far above what
// any of our types has.
const relaxedDepth = 64

var jsonUnmarshaler = reflect.TypeFor[json.Unmarshaler]()

// translate gives the objects in raw the names of the fields of t.
func translate(raw json.RawMessage, t reflect.Type, depth int) (json.RawMessage, error) {
	if depth > relaxedDepth {
		return nil, fmt.Errorf("json: value is nested deeper than %d levels", relaxedDepth)
	}
	if reflect.PointerTo(t).Implements(jsonUnmarshaler) {
		return raw, nil
	}
	switch open := bytes.TrimLeft(raw, " \t\r\n"); {
	case t.Kind() == reflect.Pointer:
		return translate(raw, t.Elem(), depth)
	case len(open) == 0:
		return raw, nil
	case t.Kind() == reflect.Slice && open[0] == '[':
		var items []json.RawMessage
		if err := json.Unmarshal(raw, &items); err != nil {
			return nil, err
		}
		for i, item := range items {
			var err error
			if items[i], err = translate(item, t.Elem(), depth+1); err != nil {
				return nil, err
			}
		}
		return json.Marshal(items)
	case t.Kind() == reflect.Map && open[0] == '{':
		return translateObject(raw, func(string) (string, reflect.Type) { return "", t.Elem() }, depth)
	case t.Kind() == reflect.Struct && open[0] == '{':
		fields := relaxedFields(t)
		return translateObject(raw, func(name string) (string, reflect.Type) {
			f := fields[squash(name)]
			return f.name, f.of
		}, depth)
	}
	return raw, nil
}

// translateObject rewrites an object member by member, in its order: where a
// name comes twice the last one counts, however it is spelled. known gives the
// name to write, empty to keep it, and the type of the value, nil when it is not
// to be looked into.
func translateObject(raw json.RawMessage, known func(string) (string, reflect.Type), depth int) (json.RawMessage, error) {
	dec := json.NewDecoder(bytes.NewReader(raw))
	if _, err := dec.Token(); err != nil {
		return nil, err
	}
	out := []byte{'{'}
	for dec.More() {
		tok, err := dec.Token()
		if err != nil {
			return nil, err
		}
		name := tok.(string)
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			return nil, err
		}
		as, t := known(name)
		if as == "" {
			as = name
		}
		if t != nil {
			if value, err = translate(value, t, depth+1); err != nil {
				return nil, err
			}
		}
		if len(out) > 1 {
			out = append(out, ',')
		}
		out = append(appendString(out, as), ':')
		out = append(out, value...)
	}
	return append(out, '}'), nil
}

// relaxedField is where a squashed name leads.
type relaxedField struct {
	name string
	of   reflect.Type
}

var relaxedCache sync.Map // reflect.Type -> map[string]relaxedField

// relaxedFields lists the JSON names and aliases of a struct type, squashed.
func relaxedFields(t reflect.Type) map[string]relaxedField {
	if v, ok := relaxedCache.Load(t); ok {
		return v.(map[string]relaxedField)
	}
	fields, depth := map[string]relaxedField{}, map[string]int{}
	for _, f := range reflect.VisibleFields(t) {
		tag := f.Tag.Get("json")
		name, _, _ := strings.Cut(tag, ",")
		if tag == "-" || !f.IsExported() || (f.Anonymous && name == "") {
			continue
		}
		if name == "" {
			name = f.Name
		}
		for _, key := range []string{name, f.Tag.Get("alias")} {
			key = squash(key)
			if d, taken := depth[key]; key == "" || (taken && d <= len(f.Index)) {
				continue // the outer field hides the embedded one
			}
			fields[key], depth[key] = relaxedField{name, f.Type}, len(f.Index)
		}
	}
	relaxedCache.Store(t, fields)
	return fields
}

// squash removes what spellings of a name differ in.
func squash(name string) string {
	return strings.ToLower(strings.ReplaceAll(name, "_", ""))
}
