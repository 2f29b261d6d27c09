package acl

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/hashicorp/hcl/hcl/ast"
	"github.com/hashicorp/hcl/hcl/parser"
	"github.com/hashicorp/hcl/hcl/scanner"
	"github.com/hashicorp/hcl/hcl/token"
)

const (
	maxText  = 512 << 10 // bytes of one policy
	maxDepth = 16        // objects within each other; rules use two
)

// entry is a name in a document of rules with what it stands for: a word, or
// further entries. Both languages decode to the same entries.
type entry struct {
	name string
	line int
	// word is what the name stands for when it is not an object.
	word   string
	isWord bool
	body   []entry
}

// document decodes a text in either language. A text without content has no
// entries.
func document(text string) ([]entry, error) {
	if len(text) > maxText {
		return nil, fmt.Errorf("%d bytes are more than the %d that are allowed", len(text), maxText)
	}
	trimmed := strings.TrimSpace(text)
	switch {
	case trimmed == "":
		return nil, nil
	case trimmed[0] == '{':
		return jsonDocument(text)
	}
	return hclDocument(text)
}

// hclDocument walks the syntax tree of the library, whose own decoder knows no
// lines. It panics on some malformed literals.
func hclDocument(text string) (doc []entry, err error) {
	defer func() {
		if p := recover(); p != nil {
			doc, err = nil, fmt.Errorf("%v", p)
		}
	}()
	if err := checkTokens(text); err != nil {
		return nil, err
	}
	file, err := parser.Parse([]byte(text))
	if err != nil {
		var at *parser.PosError
		if errors.As(err, &at) {
			return nil, fmt.Errorf("line %d: %w", at.Pos.Line, at.Err)
		}
		return nil, err
	}
	list, ok := file.Node.(*ast.ObjectList)
	if !ok {
		return nil, errors.New("the text is no list of rules")
	}
	return hclEntries(list)
}

// checkTokens refuses what the parser takes and should not: nesting that
// overflows the stack, and an end where a value should be.
func checkTokens(text string) error {
	s := scanner.New([]byte(text))
	s.Error = func(token.Pos, string) {} // the parser will report it
	last := token.EOF
	for depth := 0; ; {
		t := s.Scan()
		switch t.Type {
		case token.EOF:
			if last == token.ASSIGN {
				return fmt.Errorf("line %d: the text ends where a value should be", t.Pos.Line)
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
			return fmt.Errorf("line %d: nested deeper than %d levels", t.Pos.Line, maxDepth)
		}
		last = t.Type
	}
}

func hclEntries(list *ast.ObjectList) ([]entry, error) {
	var out []entry
	for _, item := range list.Items {
		if len(item.Keys) == 0 || len(item.Keys) > maxDepth {
			return nil, fmt.Errorf("line %d: %d names before one value", item.Pos().Line, len(item.Keys))
		}
		e := entry{line: item.Pos().Line}
		if err := e.hclValue(item.Val); err != nil {
			return nil, err
		}
		for i := len(item.Keys) - 1; i >= 0; i-- {
			e.name = fmt.Sprint(item.Keys[i].Token.Value())
			if i > 0 {
				e = entry{line: e.line, body: []entry{e}}
			}
		}
		out = append(out, e)
	}
	return out, nil
}

func (e *entry) hclValue(n ast.Node) (err error) {
	switch n := n.(type) {
	case *ast.LiteralType:
		e.word, e.isWord = fmt.Sprint(n.Token.Value()), true
		return nil
	case *ast.ObjectType:
		e.body, err = hclEntries(n.List)
		return err
	case *ast.ListType: // of objects that are taken together
		for _, item := range n.List {
			object, ok := item.(*ast.ObjectType)
			if !ok {
				return fmt.Errorf("line %d: a list of rules has something else in it", item.Pos().Line)
			}
			more, err := hclEntries(object.List)
			if err != nil {
				return err
			}
			e.body = append(e.body, more...)
		}
		return nil
	}
	return fmt.Errorf("line %d: unexpected %T", e.line, n)
}

// jsonDocument reads the tokens itself, in order, for the line of each name.
func jsonDocument(text string) ([]entry, error) {
	r := &jsonReader{text: text, dec: json.NewDecoder(strings.NewReader(text))}
	r.dec.UseNumber()
	doc := entry{line: 1}
	if err := r.value(&doc, 0); err != nil {
		return nil, fmt.Errorf("line %d: %w", r.line(), err)
	}
	if r.dec.More() || len(bytes.TrimSpace([]byte(text[r.dec.InputOffset():]))) > 0 {
		return nil, fmt.Errorf("line %d: more after the end of the object", r.line())
	}
	return doc.body, nil
}

type jsonReader struct {
	text   string
	dec    *json.Decoder
	lines  int // in text[:behind]
	behind int
}

// line is that which the decoder has come to.
func (r *jsonReader) line() int {
	at := min(int(r.dec.InputOffset()), len(r.text))
	r.lines += strings.Count(r.text[r.behind:at], "\n")
	r.behind = at
	return r.lines + 1
}

func (r *jsonReader) value(e *entry, depth int) error {
	if depth > maxDepth {
		return fmt.Errorf("nested deeper than %d levels", maxDepth)
	}
	t, err := r.dec.Token()
	if errors.Is(err, io.EOF) {
		return errors.New("the text ends where a value should be")
	}
	if err != nil {
		return err
	}
	switch t {
	case json.Delim('{'):
		for r.dec.More() {
			name, err := r.dec.Token()
			if err != nil {
				return err
			}
			item := entry{name: fmt.Sprint(name), line: r.line()}
			if err := r.value(&item, depth+1); err != nil {
				return err
			}
			e.body = append(e.body, item)
		}
	case json.Delim('['):
		for r.dec.More() {
			var item entry
			if err := r.value(&item, depth+1); err != nil {
				return err
			}
			if item.isWord {
				return errors.New("a list of rules has something else in it")
			}
			e.body = append(e.body, item.body...)
		}
	default:
		e.word, e.isWord = fmt.Sprint(t), true
		return nil
	}
	if _, err = r.dec.Token(); errors.Is(err, io.EOF) {
		return errors.New("the text ends within an object or list")
	}
	return err
}
