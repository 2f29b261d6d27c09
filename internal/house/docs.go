package house

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/format"
	"path"
	"regexp"
	"strconv"
	"strings"
)

// headings are those of every doc.go, in this order.
var headings = []string{"Owns", "Never", "Goroutines", "Promises"}

// PackageDocs finds packages without a doc.go, and those whose package
// comment lacks one of the four headings, has them in another order, or says
// nothing under one. Commands are excepted: they wire and own nothing.
func PackageDocs(t *Tree) []Finding {
	docs := map[string]*File{}
	var dirs []string
	for _, f := range t.Files {
		if !f.IsProduct() || strings.HasPrefix(f.Path, "cmd/") {
			continue
		}
		if _, ok := docs[f.Dir()]; !ok {
			docs[f.Dir()] = nil
			dirs = append(dirs, f.Dir())
		}
		if path.Base(f.Path) == "doc.go" {
			docs[f.Dir()] = f
		}
	}
	var out []Finding
	for _, dir := range dirs {
		f := docs[dir]
		if f == nil {
			out = append(out, Finding{dir, "the package has no doc.go", "Add one with the headings Owns, Never, Goroutines, Promises"})
			continue
		}
		if found := headingsIn(f.Syntax.Doc.Text()); found != "" {
			out = append(out, Finding{f.Path, found, `Write each heading as "# Owns" or at the start of a paragraph as "Owns."`})
		}
	}
	return out
}

// headingsIn says what is wrong with the headings of a package comment.
func headingsIn(doc string) string {
	ends := make([]int, len(headings))
	starts := make([]int, len(headings))
	for i, h := range headings {
		at := regexp.MustCompile(`(?m)^(# )?` + h + `([.:]|$)`).FindStringIndex(doc)
		if at == nil {
			return fmt.Sprintf("the package comment has no heading %q", h)
		}
		starts[i], ends[i] = at[0], at[1]
		if i > 0 && starts[i] < ends[i-1] {
			return fmt.Sprintf("the heading %q stands before %q", h, headings[i-1])
		}
	}
	for i, h := range headings {
		end := len(doc)
		if i+1 < len(headings) {
			end = starts[i+1]
		}
		if strings.TrimSpace(doc[ends[i]:end]) == "" {
			return fmt.Sprintf("the package comment says nothing under %q", h)
		}
	}
	return ""
}

// ExportedDocs finds exported names without a comment in packages that
// others can import. Two kinds need none: a method that an interface of ours
// or of the standard library describes, and a declaration that carries its
// sentence as an argument, as verbs do.
func ExportedDocs(t *Tree) []Finding {
	described := interfaceMethods(t)
	var out []Finding
	for _, f := range t.Files {
		if !f.IsProduct() || f.Syntax.Name.Name == "main" || strings.HasPrefix(f.Path, "internal/") {
			continue
		}
		for _, name := range undocumented(f, described) {
			out = append(out, Finding{t.at(name), "exported " + name.Name + " has no comment",
				"Say what it means: units, the zero value, errors, concurrency, the part of the documentation it implements"})
		}
	}
	return out
}

func undocumented(f *File, described map[string]bool) []*ast.Ident {
	var out []*ast.Ident
	for _, d := range f.Syntax.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			r := receiver(d)
			isMethod := r != ""
			switch {
			case d.Doc != nil, !d.Name.IsExported(), isMethod && !ast.IsExported(r):
			case isMethod && described[signature(d.Name, d.Type)]:
			default:
				out = append(out, d.Name)
			}
		case *ast.GenDecl:
			for _, s := range d.Specs {
				out = append(out, undocumentedSpec(d, s)...)
			}
		}
	}
	return out
}

func undocumentedSpec(d *ast.GenDecl, s ast.Spec) []*ast.Ident {
	switch s := s.(type) {
	case *ast.TypeSpec:
		alone := d.Doc != nil && !d.Lparen.IsValid()
		if s.Name.IsExported() && s.Doc == nil && s.Comment == nil && !alone {
			return []*ast.Ident{s.Name}
		}
	case *ast.ValueSpec:
		// The comment of a group speaks for its constants or variables.
		if d.Doc != nil || s.Doc != nil || s.Comment != nil || carriesSentence(s) {
			return nil
		}
		for _, name := range s.Names {
			if name.IsExported() {
				return []*ast.Ident{name}
			}
		}
	}
	return nil
}

// carriesSentence says whether a value is built from a text that is a
// sentence.
func carriesSentence(s *ast.ValueSpec) bool {
	found := false
	for _, v := range s.Values {
		ast.Inspect(v, func(n ast.Node) bool {
			if lit, ok := n.(*ast.BasicLit); ok {
				text, err := strconv.Unquote(lit.Value)
				found = found || err == nil && strings.Contains(text, " ") && strings.HasSuffix(text, ".")
			}
			return !found
		})
	}
	return found
}

// wellKnown are methods that the standard library's interfaces describe.
var wellKnown = []string{
	"String/0/1", "Error/0/1", "Unwrap/0/1", "Is/1/1", "ServeHTTP/2/0", "Len/0/1", "Less/2/1", "Swap/2/0",
	"MarshalJSON/0/2", "UnmarshalJSON/1/1", "MarshalText/0/2", "UnmarshalText/1/1", "MarshalBinary/0/2", "UnmarshalBinary/1/1",
	"MarshalCBOR/0/2", "UnmarshalCBOR/1/1",
}

// interfaceMethods collects the methods that an interface of the tree
// declares with a comment: what implements them need not repeat it.
func interfaceMethods(t *Tree) map[string]bool {
	out := map[string]bool{}
	for _, s := range wellKnown {
		out[s] = true
	}
	for _, f := range t.Files {
		if !f.IsProduct() {
			continue
		}
		ast.Inspect(f.Syntax, func(n ast.Node) bool {
			it, ok := n.(*ast.InterfaceType)
			if !ok {
				return true
			}
			for _, m := range it.Methods.List {
				fn, isMethod := m.Type.(*ast.FuncType)
				if isMethod && (m.Doc != nil || m.Comment != nil) {
					out[signature(m.Names[0], fn)] = true
				}
			}
			return true
		})
	}
	return out
}

// signature is a method's name with the numbers of its parameters and
// results: enough to tell those that only share a name.
func signature(name *ast.Ident, fn *ast.FuncType) string {
	return fmt.Sprintf("%s/%d/%d", name.Name, fn.Params.NumFields(), fn.Results.NumFields())
}

// Gofmt finds Go files that gofmt would change.
func Gofmt(t *Tree) []Finding {
	var out []Finding
	for _, f := range t.Files {
		if !f.IsGo() {
			continue
		}
		want, err := format.Source(f.Text)
		switch {
		case err != nil:
			out = append(out, Finding{f.Path, err.Error(), "Mend the syntax"})
		case !bytes.Equal(f.Text, want):
			out = append(out, Finding{f.Path, "not formatted", "Run gofmt -w " + f.Path})
		}
	}
	return out
}
