package house

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"strings"
)

// Tree is the repository as the rules see it: every text file, Go files
// parsed. It is not changed after Load.
type Tree struct {
	Files []*File
	fset  *token.FileSet
}

// File is one text file of a Tree.
type File struct {
	Path   string    // from the root of the repository, with slashes
	Text   []byte    // the whole content
	Syntax *ast.File // nil unless the go command would compile it
}

// Dir is the directory of the file, "." for the root: for a Go file the
// package, as it stands in the import table.
func (f *File) Dir() string { return path.Dir(f.Path) }

// IsGo says whether the go command would compile the file.
func (f *File) IsGo() bool { return f.Syntax != nil }

// IsTest says whether the file is Go and compiled for tests only.
func (f *File) IsTest() bool { return f.IsGo() && strings.HasSuffix(f.Path, "_test.go") }

// IsProduct says whether the file is Go and part of a package proper.
func (f *File) IsProduct() bool { return f.IsGo() && !f.IsTest() }

// Lines counts the lines of the file.
func (f *File) Lines() int {
	n := bytes.Count(f.Text, []byte("\n"))
	if len(f.Text) > 0 && f.Text[len(f.Text)-1] != '\n' {
		n++
	}
	return n
}

// Load reads a repository. Version control's own files and build results
// are left out, and so are files that are not text. A Go file that cannot be
// parsed is an error.
func Load(root fs.FS) (*Tree, error) {
	t := &Tree{fset: token.NewFileSet()}
	err := fs.WalkDir(root, ".", func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case name == ".git":
			// A directory in a clone, a file in a second working tree.
			if entry.IsDir() {
				return fs.SkipDir
			}
			return nil
		case entry.IsDir() && name == "bin":
			return fs.SkipDir
		case !entry.Type().IsRegular(), isBuildResult(name):
			return nil
		}
		return t.add(root, name)
	})
	if err != nil {
		return nil, fmt.Errorf("read the repository: %w", err)
	}
	return t, nil
}

func (t *Tree) add(root fs.FS, name string) error {
	text, err := fs.ReadFile(root, name)
	if err != nil {
		return err
	}
	if bytes.IndexByte(text, 0) >= 0 {
		return nil
	}
	f := &File{Path: name, Text: text}
	if isCompiled(name) {
		f.Syntax, err = parser.ParseFile(t.fset, name, text, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return err
		}
	}
	t.Files = append(t.Files, f)
	return nil
}

func isBuildResult(name string) bool {
	ext := path.Ext(name)
	return ext == ".test" || ext == ".out"
}

// isCompiled repeats the go command's rule for names that it ignores.
func isCompiled(name string) bool {
	if path.Ext(name) != ".go" {
		return false
	}
	for part := range strings.SplitSeq(name, "/") {
		if part == "testdata" || part == "vendor" || part[0] == '.' || part[0] == '_' {
			return false
		}
	}
	return true
}

// at says where a node begins, as path:line.
func (t *Tree) at(n ast.Node) string {
	p := t.fset.Position(n.Pos())
	return fmt.Sprintf("%s:%d", p.Filename, p.Line)
}

// span counts the lines from the first to the last of a node.
func (t *Tree) span(n ast.Node) int {
	return t.fset.Position(n.End()).Line - t.fset.Position(n.Pos()).Line + 1
}
