package main

import (
	"os"
	"path/filepath"
	"testing"

	"curia/api"
	"curia/check"
	"curia/config"
)

// TestExamples wants every file of examples/ to be right.
func TestExamples(t *testing.T) {
	files, err := filepath.Glob("../../examples/*.hcl")
	if err != nil || len(files) == 0 {
		t.Fatalf("no examples: %v", err)
	}
	for _, file := range files {
		defs, err := config.LoadDefinitions([]string{file})
		if err != nil {
			t.Error(err)
			continue
		}
		services, err := decodeAll[api.ServiceDefinition]("services", defs.Services)
		if err != nil || len(services) == 0 {
			t.Errorf("%s: %d services, %v", file, len(services), err)
		}
		for _, s := range services {
			if err := s.Validate(); err != nil {
				t.Errorf("%s: service %q: %v", file, s.Name, err)
			}
			for _, c := range s.AllChecks() {
				if _, err := check.New(c, check.FromFile, check.Options{}); err != nil {
					t.Errorf("%s: check %q: %v", file, c.Key(), err)
				}
			}
		}
	}
}

func TestDefinitionsThatAreWrong(t *testing.T) {
	for _, c := range []struct{ text, err string }{
		{`{"service":{"name":"a","fluff":1}}`, `services[0]: json: unknown field "fluff"`},
		{`{"services":[{"name":"a"},{"name":7}]}`, `services[1]: json: cannot unmarshal number into Go struct field ServiceDefinition.Name of type string`},
		{`{"check":{"name":"a","interval":"soon"}}`, `checks[0]: time: invalid duration "soon"`},
	} {
		file := filepath.Join(t.TempDir(), "f.json")
		if err := os.WriteFile(file, []byte(c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		defs, err := config.LoadDefinitions([]string{file})
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := definitions(&config.Config{Agent: config.Agent{Definitions: defs}}); err == nil || err.Error() != c.err {
			t.Errorf("%s\n got %v\nwant %s", c.text, err, c.err)
		}
	}
}
