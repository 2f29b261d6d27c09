package realtest

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"
)

// program is the agent under test.
var program string

// consulLink is another name of it, under which it answers as consul.
var consulLink string

func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) == "dig" {
		dig(os.Args[1:])
		return
	}
	flag.Parse()
	os.Exit(run(m))
}

// run builds the binary and runs the tests; it exists for its defers.
func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "curia-realtest-*")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	// Agents that run as another user need to reach the binary.
	if err := os.Chmod(dir, 0o755); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	if program = os.Getenv("CURIA_TEST_BINARY"); program == "" {
		program = filepath.Join(dir, "curia")
		build := exec.Command("go", "build", "-buildvcs=false", "-o", program, "curia/cmd/curia")
		if out, err := build.CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "%v: %v\n%s", build.Args, err, out)
			return 1
		}
	}
	consulLink = filepath.Join(dir, "consul")
	if err := os.Symlink(program, consulLink); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// seed gives the seed of a random test: a new one, or that of CURIA_TEST_SEED.
func seed(t *testing.T) uint64 {
	t.Helper()
	n := uint64(time.Now().UnixNano())
	if text := os.Getenv("CURIA_TEST_SEED"); text != "" {
		var err error
		if n, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatalf("CURIA_TEST_SEED: %v", err)
		}
	}
	t.Logf("repeat with CURIA_TEST_SEED=%d", n)
	return n
}

// some gives the names of the cases to run: all, or every third with -short.
func some[T any](cases map[string]T) (names []string) {
	for i, name := range slices.Sorted(maps.Keys(cases)) {
		if i%3 == 0 || !testing.Short() {
			names = append(names, name)
		}
	}
	return names
}

// scale gives the size of a test: a small one with -short.
func scale(short, full int) int {
	if testing.Short() {
		return short
	}
	return full
}
