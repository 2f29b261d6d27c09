package main

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"text/tabwriter"
)

// formatFlag chooses between text for people and JSON for programs.
var formatFlag = textFlag("format", "Print in this `FORMAT`: pretty (for people, the default) or json.")

// inJSON reports whether -format=json is given, and refuses other formats.
func (c *call) inJSON() (bool, error) {
	switch f := c.String("format"); f {
	case "", "pretty":
		return false, nil
	case "json":
		return true, nil
	default:
		return false, fmt.Errorf("%s: unknown -format %q: use pretty or json", words(c.Command), f)
	}
}

// printJSON prints a value as indented JSON, empty lists as [].
func (c *call) printJSON(v any) error {
	text, err := json.MarshalIndent(v, "", "    ")
	if err != nil {
		return fmt.Errorf("encode result: %w", err)
	}
	c.printf("%s\n", text)
	return nil
}

// show prints v as JSON or as what pretty makes of it.
func (c *call) show(v any, pretty func()) error {
	asJSON, err := c.inJSON()
	if err != nil {
		return err
	}
	out := bufio.NewWriter(c.out)
	defer func(direct io.Writer) { c.out = direct }(c.out)
	c.out = out
	if !asJSON {
		pretty()
	} else if err := c.printJSON(v); err != nil {
		return err
	}
	return out.Flush()
}

// checkedWriter remembers the first error of a writer. A result that was not
// written is a failure, whatever the agent answered. Safe for concurrent use
// if w is.
type checkedWriter struct {
	w  io.Writer
	mu sync.Mutex
	// err is guarded by mu.
	err error
}

// Write implements io.Writer.
func (c *checkedWriter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	if err != nil {
		err = fmt.Errorf("write result: %w", err)
		c.mu.Lock()
		defer c.mu.Unlock()
		c.err = cmp.Or(c.err, err)
	}
	return n, err
}

// failure is the first error, or nil.
func (c *checkedWriter) failure() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// table aligns columns. Rows have no blanks at their ends.
type table struct {
	rows *tabwriter.Writer
	text *bytes.Buffer // what rows writes to
	out  io.Writer
}

// newTable aligns columns two spaces apart.
func newTable(out io.Writer) table {
	text := &bytes.Buffer{}
	return table{tabwriter.NewWriter(text, 0, 0, 2, ' ', 0), text, out}
}

// newDetails aligns names and values, six spaces apart.
func newDetails(out io.Writer) table {
	text := &bytes.Buffer{}
	return table{tabwriter.NewWriter(text, 0, 2, 6, ' ', 0), text, out}
}

func (t table) row(cells ...any) {
	for i, cell := range cells {
		if i > 0 {
			_, _ = fmt.Fprint(t.rows, "\t")
		}
		_, _ = fmt.Fprint(t.rows, cell)
	}
	_, _ = fmt.Fprintln(t.rows)
}

// flush prints the rows. It belongs at the end of every table.
func (t table) flush() {
	_ = t.rows.Flush()
	for line := range strings.Lines(t.text.String()) {
		_, _ = fmt.Fprintln(t.out, strings.TrimRight(line, " \n"))
	}
}

// orDash stands for nothing in a table.
func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// pairs prints a map as k=v,k=v in the order of its keys.
func pairs(m map[string]string) string {
	var out []string
	for _, k := range slices.Sorted(maps.Keys(m)) {
		out = append(out, k+"="+m[k])
	}
	return strings.Join(out, ",")
}

// list is what JSON shows of a list: [] when it is empty.
func list[T any](s []T) []T {
	if s == nil {
		return []T{}
	}
	return s
}
