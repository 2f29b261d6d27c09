package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
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
	if asJSON {
		return c.printJSON(v)
	}
	pretty()
	return nil
}

// table aligns columns, two spaces apart.
type table struct{ w *tabwriter.Writer }

func newTable(w io.Writer) table { return table{tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)} }

// newDetails aligns names and values, six spaces apart.
func newDetails(w io.Writer) table { return table{tabwriter.NewWriter(w, 0, 2, 6, ' ', 0)} }

func (t table) row(cells ...any) {
	for i, cell := range cells {
		if i > 0 {
			_, _ = fmt.Fprint(t.w, "\t")
		}
		_, _ = fmt.Fprint(t.w, cell)
	}
	_, _ = fmt.Fprintln(t.w)
}

func (t table) flush() { _ = t.w.Flush() }

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
