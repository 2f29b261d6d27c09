package httpapi_test

import (
	"context"
	"encoding/json"
	"net/http/httptrace"
	"strings"
	"testing"

	"curia/api"
	"curia/internal/testing/inproc"
)

// reused is a context that counts the connections which were not there before.
func reused(dials *int) context.Context {
	return httptrace.WithClientTrace(context.Background(), &httptrace.ClientTrace{
		GotConn: func(i httptrace.GotConnInfo) {
			if !i.Reused {
				*dials++
			}
		},
	})
}

// document is what the tests read of an OpenAPI document.
type document struct {
	OpenAPI string
	Info    struct{ Title, Version string }
	Paths   map[string]map[string]struct {
		OperationID string
		Description string
		Parameters  []struct{ Name, In string }
		Responses   map[string]struct{ Content map[string]any }
	}
	Components struct {
		Schemas map[string]*struct{ Properties map[string]any }
	}
}

func TestOpenAPIDescribesEveryVerb(t *testing.T) {
	s := inproc.Start(t, inproc.Options{})
	text := s.Must(t, "GET", "/v1/openapi.json", "")
	var doc document
	if err := json.Unmarshal([]byte(text), &doc); err != nil {
		t.Fatalf("GET /v1/openapi.json: %v in %.200s", err, text)
	}
	if !strings.HasPrefix(doc.OpenAPI, "3.") || doc.Info.Title == "" || doc.Info.Version != "test" {
		t.Errorf("OpenAPI %q of %+v; want 3.x with a title and the version", doc.OpenAPI, doc.Info)
	}
	ids := map[string]bool{}
	for _, op := range api.Ops() {
		got, ok := doc.Paths[op.Path][strings.ToLower(op.Method)]
		if !ok || !strings.Contains(got.Description, op.Doc) || got.Responses["200"].Content == nil {
			t.Errorf("%s: got %+v under %s %s; want its documentation %q and a 200", op.Name, got, op.Method, op.Path, op.Doc)
		}
		for _, media := range []string{sse, ndjson} {
			waits := op.Kind == api.KindRead && !op.Bare || op.Blocks
			if _, ok := got.Responses["200"].Content[media]; ok != waits {
				t.Errorf("%s: a stream as %s: %t; want %t", op.Name, media, ok, waits)
			}
		}
		ids[got.OperationID] = true
		named := map[string]bool{}
		for _, p := range got.Parameters {
			if named[p.In+" "+p.Name] {
				t.Errorf("%s: parameter %s twice in its %s", op.Name, p.Name, p.In)
			}
			named[p.In+" "+p.Name] = true
		}
		if op.When != "" && !named["query "+op.When] {
			t.Errorf("%s: no parameter %s among %v", op.Name, op.When, got.Parameters)
		}
		for _, a := range api.ArgsOf(op.Args) {
			if in := map[api.Source]string{api.FromPath: "path", api.FromQuery: "query"}[a.Source]; in != "" && !named[in+" "+a.Name] {
				t.Errorf("%s: no parameter %s in its %s: %v", op.Name, a.Name, in, got.Parameters)
			}
		}
	}
	for schema, field := range map[string]string{"ServiceSpec": "Service", "CheckSpec": "CheckID", "Registration": "Namespace", "Session": "TTL"} {
		if s := doc.Components.Schemas[schema]; s == nil || s.Properties[field] == nil {
			t.Errorf("schema %s: no property %s among %v", schema, field, doc.Components.Schemas[schema])
		}
	}
	// Every reference leads to a schema.
	for _, part := range strings.Split(text, `"$ref":"#/components/schemas/`)[1:] {
		if name, _, _ := strings.Cut(part, `"`); doc.Components.Schemas[name] == nil {
			t.Errorf("a reference to the schema %q, which is not there", name)
		}
	}
}
