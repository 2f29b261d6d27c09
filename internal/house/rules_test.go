package house

import (
	"strings"
	"testing"
)

// lines makes n lines of Go that may stand inside a function.
func lines(n int) string { return strings.Repeat("\tf()\n", n) }

func TestSizesFinds(t *testing.T) {
	for _, c := range []struct {
		name, path, text string
		want             []string
	}{
		{"file at the limit", "a/a.go", "package a\n" + strings.Repeat("\n", 599), nil},
		{"file over it", "a/a.go", "package a\n" + strings.Repeat("\n", 600), []string{"a/a.go: 601 lines, the limit is 600"}},
		{"last line without an end", "a/a_test.go", "package a\n" + strings.Repeat("\n", 599) + "//", []string{"a/a_test.go: 601 lines, the limit is 600"}},
		{"text is no code", "a/a.md", strings.Repeat("\n", 700), nil},
		{"testdata is no code", "a/testdata/a.go", strings.Repeat("\n", 700), nil},
		{"doc.go", "a/doc.go", "package a\n" + strings.Repeat("\n", 60), []string{"a/doc.go: 61 lines, the limit is 60"}},
		{"function at the limit", "a/a.go", "package a\n\n// f\n// is.\nfunc f() {\n" + lines(78) + "}\n", nil},
		{"function over it", "a/a.go", "package a\n\nfunc f() {\n" + lines(79) + "}\n", []string{"a/a.go:f: 81 lines, the limit is 80"}},
		{"method", "a/a.go", "package a\n\nfunc (s *S[T]) f() {\n" + lines(79) + "}\n", []string{"a/a.go:S.f: 81 lines, the limit is 80"}},
		{"value", "a/a.go", "package a\n\nvar v = []func(){func() {\n" + lines(79) + "}}\n", []string{"a/a.go:v: 81 lines, the limit is 80"}},
		{"table in product", "a/a.go", "package a\n\nfunc f() {\n\t_ = []int{\n" + strings.Repeat("\t1,\n", 79) + "\t}\n}\n",
			[]string{"a/a.go:f: 83 lines, the limit is 80"}},
		{"table in test", "a/a_test.go", "package a\n\nfunc f() {\n\t_ = []int{\n" + strings.Repeat("\t1,\n", 79) + "\t}\n}\n", nil},
		{"steps in test", "a/a_test.go", "package a\n\nfunc f() {\n" + lines(79) + "}\n", []string{"a/a_test.go:f: 81 lines, the limit is 80"}},
		{"struct at the limit", "a/a.go", "package a\n\ntype s struct {\n" + strings.Repeat("\ta, b, c int\n", 4) + "\tB\n\t*C\n\tD int\n}\n", nil},
		{"struct over it", "a/a.go", "package a\n\ntype s struct {\n" + strings.Repeat("\ta, b, c int\n", 5) + "\tB\n}\n",
			[]string{"a/a.go:s: 16 fields, the limit is 15"}},
		{"struct without a name", "a/a.go", "package a\n\nfunc f() {\n\tvar _ struct {\n" + strings.Repeat("\ta, b, c, d int\n", 4) + "}\n}\n",
			[]string{"a/a.go:f: 16 fields, the limit is 15"}},
	} {
		wantFound(t, c.name, Judge(Measures(sources(t, c.path, c.text)), nil), c.want...)
	}
}

func TestWaitsFinds(t *testing.T) {
	const sleep = "package a\n\nfunc f() {\n\ttime.Sleep(1)\n\ttime.Sleep(1)\n}\n"
	for _, c := range []struct {
		name, path, text string
		want             []string
	}{
		{"in product", "a/a.go", sleep, nil},
		{"in a test", "a/a_test.go", sleep, []string{"a/a_test.go:f: 2 calls of time.Sleep, the limit is 0"}},
		{"in help for tests", "a/a.go", strings.Replace(sleep, "\n\n", "\n\nimport \"testing\"\n\n", 1), []string{"a/a.go:f: 2 calls of time.Sleep, the limit is 0"}},
		{"in a bubble", "a/a_test.go", "package a\n\nfunc f() {\n\tsynctest.Test(t, func(t *testing.T) { time.Sleep(1) })\n}\n", nil},
		{"skip in a bubble", "a/a_test.go", "package a\n\nfunc f() {\n\tsynctest.Test(t, func(t *testing.T) { t.Skip() })\n}\n",
			[]string{"a/a_test.go:f: 1 calls that skip the test, the limit is 0"}},
		{"skips", "a/a_test.go", "package a\n\nfunc f() {\n\tt.Skip()\n\tb.Skipf(\"x\")\n\ttb.SkipNow()\n\tlist.Skip()\n}\n",
			[]string{"a/a_test.go:f: 3 calls that skip the test, the limit is 0"}},
	} {
		wantFound(t, c.name, Judge(Measures(sources(t, c.path, c.text)), nil), c.want...)
	}
}

func TestGrants(t *testing.T) {
	grants, err := ParseGrants([]byte("# head\n\nfunc-lines a.go:f 90 # a list of cases\nfunc-lines a.go:g 85 # short\n" +
		"struct-fields a.go:gone 20 # was long\nfile-lines a.go 700 # not needed\n"))
	if err != nil {
		t.Fatal(err)
	}
	measures := []Measure{{FuncLines, "a.go:f", 90}, {FuncLines, "a.go:f", 3}, {FuncLines, "a.go:g", 86}, {FuncLines, "a.go:h", 81}, {FileLines, "a.go", 600}}
	wantFound(t, "grants", Judge(measures, grants),
		"a.go:g: 86 lines, allow.txt:4 grants 85",
		"a.go:h: 81 lines, the limit is 80",
		"internal/house/allow.txt:5: struct-fields a.go:gone keeps to the limit of 15, or is gone",
		"internal/house/allow.txt:6: file-lines a.go keeps to the limit of 600, or is gone",
	)
	for _, c := range []struct{ text, want string }{
		{"func-lines a.go:f # why", "want: rule where limit # reason"},
		{"func-lines a.go:f many # why", "invalid syntax"},
		{"func-lines a.go:f 90", "has no reason"},
		{"func-length a.go:f 90 # why", `unknown rule "func-length"`},
	} {
		if _, err := ParseGrants([]byte(c.text)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("ParseGrants(%q): got error %v, want one with %q", c.text, err, c.want)
		}
	}
}

func TestPackageDocsFinds(t *testing.T) {
	for _, c := range []struct{ name, path, text, want string }{
		{"paragraphs", "a/doc.go", "// Package a is.\n//\n// Owns. All.\n//\n// Never. X.\n//\n// Goroutines. None.\n//\n// Promises. Y.\npackage a\n", ""},
		{"sections", "a/doc.go", "// Package a is.\n//\n// # Owns\n//\n// All.\n//\n// # Never\n//\n// X.\n//\n// # Goroutines\n//\n// None.\n//\n// # Promises\n//\n// Y.\npackage a\n", ""},
		{"no doc.go", "a/a.go", "// Owns. A.\n// Never. A.\n// Goroutines. A.\n// Promises. A.\npackage a\n", "a: the package has no doc.go"},
		{"no comment", "a/doc.go", "package a\n", `a/doc.go: the package comment has no heading "Owns"`},
		{"the word in a sentence", "a/doc.go", "// Owns. A.\n// Nevertheless. Goroutines. A.\n// Promises. A.\npackage a\n", `a/doc.go: the package comment has no heading "Never"`},
		{"another order", "a/doc.go", "// Owns. A.\n//\n// Goroutines. A.\n//\n// Never. A.\n//\n// Promises. A.\npackage a\n", `a/doc.go: the heading "Goroutines" stands before "Never"`},
		{"nothing said", "a/doc.go", "// Owns. A.\n//\n// Never.\n//\n// Goroutines. A.\n//\n// Promises. A.\npackage a\n", `a/doc.go: the package comment says nothing under "Never"`},
		{"nothing said at the end", "a/doc.go", "// Owns. A.\n//\n// Never. A.\n//\n// Goroutines. A.\n//\n// Promises.\npackage a\n", `a/doc.go: the package comment says nothing under "Promises"`},
		{"a command", "cmd/a/main.go", "package main\n", ""},
		{"tests alone", "a/a_test.go", "package a\n", ""},
	} {
		var want []string
		if c.want != "" {
			want = []string{c.want}
		}
		wantFound(t, c.name, PackageDocs(sources(t, c.path, c.text)), want...)
	}
}

func TestExportedDocsFinds(t *testing.T) {
	for _, c := range []struct {
		name, path, text string
		want             []string
	}{
		{"function", "a/a.go", "package a\n\nfunc F() {}\n\n// G does.\nfunc G() {}\n\nfunc h() {}\n", []string{"a/a.go:3: exported F has no comment"}},
		{"method", "a/a.go", "package a\n\nfunc (t *T[X]) F() {}\n\nfunc (t *t) F() {}\n\nfunc (t T) String() string { return \"\" }\n",
			[]string{"a/a.go:3: exported F has no comment"}},
		{"method of an interface of ours", "a/a.go", "package a\n\ntype i interface {\n\t// F does.\n\tF(int) error\n\tG()\n}\n\n" +
			"func (T) F(n int) error { return nil }\n\nfunc (U) F(n, m int) error { return nil }\n\nfunc (T) G() {}\n",
			[]string{"a/a.go:11: exported F has no comment", "a/a.go:13: exported G has no comment"}},
		{"types", "a/a.go", "package a\n\ntype A int\n\n// B is.\ntype B int\n\n// Letters.\ntype (\n\tC int // is.\n\tD int\n)\n",
			[]string{"a/a.go:3: exported A has no comment", "a/a.go:11: exported D has no comment"}},
		{"values", "a/a.go", "package a\n\nvar A, b = 1, 2\n\n// Letters.\nconst (\n\tC = 1\n\tD = 2\n)\n\nvar (\n\tE = 1 // is.\n\t_, F = 1, 2\n)\n",
			[]string{"a/a.go:3: exported A has no comment", "a/a.go:13: exported F has no comment"}},
		{"verbs", "a/a.go", "package a\n\nvar A = Read[K](\"GET /v1/a\", \"Returns one key.\")\n\nvar B = Read[K](\"GET /v1/b\")\n",
			[]string{"a/a.go:5: exported B has no comment"}},
		{"command", "cmd/a/a.go", "package main\n\nfunc F() {}\n", nil},
		{"internal", "internal/a/a.go", "package a\n\nfunc F() {}\n", nil},
		{"test", "a/a_test.go", "package a\n\nfunc TestF() {}\n", nil},
	} {
		wantFound(t, c.name, ExportedDocs(sources(t, c.path, c.text)), c.want...)
	}
}

func TestGofmtFinds(t *testing.T) {
	tree := sources(t, "a/a.go", "package a\nfunc  F() {}\n", "a/b.go", "package a\n", "a/testdata/c.go", "package a\nfunc  F() {}\n")
	wantFound(t, "gofmt", Gofmt(tree), "a/a.go: not formatted")
}

func TestPlacesFinds(t *testing.T) {
	shared := "go build .." + "/shared/x\n"
	tree := sources(t,
		"README.md", "one\ncd /"+"work/main\n",
		"a/testdata/x.txt", "GET /v1/kv/"+"work/order\nin /tmp/"+"brief/x\n",
		"b.bin", "\x00/"+"work/main",
		".git/config", "/"+"work/main",
		"bin/x.txt", "/"+"work/main",
		"Makefile", shared, ".ci/run", shared)
	wantFound(t, "places", Places(tree),
		"Makefile:1: \".."+"/shared\" is a path of one machine",
		"README.md:2: \"/"+"work/\" is a path of one machine",
		"a/testdata/x.txt:2: \"/tmp/"+"brief\" is a path of one machine",
	)
}
