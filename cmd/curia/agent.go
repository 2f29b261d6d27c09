package main

import (
	"context"
	"fmt"

	"github.com/urfave/cli/v3"

	"curia/config"
)

var agentCommands = []command{{
	name: "agent",
	line: "Start an agent.",
	help: `The configuration is made of the defaults, the files in the order in which they
are named, and the flags, a later one winning over an earlier one.

Examples:

    $ curia agent -dev
    $ curia agent -server -bootstrap -data-dir=/var/lib/curia -config-dir=/etc/curia.d`,
	flags: agentFlags,
	run:   startAgent,
}}

// sourceFlags say where the configuration comes from. They are no settings.
var sourceFlags = []struct{ name, value, usage string }{
	{"dev", "", "Start a server that keeps everything in memory, on 127.0.0.1, alone."},
	{"config-file", "PATH", "Read this file, or the .json and .hcl files of this directory. May be repeated."},
	{"config-dir", "PATH", "Read the .json and .hcl files of this directory. May be repeated."},
	{"config-format", "FORMAT", "Format of all files, whatever their names: hcl or json."},
	{"hcl", "HCL", "A piece of configuration. May be repeated."},
}

// placeholders stand for the values of settings in the help. A truth needs none.
var placeholders = map[config.Kind]string{
	config.String: "VALUE", config.Int: "NUMBER", config.Float: "NUMBER", config.Duration: "DURATION",
	config.AddressList: "ADDRESSES", config.StringList: "VALUE", config.StringMap: "KEY:VALUE",
}

// recorded is the value of a flag of the agent: the configuration alone knows
// what its text means, and where it stands among the others.
type recorded struct {
	name        string
	placeholder string              // "" when the flag may stand without a value
	all         *[]config.FlagValue // of this run, in the order given
}

// Set implements cli.Value.
func (r *recorded) Set(text string) error {
	*r.all = append(*r.all, config.FlagValue{Name: r.name, Value: text})
	return nil
}

// Get implements cli.Value.
func (r *recorded) Get() any { return r }

// String implements cli.Value.
func (r *recorded) String() string { return "" }

// IsBoolFlag says whether the flag may stand without a value.
func (r *recorded) IsBoolFlag() bool { return r.placeholder == "" }

// agentFlags makes the flags of the agent: the sources of configuration, and
// the table of settings.
func agentFlags() []cli.Flag {
	all := &[]config.FlagValue{}
	var out []cli.Flag
	for _, f := range sourceFlags {
		out = append(out, &cli.GenericFlag{Name: f.name, Usage: f.usage, Value: &recorded{f.name, f.value, all}})
	}
	for _, s := range config.Flags() {
		usage := s.Doc
		if s.Status == config.Accepted {
			usage += " Accepted, without effect yet."
		}
		out = append(out, &cli.GenericFlag{
			Name: s.Flag, Aliases: s.FlagAliases, Usage: usage, Hidden: s.Status == config.Removed,
			Value: &recorded{s.Flag, placeholders[s.Kind], all},
		})
	}
	return out
}

// sources sorts the flags of the agent into what the configuration is made of.
func sources(flags []config.FlagValue) (config.Sources, error) {
	var out config.Sources
	for _, f := range flags {
		switch f.Name {
		case "dev":
			switch f.Value {
			case "true":
				out.Dev = true
			case "false":
				out.Dev = false
			default:
				return out, fmt.Errorf("-dev: %q is neither true nor false", f.Value)
			}
		case "config-file", "config-dir":
			out.Files = append(out.Files, f.Value)
		case "config-format":
			out.Format = config.Format(f.Value)
		default:
			out.Flags = append(out.Flags, f)
		}
	}
	return out, nil
}

func startAgent(ctx context.Context, c *call) error {
	src, err := sources(*c.Generic("dev").(*recorded).all)
	if err != nil {
		return &agentFailure{err}
	}
	load := func() (*config.Config, []string, error) { return config.Load(src) }
	if err := runAgent(ctx, load, c.out); err != nil {
		return &agentFailure{err}
	}
	return nil
}
