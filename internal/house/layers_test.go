package house

import (
	"os"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"
)

func TestLayers(t *testing.T) {
	doc, err := os.ReadFile("../../ARCHITECTURE.md")
	if err != nil {
		t.Fatal(err)
	}
	rooms, err := ParseRooms(doc)
	if err != nil {
		t.Fatal(err)
	}
	mod, err := os.ReadFile("../../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	module := regexp.MustCompile(`(?m)^module (\S+)$`).FindSubmatch(mod)
	if module == nil {
		t.Fatal("go.mod names no module")
	}
	report(t, Layers(load(t), string(module[1]), rooms))
}

const roomsHead = "# A\n\n## Rooms\n\nWords.\n\n| package | owns | may import |\n|---|---|---|\n"

func TestLayersFinds(t *testing.T) {
	rooms, err := ParseRooms([]byte(roomsHead + "| `acl` | rules | – |\n| `api` | nouns | acl |\n| `server` | all of it | `api`, internal/… |\n" +
		"| `cmd/m` | wiring | all |\n| `internal/…` | adapters | – |\n| `internal/testing/…` | clusters | all, internal/… |\n\n## Walks\n| a | b | c |\n"))
	if err != nil {
		t.Fatal(err)
	}
	imports := func(pkgs ...string) string {
		return "package p\n\nimport (\n\t\"fmt\"\n\t\"m" + strings.Join(pkgs, "\"\n\t\"m") + "\"\n)\n"
	}
	for _, c := range []struct {
		name, path, text string
		want             []string
	}{
		{"allowed", "api/a.go", imports("/acl"), nil},
		{"a module whose name begins alike", "acl/a.go", imports("ore/api"), nil},
		{"upwards", "api/a.go", imports("/acl", "/server"),
			[]string{"api/a.go:6: api imports server; api may import only acl; see ARCHITECTURE.md, Rooms"}},
		{"nothing allowed", "acl/a.go", imports("/api"),
			[]string{"acl/a.go:5: acl imports api; acl may import none of our packages; see ARCHITECTURE.md, Rooms"}},
		{"the root", "api/a.go", imports(""), []string{"api/a.go:5: api imports .; api may import only acl; see ARCHITECTURE.md, Rooms"}},
		{"a package without a row", "extra/a.go", imports("/api"), []string{"extra/a.go: package extra is not in the table of ARCHITECTURE.md, Rooms"}},
		{"a deeper package without a row", "api/deep/a.go", imports("/acl"), []string{"api/deep/a.go: package api/deep is not in the table of ARCHITECTURE.md, Rooms"}},
		{"an import without a row", "server/a.go", imports("/api/deep"),
			[]string{"server/a.go:5: server imports api/deep; server may import only api, internal/…; see ARCHITECTURE.md, Rooms"}},
		{"below a row with …", "server/a.go", imports("/internal/logs"), nil},
		{"a nearer row with …", "server/a.go", imports("/internal/testing"),
			[]string{"server/a.go:5: server imports internal/testing; server may import only api, internal/…; see ARCHITECTURE.md, Rooms"}},
		{"all", "cmd/m/a.go", imports("/server"), nil},
		{"all is not internal", "cmd/m/a.go", imports("/internal/logs"),
			[]string{"cmd/m/a.go:5: cmd/m imports internal/logs; cmd/m may import only all rooms outside internal/; see ARCHITECTURE.md, Rooms"}},
		{"tests may", "acl/a_test.go", imports("/server"), nil},
		{"testdata is not code", "acl/testdata/a.go", imports("/server"), nil},
	} {
		wantFound(t, c.name, Layers(sources(t, c.path, c.text), "m", rooms), c.want...)
	}
}

func TestParseRoomsRefuses(t *testing.T) {
	for _, c := range []struct{ name, doc, want string }{
		{"no section", "# A\n", "has no section"},
		{"no table", "# A\n\n## Rooms\n\nWords.\n", "no table"},
		{"table of another section", "# A\n\n## Rooms\n\n## Walks\n" + roomsHead[len("# A\n\n## Rooms\n"):], "no table"},
		{"four cells", roomsHead + "| a | b | – | d |\n", "want three cells"},
		{"twice", roomsHead + "| a | b | – |\n| a | b | – |\n", "a has two rows"},
		{"unknown room", roomsHead + "| a | b | c |\n", "a may import c, which has no row"},
		{"itself", roomsHead + "| a | b | a |\n", "a circle: a → a"},
		{"circle", roomsHead + "| a | x | b |\n| b | x | c |\n| c | x | a |\n", "a circle: a → b → c → a"},
	} {
		_, err := ParseRooms([]byte(c.doc))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: ParseRooms(%q): got error %v, want one with %q", c.name, c.doc, err, c.want)
		}
	}
}

func TestLoadRefusesBrokenSource(t *testing.T) {
	_, err := Load(fstest.MapFS{"a/a.go": {Data: []byte("package a\nfunc {")}})
	if err == nil || !strings.Contains(err.Error(), "a/a.go:2") {
		t.Errorf("Load of a broken file: got error %v, want one that names a/a.go:2", err)
	}
}
