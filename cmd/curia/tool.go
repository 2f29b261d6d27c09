package main

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"

	"curia/config"
)

var toolCommands = []command{
	validateCommand("validate", "Check configuration files."),
	validateCommand("configtest", "Check configuration files; the older name of validate."),
	{
		name: "keygen",
		line: "Print a new key for the encryption of gossip.",
		help: `The key is 32 random bytes in base64, for the setting encrypt.

Example:

    $ curia keygen
    pUqJrVyVRj5jsiYEkM/tFQYfWyJIv4s3XkvDwy7Cu5s=`,
		run: keygen,
	},
	{
		name: "version",
		line: "Print the version.",
		help: `The API level is the version of the HTTP API that clients may count on.

Example:

    $ curia version -format=json`,
		flags: flags(formatFlag),
		run:   showVersion,
	},
	{
		name: "help", args: "[COMMAND…]", most: -1,
		line: "Print the help of a command.",
		help: `Example:

    $ curia help kv get`,
		run: help,
	},
}

func validateCommand(name, line string) command {
	return command{
		name: name, args: "PATH…", least: 1, most: -1, line: line,
		help: fmt.Sprintf(`Each path is a file, or a directory of which the .json and .hcl files are read.
They are merged and checked as the agent would do it; nothing is started.

Example:

    $ curia %s /etc/curia.d
    Configuration is valid!`, name),
		flags: flags(
			boolFlag("quiet", "Print nothing but errors."),
			textFlag("config-format", "`FORMAT` of all files, whatever their names: hcl or json."),
		),
		run: validate,
	}
}

func validate(_ context.Context, c *call) error {
	cfg, warnings, err := config.Load(config.Sources{
		Files: c.Args().Slice(), Format: config.Format(c.String("config-format")),
	})
	if err == nil {
		err = errors.Join(checkDefinitions(cfg), tlsSettings(cfg, cfg.Ports.HTTPS).Check())
	}
	if err != nil {
		text := strings.Split(err.Error(), "\n")
		if len(text) == 1 {
			return refusal("Config validation failed: " + text[0])
		}
		return refusal("Config validation failed:\n  " + strings.Join(text, "\n  "))
	}
	if c.Bool("quiet") {
		return nil
	}
	for _, w := range warnings {
		_, _ = fmt.Fprintf(c.err, "==> %s\n", w)
	}
	c.printf("Configuration is valid!\n")
	return nil
}

func keygen(_ context.Context, c *call) error {
	key := make([]byte, 32)
	_, _ = rand.Read(key) // never fails
	c.printf("%s\n", base64.StdEncoding.EncodeToString(key))
	return nil
}

func showVersion(_ context.Context, c *call) error {
	facts := struct{ Version, APILevel, GoVersion, Platform string }{
		humanVersion(), apiLevel, runtime.Version(), runtime.GOOS + "/" + runtime.GOARCH,
	}
	var err error
	if shown := c.show(facts, func() { err = printVersion(c.out) }); shown != nil {
		return shown
	}
	return err
}

// humanVersion is the version with one v before its number.
func humanVersion() string {
	if version != "" && version[0] >= '0' && version[0] <= '9' {
		return "v" + version
	}
	return version
}

func printVersion(w io.Writer) error {
	_, err := fmt.Fprintf(w, "Curia %s\nAPI level %s\nBuilt with %s for %s/%s\n",
		humanVersion(), apiLevel, runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return err
}

func help(ctx context.Context, c *call) error {
	cmd := c.Root()
	for _, word := range c.Args().Slice() {
		sub := cmd.Command(word)
		if sub == nil {
			return &exit{exitNotFound, fmt.Errorf("unknown command %q; see \"%s -help\"", strings.Join(c.Args().Slice(), " "), c.Root().Name)}
		}
		cmd = sub
	}
	printHelp(c.out, "", cmd)
	return nil
}
