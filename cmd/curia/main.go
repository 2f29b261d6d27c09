// Command curia is an agent, and the commands that talk to agents.
package main

import (
	"context"
	"os"
)

func main() {
	os.Exit(run(context.Background(), shell{os.Stdin, os.Stdout, os.Stderr, os.LookupEnv}, os.Args))
}
