package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"github.com/urfave/cli/v3"

	"curia/client"
)

// command is one row of the table of commands. Everything else follows from
// it: parsing, help, completion.
type command struct {
	name string // all its words: "kv get"
	args string // as the usage line shows them: "[KEY]"
	line string // what it does, in one sentence
	help string // more about it; the last part is the example
	// least and most positional arguments; most is -1 when there is no limit.
	least, most int
	flags       func() []cli.Flag // nil for none
	// firstEnds says that the first positional argument ends the flags, so that
	// the others may begin with a dash.
	firstEnds bool
	// One of these carries the command out. A command with ask talks to an agent:
	// it takes the flags of the connection.
	run func(ctx context.Context, c *call) error
	ask func(ctx context.Context, c *call, agent *client.Client) error
}

// flagFunc makes a flag. The library keeps the values of a run in the flag, so
// every run gets its own.
type flagFunc func() cli.Flag

// flags are those of a row.
func flags(some ...flagFunc) func() []cli.Flag {
	return func() []cli.Flag {
		var out []cli.Flag
		for _, f := range some {
			out = append(out, f())
		}
		return out
	}
}

// groups are the first words of commands that have two or more.
var groups = []struct{ name, line string }{
	{"acl", "Look after tokens, policies and roles."},
	{"acl auth-method", "Look after auth methods, with which tokens are got by logging in."},
	{"acl binding-rule", "Look after what those may do who log in."},
	{"acl policy", "Look after policies."},
	{"acl role", "Look after roles."},
	{"acl templated-policy", "Look at the templates of policies."},
	{"acl token", "Look after tokens."},
	{"catalog", "Look at the nodes and services of a datacenter."},
	{"config", "Read and write configuration that a datacenter shares."},
	{"kv", "Read and write the key/value store."},
	{"operator", "Look after the cluster."},
	{"operator autopilot", "Look at the health of the servers, and say what it is."},
	{"operator raft", "Look at the replicated log, and say who keeps it."},
	{"operator usage", "Count what there is."},
	{"services", "Register and remove services of the agent."},
	{"session", "List, create and destroy sessions."},
	{"snapshot", "Save and restore the state of a datacenter."},
	{"tls", "Make certificate authorities and certificates."},
	{"tls ca", "Make certificate authorities."},
	{"tls cert", "Make certificates."},
}

// commands is the whole table, in the order of the help.
func commands() []command {
	var out []command
	for _, some := range [][]command{
		agentCommands, kvCommands, catalogCommands, clusterCommands, localCommands, poolCommands, eventCommands,
		operatorCommands, keyringCommands, rttCommands, configCommands, sessionCommands, snapshotCommands, toolCommands,
		lockCommands, watchCommands, monitorCommands, execCommands, debugCommands, tlsCommands,
		aclTokenCommands, aclPolicyCommands, aclRoleCommands, aclTemplateCommands, aclMethodCommands, aclRuleCommands, loginCommands,
	} {
		out = append(out, some...)
	}
	return out
}

const rootHelp = `One program is the agent and the commands that talk to agents. Every flag may be
written with one dash or with two.

The environment variables that the help of the commands names are those of
Consul. Each has a twin that begins with CURIA_ instead and wins over it.

Example: an agent to try things with, and a first key

    $ curia agent -dev
    $ curia kv put greeting hello`

// shell is the world around a command.
type shell struct {
	in        io.Reader
	out, err  io.Writer
	lookupEnv func(string) (string, bool) // as os.LookupEnv
}

// run carries out one command line, args[0] being the name of the program, and
// returns the exit code.
func run(ctx context.Context, sh shell, args []string) int {
	program := "curia"
	if len(args) > 0 {
		program = strings.TrimSuffix(filepath.Base(args[0]), ".exe")
	}
	out := &checkedWriter{w: sh.out}
	sh.out = out
	err := tree(program, sh).Run(ctx, args)
	if err == nil {
		err = out.failure()
	}
	return report(program, sh.err, err)
}

// tree turns the table into what the library parses.
func tree(program string, sh shell) *cli.Command {
	root := &cli.Command{
		Name: program, Usage: "Find services, share configuration, hold locks.",
		Description: rootHelp,
		Writer:      sh.out, ErrWriter: sh.err, Reader: sh.in,
		EnableShellCompletion:           true,
		ConfigureShellCompletionCommand: describeCompletion,
		ShellComplete:                   complete,
		HideHelpCommand:                 true,
		ExitErrHandler:                  func(context.Context, *cli.Command, error) {},
		OnUsageError:                    asUsageError,
		Flags: []cli.Flag{&cli.BoolFlag{
			Name: "version", Aliases: []string{"v"}, Local: true, Usage: "Print the version."}},
		Action: func(_ context.Context, c *cli.Command) error {
			if c.Bool("version") {
				return printVersion(c.Root().Writer)
			}
			return missingCommand(c)
		},
	}
	for _, g := range groups {
		parent, name := descend(root, g.name)
		parent.Commands = append(parent.Commands, &cli.Command{
			Name: name, Usage: g.line, Description: examples(g.name), OnUsageError: asUsageError, ShellComplete: complete,
			Action: func(_ context.Context, c *cli.Command) error { return missingCommand(c) },
		})
	}
	for _, cmd := range commands() {
		parent, name := descend(root, cmd.name)
		parent.Commands = append(parent.Commands, cmd.leaf(name, sh))
	}
	return root
}

// examples are the first examples of the commands of a group, or of the groups
// in it if it has no commands of its own.
func examples(group string) string {
	var own, below string
	for _, cmd := range commands() {
		rest, found := strings.CutPrefix(cmd.name, group+" ")
		if !found {
			continue
		}
		prompt := "    $ curia " + cmd.name
		_, line, _ := strings.Cut(cmd.help, prompt)
		line, _, _ = strings.Cut(line, "\n")
		if strings.Contains(rest, " ") {
			below += prompt + line + "\n"
		} else {
			own += prompt + line + "\n"
		}
	}
	return "Example:\n\n" + cmp.Or(own, below)
}

// descend finds the parent of a command, and its last word.
func descend(root *cli.Command, name string) (*cli.Command, string) {
	for {
		first, rest, more := strings.Cut(name, " ")
		if !more {
			return root, name
		}
		root, name = root.Command(first), rest
	}
}

// leaf makes the command of a row.
func (cmd command) leaf(name string, sh shell) *cli.Command {
	out := &cli.Command{
		Name: name, Usage: cmd.line, ArgsUsage: cmd.args, Description: cmd.help,
		DisableSliceFlagSeparator: true,
		OnUsageError:              asUsageError,
		ShellComplete:             complete,
		Action: func(ctx context.Context, c *cli.Command) error {
			if err := cmd.checkArgs(c.Args().Slice()); err != nil {
				return asUsageError(ctx, c, err, true)
			}
			return cmd.carryOut(ctx, &call{Command: c, shell: sh})
		},
	}
	if cmd.flags != nil {
		out.Flags = cmd.flags()
	}
	if cmd.ask != nil {
		out.Flags = append(out.Flags, flags(connectionFlags...)()...)
	}
	if cmd.firstEnds {
		one := 1
		out.StopOnNthArg = &one
	}
	return out
}

func (cmd command) carryOut(ctx context.Context, c *call) error {
	if cmd.ask == nil {
		return cmd.run(ctx, c)
	}
	agent, err := c.connect()
	if err != nil {
		return err
	}
	return cmd.ask(ctx, c, agent)
}

// checkArgs wants as many positional arguments as the row says.
func (cmd command) checkArgs(args []string) error {
	switch n := len(args); {
	case n < cmd.least:
		word := strings.Trim(strings.Fields(cmd.args)[n], "[]…")
		return fmt.Errorf("missing %s argument", word)
	case cmd.firstEnds && cmd.most >= 0 && n > cmd.most && strings.HasPrefix(args[cmd.most], "-"):
		return fmt.Errorf("unexpected argument %q: flags come before the arguments", args[cmd.most])
	case cmd.most >= 0 && n > cmd.most:
		return fmt.Errorf("unexpected argument %q", args[cmd.most])
	}
	return nil
}

// call is one run of a command: its flags and arguments, and the world.
type call struct {
	*cli.Command
	shell
}

// arg gives a positional argument, or "" when there are fewer.
func (c *call) arg(i int) string { return c.Args().Get(i) }

// printf prints to the standard output; run finds out when that fails.
func (c *call) printf(format string, args ...any) {
	_, _ = fmt.Fprintf(c.out, format, args...)
}

// flagOf makes a flagFunc of a flag given as a value.
func flagOf[F any, P interface {
	*F
	cli.Flag
}](f F) flagFunc {
	return func() cli.Flag {
		fresh := f
		return P(&fresh)
	}
}

func boolFlag(name, usage string) flagFunc { return flagOf(cli.BoolFlag{Name: name, Usage: usage}) }

func textFlag(name, usage string) flagFunc { return flagOf(cli.StringFlag{Name: name, Usage: usage}) }

func listFlag(name, usage string) flagFunc {
	return flagOf(cli.StringSliceFlag{Name: name, Usage: usage})
}

func numberFlag(name, usage string) flagFunc { return flagOf(cli.Uint64Flag{Name: name, Usage: usage}) }
