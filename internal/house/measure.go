package house

import (
	"go/ast"
	"path"
	"strconv"
	"strings"
)

// Measures takes every number that has a limit.
func Measures(t *Tree) []Measure {
	var out []Measure
	for _, f := range t.Files {
		if !f.IsGo() {
			continue
		}
		out = append(out, Measure{FileLines, f.Path, f.Lines()})
		if path.Base(f.Path) == "doc.go" {
			out = append(out, Measure{DocLines, f.Path, f.Lines()})
		}
		for _, d := range f.Syntax.Decls {
			out = append(out, t.measureDecl(f, d)...)
		}
	}
	return out
}

func (t *Tree) measureDecl(f *File, d ast.Decl) []Measure {
	fn, ok := d.(*ast.FuncDecl)
	if !ok {
		return t.measureSpecs(f, d.(*ast.GenDecl))
	}
	where := f.Path + ":" + funcName(fn)
	out := append(structs(where, fn), Measure{FuncLines, where, t.funcLines(f, fn)})
	if isTesting(f) {
		sleeps, skips := waits(fn)
		out = append(out, Measure{TestSleeps, where, sleeps}, Measure{TestSkips, where, skips})
	}
	return out
}

// measureSpecs looks at types, and at functions that are values of
// variables: a table of closures must not hide a long one.
func (t *Tree) measureSpecs(f *File, d *ast.GenDecl) []Measure {
	var out []Measure
	for _, s := range d.Specs {
		var where string
		switch s := s.(type) {
		case *ast.TypeSpec:
			where = f.Path + ":" + s.Name.Name
		case *ast.ValueSpec:
			where = f.Path + ":" + s.Names[0].Name
		default:
			continue
		}
		out = append(out, structs(where, s)...)
		ast.Inspect(s, func(n ast.Node) bool {
			lit, ok := n.(*ast.FuncLit)
			if ok {
				out = append(out, Measure{FuncLines, where, t.funcLines(f, lit)})
			}
			return !ok
		})
	}
	return out
}

// funcLines counts the lines of a function. In tests a table does not count,
// however long it is: its rows are not steps.
func (t *Tree) funcLines(f *File, fn ast.Node) int {
	lines := t.span(fn)
	if !f.IsTest() {
		return lines
	}
	ast.Inspect(fn, func(n ast.Node) bool {
		table, ok := n.(*ast.CompositeLit)
		if ok {
			lines -= t.span(table) - 1
		}
		return !ok
	})
	return lines
}

// structs counts the fields of every struct type within a node. Several
// unnamed ones share the place, and the largest of them decides.
func structs(where string, n ast.Node) []Measure {
	var out []Measure
	ast.Inspect(n, func(n ast.Node) bool {
		st, ok := n.(*ast.StructType)
		if !ok {
			return true
		}
		fields := 0
		for _, f := range st.Fields.List {
			fields += max(1, len(f.Names))
		}
		out = append(out, Measure{StructFields, where, fields})
		return true
	})
	return out
}

func funcName(fn *ast.FuncDecl) string {
	if r := receiver(fn); r != "" {
		return r + "." + fn.Name.Name
	}
	return fn.Name.Name
}

// receiver is the name of a method's type, without pointer and type
// parameters; empty for a function.
func receiver(fn *ast.FuncDecl) string {
	if fn.Recv == nil || len(fn.Recv.List) == 0 {
		return ""
	}
	e := fn.Recv.List[0].Type
	for {
		switch x := e.(type) {
		case *ast.StarExpr:
			e = x.X
		case *ast.ParenExpr:
			e = x.X
		case *ast.IndexExpr:
			e = x.X
		case *ast.IndexListExpr:
			e = x.X
		case *ast.Ident:
			return x.Name
		default:
			return ""
		}
	}
}

// isTesting says whether a file is a test or a part of one.
func isTesting(f *File) bool {
	if f.IsTest() {
		return true
	}
	for _, i := range f.Syntax.Imports {
		if p, err := strconv.Unquote(i.Path.Value); err == nil && p == "testing" {
			return true
		}
	}
	return false
}

// waits counts the calls of time.Sleep and of the methods that skip a test.
// Inside a synctest bubble time.Sleep moves a clock of its own and waits for
// nothing, so there it does not count.
func waits(fn ast.Node) (sleeps, skips int) {
	ast.Inspect(fn, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok {
			return true
		}
		sel, ok := call.Fun.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		on, _ := sel.X.(*ast.Ident)
		switch {
		case on == nil:
		case on.Name == "synctest" && (sel.Sel.Name == "Test" || sel.Sel.Name == "Run"):
			_, inBubble := waits(call.Args[len(call.Args)-1])
			skips += inBubble
			return false
		case on.Name == "time" && sel.Sel.Name == "Sleep":
			sleeps++
		case strings.HasPrefix(sel.Sel.Name, "Skip") && (on.Name == "t" || on.Name == "b" || on.Name == "f" || on.Name == "tb"):
			skips++
		}
		return true
	})
	return sleeps, skips
}
