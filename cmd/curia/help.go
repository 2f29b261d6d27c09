package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/urfave/cli/v3"
)

// The library prints help through these variables.
func init() {
	cli.HelpFlag = &cli.BoolFlag{Name: "help", Aliases: []string{"h"}, Usage: "Print this help.", Local: true}
	cli.HelpPrinter = func(w io.Writer, templ string, data any) { printHelp(w, templ, data) }
	// -help behind an argument asks for the help of the command, not for that
	// of the argument.
	cli.ShowCommandHelp = func(_ context.Context, parent *cli.Command, name string) error {
		cmd := parent
		if sub := parent.Command(name); sub != nil {
			cmd = sub
		}
		printHelp(cmd.Root().Writer, "", cmd)
		return nil
	}
}

const (
	indent    = "  "
	lineWidth = 80
)

// printHelp prints the help of a *cli.Command in the shape of the documents:
// flags with one dash.
func printHelp(w io.Writer, _ string, data any) {
	c := data.(*cli.Command)
	var b strings.Builder
	usage := "Usage: " + c.FullName()
	if len(c.VisibleCommands()) > 0 {
		usage += " COMMAND [flags] [arguments]"
	} else {
		usage += " [flags]"
	}
	if c.ArgsUsage != "" {
		usage += " " + c.ArgsUsage
	}
	fmt.Fprintf(&b, "%s\n\n%s%s\n", usage, indent, sentence(c.Usage))
	if c.Description != "" {
		b.WriteString("\n" + indented(strings.TrimSpace(c.Description)) + "\n")
	}
	if cmds := c.VisibleCommands(); len(cmds) > 0 {
		b.WriteString("\nCommands:\n\n")
		rows := newTable(&b)
		slices.SortFunc(cmds, func(a, b *cli.Command) int { return strings.Compare(a.Name, b.Name) })
		for _, sub := range cmds {
			rows.row(indent+sub.Name, sub.Usage)
		}
		rows.flush()
	}
	own, connection := splitFlags(c.VisibleFlags())
	writeFlags(&b, "Flags", own)
	writeFlags(&b, "Flags of the connection", connection)
	_, _ = io.WriteString(w, b.String())
}

// sentence makes a sentence of a phrase.
func sentence(s string) string {
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + strings.TrimSuffix(s[1:], ".") + "."
}

func indented(text string) string {
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		if line != "" {
			lines[i] = indent + line
		}
	}
	return strings.Join(lines, "\n")
}

// splitFlags puts the flags that every command has in common aside.
func splitFlags(all []cli.Flag) (own, connection []cli.Flag) {
	common := map[string]bool{}
	for _, f := range flags(connectionFlags...)() {
		common[f.Names()[0]] = true
	}
	isAsking := false
	for _, f := range all {
		isAsking = isAsking || f.Names()[0] == "http-addr"
	}
	for _, f := range all {
		if isAsking && common[f.Names()[0]] {
			connection = append(connection, f)
		} else {
			own = append(own, f)
		}
	}
	return own, connection
}

func writeFlags(b *strings.Builder, title string, flags []cli.Flag) {
	if len(flags) == 0 {
		return
	}
	fmt.Fprintf(b, "\n%s:\n\n", title)
	for _, f := range flags {
		fmt.Fprintf(b, "%s%s\n", indent, flagSyntax(f))
		for _, line := range wrapped(flagUsage(f), lineWidth-3*len(indent)) {
			fmt.Fprintf(b, "%s%s%s%s\n", indent, indent, indent, line)
		}
	}
}

// wrapped breaks a text into lines of at most width bytes, words permitting.
func wrapped(text string, width int) []string {
	var out []string
	line := ""
	for _, word := range strings.Fields(text) {
		if line != "" && len(line)+1+len(word) > width {
			out, line = append(out, line), word
			continue
		}
		line = strings.TrimPrefix(line+" "+word, " ")
	}
	return append(out, line)
}

// flagSyntax is how a flag is written: -name=VALUE, and its other names.
func flagSyntax(f cli.Flag) string {
	value := ""
	if takesValue(f) {
		value = "=VALUE"
		if word := placeholder(f); word != "" {
			value = "=" + word
		}
	}
	var names []string
	for _, name := range f.Names() {
		names = append(names, "-"+name)
	}
	return strings.Join(names, ", ") + value
}

func takesValue(f cli.Flag) bool {
	switch f := f.(type) {
	case *cli.BoolFlag:
		return false
	case *cli.GenericFlag:
		return !f.Value.(*recorded).IsBoolFlag()
	}
	return true
}

// placeholder is the word that stands for the value: of the usage, the one in
// back quotes.
func placeholder(f cli.Flag) string {
	if g, ok := f.(*cli.GenericFlag); ok {
		return g.Value.(*recorded).placeholder
	}
	if doc, ok := f.(cli.DocGenerationFlag); ok {
		if parts := strings.Split(doc.GetUsage(), "`"); len(parts) == 3 {
			return parts[1]
		}
	}
	return ""
}

func flagUsage(f cli.Flag) string {
	doc, ok := f.(cli.DocGenerationFlag)
	if !ok {
		return ""
	}
	return strings.ReplaceAll(doc.GetUsage(), "`", "")
}

// describeCompletion shows the library's command for completion scripts.
func describeCompletion(c *cli.Command) {
	name := strings.Fields(c.FullName())[0]
	c.Hidden = false
	c.Usage = "Print a script that completes commands and flags in a shell."
	c.Description = strings.ReplaceAll(`The shells are bash, zsh, fish and pwsh.

Example: complete in this bash, from now on

    $ source <($ completion bash)`, "$ completion", name+" completion")
	c.OnUsageError = asUsageError
	c.ShellComplete = complete
	c.Action = func(_ context.Context, c *cli.Command) error { return missingCommand(c) }
	for _, shell := range c.Commands {
		shell.Usage = "Print the script for " + shell.Name + "."
		shell.Description = fmt.Sprintf("Example:\n\n    $ %s completion %s", name, shell.Name)
		shell.OnUsageError = asUsageError
	}
}

// complete prints the commands or flags that may come next, one per line, as
// the scripts of the library want them: "word:what it does".
func complete(_ context.Context, c *cli.Command) {
	last := ""
	if args := c.Args().Slice(); len(args) > 0 {
		last = args[len(args)-1]
	}
	out := c.Root().Writer
	if !strings.HasPrefix(last, "-") {
		for _, sub := range c.VisibleCommands() {
			_, _ = fmt.Fprintf(out, "%s:%s\n", sub.Name, sub.Usage)
		}
		return
	}
	// Flags are suggested with as many dashes as were typed.
	name := strings.TrimLeft(last, "-")
	dashes := last[:len(last)-len(name)]
	for _, f := range c.VisibleFlags() {
		if full := f.Names()[0]; strings.HasPrefix(full, name) {
			_, _ = fmt.Fprintf(out, "%s%s:%s\n", dashes, full, flagUsage(f))
		}
	}
}
