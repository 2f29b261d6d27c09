package httpapi

import (
	"encoding/json"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"time"

	"curia/api"
)

// OpenAPI answers with a description of every verb, made from the declarations.
func OpenAPI(version string) RawFunc {
	doc := describe(api.Ops(), version)
	return func(w http.ResponseWriter, r *http.Request, _ *api.Request) error {
		b, err := json.Marshal(doc)
		if err != nil {
			return err
		}
		w.Header()["Content-Type"] = jsonValue
		return send(w, r, b)
	}
}

type object = map[string]any

// describe makes an OpenAPI 3.0 document of verbs.
func describe(ops []*api.Op, version string) object {
	schemas := &schemaSet{named: object{}}
	paths := map[string]object{}
	for _, op := range ops {
		item := paths[op.Path]
		if item == nil {
			item = object{}
			paths[op.Path] = item
		}
		method := strings.ToLower(op.Method)
		if known, ok := item[method].(object); ok {
			// Verbs that a query parameter chooses share an operation.
			known["description"] = known["description"].(string) + " With ?" + op.When + ": " + op.Doc
			more := append(operation(op, schemas)["parameters"].([]object), queryParameter(op.When, object{"type": "boolean"}))
			known["parameters"] = join(known["parameters"].([]object), more)
			continue
		}
		item[method] = operation(op, schemas)
	}
	return object{
		"openapi":    "3.0.3",
		"info":       object{"title": "Curia", "version": version, "description": "Service discovery, health checks, key/value store, locks."},
		"paths":      paths,
		"components": object{"schemas": schemas.named},
	}
}

// join appends the parameters that are not there yet.
func join(to, more []object) []object {
	for _, p := range more {
		if !slices.ContainsFunc(to, func(o object) bool { return o["name"] == p["name"] && o["in"] == p["in"] }) {
			to = append(to, p)
		}
	}
	return to
}

func operation(op *api.Op, schemas *schemaSet) object {
	params := []object{}
	o := object{"operationId": op.Name, "summary": op.Doc, "description": op.Doc, "tags": []string{strings.SplitN(op.Name, ".", 2)[0]}}
	for _, a := range api.ArgsOf(op.Args) {
		switch a.Source {
		case api.FromPath:
			params = append(params, object{"name": a.Name, "in": "path", "required": true, "schema": object{"type": "string"}})
		case api.FromQuery:
			params = append(params, queryParameter(a.Name, schemas.of(a.Type)))
		case api.FromBody:
			content := object{"application/json": object{"schema": schemas.of(a.Type)}}
			if a.Name == "raw" {
				content = object{"application/octet-stream": object{"schema": object{"type": "string", "format": "binary"}}}
			}
			o["requestBody"] = object{"required": !a.Optional, "content": content}
		}
	}
	if op.Blocks || op.Kind == api.KindRead && !op.Bare {
		for _, name := range []string{"index", "wait", "filter"} {
			params = append(params, queryParameter(name, object{"type": "string"}))
		}
	}
	if op.Kind == api.KindRead && !op.Bare {
		params = append(params, queryParameter("max_stale", object{"type": "string"}))
		for _, name := range []string{"stale", "consistent"} {
			params = append(params, queryParameter(name, object{"type": "boolean"}))
		}
	}
	for _, name := range []string{"dc", "token"} {
		params = append(params, queryParameter(name, object{"type": "string"}))
	}
	o["parameters"] = params
	answer := object{"application/json": object{"schema": schemas.of(op.Result)}}
	if streamable(op) {
		for _, as := range []framing{serverSentEvents{}, jsonLines{}} {
			answer[as.media()] = object{"schema": object{"type": "string", "description": "A stream: one event for the answer of now and for each change."}}
		}
	}
	o["responses"] = object{
		"200":     object{"description": "The answer.", "content": answer},
		"default": object{"description": "An error; the body is its text.", "content": object{"text/plain": object{"schema": object{"type": "string"}}}},
	}
	return o
}

func queryParameter(name string, schema object) object {
	return object{"name": name, "in": "query", "schema": schema, "allowEmptyValue": schema["type"] == "boolean"}
}

// schemaSet collects the schemas of named structs.
type schemaSet struct{ named object }

// of gives the schema of a type as encoding/json prints it.
func (s *schemaSet) of(t reflect.Type) object {
	if t == reflect.TypeFor[time.Time]() {
		return object{"type": "string", "format": "date-time"}
	}
	switch t.Kind() {
	case reflect.Pointer:
		return s.of(t.Elem())
	case reflect.Bool:
		return object{"type": "boolean"}
	case reflect.String:
		return object{"type": "string"}
	case reflect.Float32, reflect.Float64:
		return object{"type": "number"}
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return object{"type": "integer"}
	case reflect.Slice:
		if t.Elem().Kind() == reflect.Uint8 {
			if t == reflect.TypeFor[api.Opaque]() {
				return object{"type": "object"}
			}
			return object{"type": "string", "format": "byte"}
		}
		return object{"type": "array", "items": s.of(t.Elem())}
	case reflect.Map:
		return object{"type": "object", "additionalProperties": s.of(t.Elem())}
	case reflect.Struct:
		return s.ofStruct(t)
	}
	return object{}
}

func (s *schemaSet) ofStruct(t reflect.Type) object {
	ref := object{"$ref": "#/components/schemas/" + t.Name()}
	if _, known := s.named[t.Name()]; known && t.Name() != "" {
		return ref
	}
	props := object{}
	if t.Name() != "" {
		s.named[t.Name()] = object{"type": "object", "properties": props}
	}
	s.properties(props, t)
	if t.Name() == "" {
		return object{"type": "object", "properties": props}
	}
	return ref
}

// properties adds the fields of a struct, and those of the structs embedded in
// it, as encoding/json does: what is embedded has no name of its own.
func (s *schemaSet) properties(props object, t reflect.Type) {
	for i := range t.NumField() {
		f := t.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case f.Anonymous:
			inner := object{}
			s.properties(inner, f.Type)
			for k, v := range inner {
				if props[k] == nil {
					props[k] = v
				}
			}
			continue
		case !f.IsExported() || name == "-":
			continue
		case name == "":
			name = f.Name
		}
		props[name] = s.of(f.Type)
	}
}
