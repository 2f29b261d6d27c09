package config

import (
	"flag"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
)

//go:generate go test -run TestDocsAreCurrent -update .

var update = flag.Bool("update", false, "write docs/config.md anew")

const docsFile = "../docs/config.md"

func TestDocsAreCurrent(t *testing.T) {
	if *update {
		if err := os.WriteFile(docsFile, []byte(Docs()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(docsFile)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(Docs(), string(got)); diff != "" {
		t.Errorf("docs/config.md is out of date: run go generate ./config (-table +file):\n%s", diff)
	}
}

// A row without a description, or one that breaks the Markdown table, is of no use.
func TestEveryRowIsDocumented(t *testing.T) {
	for _, s := range Settings() {
		if s.Doc == "" || s.Doc[len(s.Doc)-1] != '.' {
			t.Errorf("row %q: Doc %q, want a sentence", s.Key, s.Doc)
		}
	}
}
