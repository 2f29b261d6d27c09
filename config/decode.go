package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"regexp"
	"strings"

	"github.com/hashicorp/hcl/hcl/ast"
	"github.com/hashicorp/hcl/hcl/parser"
	"github.com/hashicorp/hcl/hcl/scanner"
	"github.com/hashicorp/hcl/hcl/token"
)

// Format is a language of configuration files.
type Format string

// The two formats say the same things: a document decodes to the same values
// from either.
const (
	JSON Format = "json"
	HCL  Format = "hcl"
)

// quotedToken and quotedKey are where errors of the HCL library quote the text.
var (
	quotedToken = regexp.MustCompile(`(?s)([Uu]nknown token: \S+ [A-Z]+) .*`)
	quotedKey   = regexp.MustCompile(`(?s)key '.*' expected`)
)

const (
	maxFileSize = 4 << 20 // bytes
	// maxDepth bounds objects and lists within each other; a service definition with upstreams uses about ten.
	maxDepth = 64
)

// Decode reads a document that need not be a configuration: nested maps whose
// leaves are string, bool, int64 or float64, and whose lists are []any. A key
// that occurs more than once in HCL becomes a list. A document without content
// is nil.
func Decode(text []byte, f Format) (map[string]any, error) { return decode(text, f) }

// decode reads a document into nested maps whose leaves are string, bool, int64 or
// float64, and whose lists are []any. A document without content is nil.
func decode(text []byte, f Format) (map[string]any, error) {
	if len(text) > maxFileSize {
		return nil, fmt.Errorf("larger than %d bytes", maxFileSize)
	}
	if len(bytes.TrimSpace(text)) == 0 {
		return nil, nil
	}
	// A file of the other name is common enough, and nothing in HCL begins like this.
	if f == HCL && bytes.HasPrefix(bytes.TrimSpace(text), []byte("{")) {
		f = JSON
	}
	switch f {
	case JSON:
		return decodeJSON(text)
	case HCL:
		return decodeHCL(text)
	}
	return nil, fmt.Errorf("unknown format %q: use %q or %q", f, JSON, HCL)
}

func decodeJSON(text []byte) (map[string]any, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var doc map[string]any
	if err := d.Decode(&doc); err != nil {
		return nil, fmt.Errorf("parse JSON at byte %d: %w", d.InputOffset(), err)
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, fmt.Errorf("parse JSON at byte %d: more after the end of the object", d.InputOffset())
	}
	if _, err := plain(doc, 0); err != nil {
		return nil, err
	}
	return doc, nil
}

// plain replaces, in place, the decoder's numbers by int64 and float64, as HCL gives them.
func plain(v any, depth int) (any, error) {
	if depth > maxDepth {
		return nil, fmt.Errorf("nested deeper than %d levels", maxDepth)
	}
	var err error
	switch v := v.(type) {
	case json.Number:
		if n, err := v.Int64(); err == nil {
			return n, nil
		}
		return v.Float64()
	case map[string]any:
		for k, item := range v {
			if v[k], err = plain(item, depth+1); err != nil {
				return nil, err
			}
		}
	case []any:
		for i, item := range v {
			if v[i], err = plain(item, depth+1); err != nil {
				return nil, err
			}
		}
	}
	return v, nil
}

// decodeHCL walks the syntax tree itself: the library's decoder turns every
// object into a list of objects, which could not be told apart from a list later.
func decodeHCL(text []byte) (doc map[string]any, err error) {
	// The library panics on some malformed literals instead of returning an error.
	defer func() {
		if r := recover(); r != nil {
			doc, err = nil, fmt.Errorf("parse HCL: %v", r)
		}
	}()
	if err := checkTokens(text); err != nil {
		return nil, err
	}
	file, err := parser.Parse(text)
	if err != nil {
		// What is quoted may be a secret that was taken for something else.
		text := quotedToken.ReplaceAllString(err.Error(), "$1")
		return nil, fmt.Errorf("parse HCL: %s", quotedKey.ReplaceAllString(text, "key expected"))
	}
	list, ok := file.Node.(*ast.ObjectList)
	if !ok {
		return nil, fmt.Errorf("parse HCL: not an object")
	}
	return hclObject(list)
}

// checkTokens reads the tokens that the parser will read, and refuses two things that it
// does not: nesting so deep that its recursion overflows the stack, which nothing can
// recover from; and an end after "key =", which it takes for the absence of the key.
func checkTokens(text []byte) error {
	s := scanner.New(text)
	s.Error = func(token.Pos, string) {} // the parser will report it
	last := token.EOF
	for depth := 0; ; {
		t := s.Scan().Type
		switch t {
		case token.EOF:
			if last == token.ASSIGN {
				return fmt.Errorf("parse HCL: the text ends where a value should be")
			}
			return nil
		case token.COMMENT:
			continue
		case token.LBRACE, token.LBRACK:
			depth++
		case token.RBRACE, token.RBRACK:
			depth = max(0, depth-1)
		}
		if depth > maxDepth {
			return fmt.Errorf("nested deeper than %d levels", maxDepth)
		}
		last = t
	}
}

// hclObject turns `a "b" { … }` into nested objects, and a key that occurs
// more than once into a list.
func hclObject(list *ast.ObjectList) (map[string]any, error) {
	out := map[string]any{}
	for _, item := range list.Items {
		if len(item.Keys) == 0 || len(item.Keys) > maxDepth {
			return nil, fmt.Errorf("parse HCL: %s: %d keys before one value", item.Pos(), len(item.Keys))
		}
		v, err := hclValue(item.Val)
		if err != nil {
			return nil, err
		}
		for i := len(item.Keys) - 1; i > 0; i-- {
			v = map[string]any{hclKey(item.Keys[i]): v}
		}
		key := hclKey(item.Keys[0])
		switch earlier := out[key].(type) {
		case nil:
			out[key] = v
		case []any:
			out[key] = append(earlier, v)
		default:
			out[key] = []any{earlier, v}
		}
	}
	return out, nil
}

func hclKey(k *ast.ObjectKey) string { return fmt.Sprint(k.Token.Value()) }

func hclValue(n ast.Node) (any, error) {
	switch n := n.(type) {
	case *ast.LiteralType:
		return n.Token.Value(), nil
	case *ast.ObjectType:
		return hclObject(n.List)
	case *ast.ListType:
		list := []any{}
		for _, item := range n.List {
			v, err := hclValue(item)
			if err != nil {
				return nil, err
			}
			list = append(list, v)
		}
		return list, nil
	}
	return nil, fmt.Errorf("parse HCL: unexpected %T", n)
}

// formatOf tells the format from a file's name; "" = neither.
func formatOf(path string) Format {
	switch {
	case strings.HasSuffix(path, ".json"):
		return JSON
	case strings.HasSuffix(path, ".hcl"):
		return HCL
	}
	return ""
}
