package main

import (
	"context"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/urfave/cli/v3"

	"curia/config"
)

var update = flag.Bool("update", false, "write the golden files of the help")

// TestHelp holds the help of every command against a golden file, and wants an
// example in it.
func TestHelp(t *testing.T) {
	var names []string
	for _, g := range groups {
		names = append(names, g.name)
	}
	for _, c := range commands() {
		names = append(names, c.name)
		if !strings.Contains(c.help, "Example") || !strings.Contains(c.help, "    $ curia "+c.name) {
			t.Errorf("%s: the help has no example of the command:\n%s", c.name, c.help)
		}
	}
	var files []string
	for _, name := range append(names, "") {
		args := append(strings.Fields(name), "-help")
		code, out, errs := inProcess(args...)
		if code != 0 || errs != "" {
			t.Errorf("%v: exit code %d and %q on standard error, want 0 and nothing", args, code, errs)
		}
		if about, _, _ := strings.Cut(out, "Example"); about == out || !strings.Contains(out, "      $ curia "+name) || !strings.Contains(about, ".\n") {
			t.Errorf("%v: the help does not say what it does, or has no example:\n%s", args, out)
		}
		file := strings.ReplaceAll(strings.TrimSpace("curia "+name), " ", "-") + ".txt"
		files = append(files, file)
		if name == "agent" {
			out = withoutSettings(t, out)
		}
		compareGolden(t, filepath.Join("testdata", "help", file), out)
	}
	entries, err := os.ReadDir("testdata/help")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if !slices.Contains(files, e.Name()) {
			t.Errorf("testdata/help/%s belongs to no command", e.Name())
		}
	}
}

// withoutSettings cuts the flags of settings off the help of the agent: the
// golden file should not change with every setting. It wants each to be there.
func withoutSettings(t *testing.T, help string) string {
	for _, s := range config.Flags() {
		if found := strings.Contains(help, "\n  -"+s.Flag); found == (s.Status == config.Removed) {
			t.Errorf("help of the agent: flag -%s is there: %v, status of its setting: %s", s.Flag, found, s.Status)
		}
	}
	before, _, found := strings.Cut(help, "  -"+config.Flags()[0].Flag)
	if !found {
		t.Errorf("help of the agent has no flag -%s", config.Flags()[0].Flag)
	}
	return before
}

func compareGolden(t *testing.T, path, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v; run the test with -update to write it", err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got), run the test with -update to accept it:\n%s", path, diff)
	}
}

// TestHelpForms asks for the same help in every way there is.
func TestHelpForms(t *testing.T) {
	_, want, _ := inProcess("kv", "get", "-help")
	for _, line := range []string{"kv get --help", "kv get -h", "kv get -help key", "kv get key -h", "help kv get"} {
		if code, out, errs := inProcess(strings.Fields(line)...); code != 0 || out != want || errs != "" {
			t.Errorf("%s: exit code %d, %q; help (-want +got):\n%s", line, code, errs, cmp.Diff(want, out))
		}
	}
}

// TestDashes gives every flag of every command with one dash and with two.
func TestDashes(t *testing.T) {
	values := map[string]string{"IntFlag": "7", "Uint64Flag": "7", "DurationFlag": "7s"}
	for _, row := range commands() {
		leaf := row.leaf("x", shell{})
		for _, f := range leaf.Flags {
			for _, dashes := range []string{"-", "--"} {
				arg := dashes + f.Names()[0]
				if takesValue(f) {
					arg += "=" + cmpOr(values[kindOf(f)], "value")
				}
				var got *cli.Command
				probe := row.leaf("x", shell{})
				probe.Action = func(_ context.Context, c *cli.Command) error { got = c; return nil }
				if err := probe.Run(t.Context(), []string{"x", arg}); err != nil || got == nil || !got.IsSet(f.Names()[0]) {
					t.Errorf("%s %s: the flag is not set, %v", row.name, arg, err)
				}
			}
		}
	}
}

func kindOf(f cli.Flag) string {
	switch f.(type) {
	case *cli.IntFlag:
		return "IntFlag"
	case *cli.Uint64Flag:
		return "Uint64Flag"
	case *cli.DurationFlag:
		return "DurationFlag"
	}
	return ""
}

func cmpOr(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// TestAgentSources follows flags of the agent to the configuration.
func TestAgentSources(t *testing.T) {
	tests := []struct {
		args string
		want config.Sources
		err  string
	}{
		{args: "-dev", want: config.Sources{Dev: true}},
		{args: "-dev=false", want: config.Sources{}},
		{args: "-dev=maybe", err: `-dev: "maybe" is neither true nor false`},
		{
			args: "-config-dir=a --config-file b -config-dir c -config-format=json",
			want: config.Sources{Files: []string{"a", "b", "c"}, Format: config.JSON},
		},
		{
			args: "-server -bootstrap-expect=3 --node n -node-meta a:1 -node-meta=b:2,3 -hcl x=1 -ui=false",
			want: config.Sources{Flags: []config.FlagValue{
				{Name: "server", Value: "true"}, {Name: "bootstrap-expect", Value: "3"}, {Name: "node", Value: "n"},
				{Name: "node-meta", Value: "a:1"}, {Name: "node-meta", Value: "b:2,3"}, {Name: "hcl", Value: "x=1"},
				{Name: "ui", Value: "false"},
			}},
		},
	}
	for _, tt := range tests {
		var got config.Sources
		var err error
		leaf := agentCommands[0].leaf("agent", shell{})
		leaf.Action = func(_ context.Context, c *cli.Command) error {
			got, err = sources(*c.Generic("dev").(*recorded).all)
			return nil
		}
		if perr := leaf.Run(t.Context(), append([]string{"agent"}, strings.Fields(tt.args)...)); perr != nil {
			t.Errorf("%s: %v", tt.args, perr)
			continue
		}
		if tt.err != "" {
			if err == nil || err.Error() != tt.err {
				t.Errorf("%s: got %v, want %s", tt.args, err, tt.err)
			}
			continue
		}
		if diff := cmp.Diff(tt.want, got); diff != "" || err != nil {
			t.Errorf("%s: %v (-want +got):\n%s", tt.args, err, diff)
		}
	}
}

// TestSourcesTwice runs the agent's flags twice: one run must not see the
// flags of another.
func TestSourcesTwice(t *testing.T) {
	for _, args := range [][]string{{"agent", "-config-file=a"}, {"agent", "-config-file=b"}} {
		leaf := agentCommands[0].leaf("agent", shell{})
		leaf.Action = func(_ context.Context, c *cli.Command) error {
			got, err := sources(*c.Generic("dev").(*recorded).all)
			if want := []string{strings.TrimPrefix(args[1], "-config-file=")}; err != nil || !slices.Equal(got.Files, want) {
				t.Errorf("%v: files %v, %v; want %v", args, got.Files, err, want)
			}
			return nil
		}
		if err := leaf.Run(t.Context(), args); err != nil {
			t.Errorf("%v: %v", args, err)
		}
	}
}

type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) { return 0, errors.New("no space left on device") }

// TestLostOutput wants a failure when a result could not be written.
func TestLostOutput(t *testing.T) {
	for _, line := range []string{"keygen", "version", "version -format=json", "-version"} {
		var errs strings.Builder
		args := append([]string{"curia"}, strings.Fields(line)...)
		code := run(t.Context(), shell{strings.NewReader(""), fullDisk{}, &errs, os.LookupEnv}, args)
		if want := "Error! write result: no space left on device\n"; code != 1 || errs.String() != want {
			t.Errorf("%s: exit code %d and %q, want 1 and %q", line, code, errs.String(), want)
		}
	}
}

func TestDistance(t *testing.T) {
	tests := []struct {
		a, b string
		want int
	}{{"", "", 0}, {"kv", "", 2}, {"kv", "kv", 0}, {"kv", "vk", 2}, {"members", "mebers", 1}, {"agent", "gaent", 2}, {"get", "put", 2}}
	for _, tt := range tests {
		if got := distance(tt.a, tt.b); got != tt.want {
			t.Errorf("distance of %q and %q: got %d, want %d", tt.a, tt.b, got, tt.want)
		}
	}
}
