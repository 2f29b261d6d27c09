package house

import (
	"os"
	"sync"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
)

// repository is read once for all tests.
var repository = sync.OnceValues(func() (*Tree, error) { return Load(os.DirFS("../..")) })

func load(t *testing.T) *Tree {
	t.Helper()
	tree, err := repository()
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

func report(t *testing.T, findings []Finding) {
	t.Helper()
	for _, f := range findings {
		t.Error(f)
	}
}

func TestSizesAndWaits(t *testing.T) {
	text, err := os.ReadFile("allow.txt")
	if err != nil {
		t.Fatal(err)
	}
	grants, err := ParseGrants(text)
	if err != nil {
		t.Fatal(err)
	}
	report(t, Judge(Measures(load(t)), grants))
}

func TestPackageDocs(t *testing.T)  { report(t, PackageDocs(load(t))) }
func TestExportedDocs(t *testing.T) { report(t, ExportedDocs(load(t))) }
func TestGofmt(t *testing.T)        { report(t, Gofmt(load(t))) }
func TestPlaces(t *testing.T)       { report(t, Places(load(t))) }

// sources builds a tree in memory from path and text in turn.
func sources(t *testing.T, pathsAndTexts ...string) *Tree {
	t.Helper()
	files := fstest.MapFS{}
	for i := 0; i < len(pathsAndTexts); i += 2 {
		files[pathsAndTexts[i]] = &fstest.MapFile{Data: []byte(pathsAndTexts[i+1])}
	}
	tree, err := Load(files)
	if err != nil {
		t.Fatalf("load %q: %v", pathsAndTexts, err)
	}
	return tree
}

// found reduces findings to the part that a test compares.
func found(findings []Finding) []string {
	var out []string
	for _, f := range findings {
		out = append(out, f.Where+": "+f.Found)
	}
	return out
}

func wantFound(t *testing.T, name string, findings []Finding, want ...string) {
	t.Helper()
	got := found(findings)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s: got %q, want %q (-want +got):\n%s", name, got, want, diff)
	}
}
