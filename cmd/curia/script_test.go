package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"curia/api"
	"curia/client"
)

// TestMain lets scripts run this program under both of its names.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"curia": main, "consul": main})
}

// TestScripts runs testdata/script/*.txt. A script may have a file "answers"
// for an agent that knows nothing else (see parseAnswers); what the agent was
// asked is in the file "asked".
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup:               setUpAgent,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"await": await,
		},
	})
}

// setUpAgent starts the agent that answers from a file, and points the command
// line at it. A script that starts an agent of its own finds free ports in
// its environment.
func setUpAgent(env *testscript.Env) error {
	for _, name := range []string{"SERVER_PORT", "SERF_LAN_PORT", "SERF_WAN_PORT"} {
		port, err := freePort()
		if err != nil {
			return err
		}
		env.Setenv(name, port)
	}
	// A program under the race detector waits for a second before it exits,
	// unless it is told not to.
	env.Setenv("GORACE", "atexit_sleep_ms=0")
	text, err := os.ReadFile(filepath.Join(env.WorkDir, "answers"))
	if os.IsNotExist(err) {
		return nil
	}
	if err != nil {
		return err
	}
	answers, err := parseAnswers(string(text))
	if err != nil {
		return err
	}
	asked, err := os.Create(filepath.Join(env.WorkDir, "asked"))
	if err != nil {
		return err
	}
	var mu sync.Mutex
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		line := r.Method + " " + r.RequestURI
		mu.Lock()
		defer mu.Unlock()
		fmt.Fprintln(asked, strings.TrimSpace(line+" "+string(body)))
		for _, head := range []string{"X-Consul-Token", "Authorization"} {
			if v := r.Header.Get(head); v != "" {
				fmt.Fprintf(asked, "\t%s: %s\n", head, v)
			}
		}
		a, ok := answers[line]
		if !ok {
			a = answer{http.StatusNotImplemented, "no answer to " + line}
		}
		w.WriteHeader(a.status)
		_, _ = io.WriteString(w, a.text)
	}))
	env.Defer(func() {
		srv.Close()
		_ = asked.Close()
	})
	env.Setenv("CONSUL_HTTP_ADDR", strings.TrimPrefix(srv.URL, "http://"))
	return nil
}

type answer struct {
	status int
	text   string
}

// parseAnswers reads paragraphs: a line with method and request URI, then the
// status and the text of the answer to it.
func parseAnswers(text string) (map[string]answer, error) {
	out := map[string]answer{}
	for paragraph := range strings.SplitSeq(strings.TrimSpace(text), "\n\n") {
		line, rest, _ := strings.Cut(paragraph, "\n")
		number, body, _ := strings.Cut(rest, " ")
		status, err := strconv.Atoi(strings.TrimSpace(number))
		if err != nil {
			return nil, fmt.Errorf("answer to %q begins with %q, not with a status", line, number)
		}
		out[line] = answer{status, strings.TrimSpace(body)}
	}
	return out, nil
}

// await waits until the agent that the environment names has registered
// itself.
func await(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 0 {
		ts.Fatalf("usage: await")
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	agent, err := client.New(client.Config{Address: ts.Getenv("CURIA_HTTP_ADDR")})
	if err != nil {
		ts.Fatalf("await: %v", err)
	}
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		found, err := api.Call(ctx, agent, api.CatalogService, api.ServiceArgs{Service: api.ConsulService})
		if len(found) > 0 {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			ts.Fatalf("await: %v, last: %v", ctx.Err(), err)
		}
	}
}

// freePort finds a port that nobody listens on.
func freePort() (string, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer ln.Close()
	_, port, err := net.SplitHostPort(ln.Addr().String())
	return port, err
}

// inProcess runs a command line here and returns what it printed.
func inProcess(args ...string) (code int, out, err string) {
	var o, e bytes.Buffer
	nothing := func(string) (string, bool) { return "", false }
	code = run(context.Background(), shell{strings.NewReader(""), &o, &e, nothing}, append([]string{"/usr/bin/curia"}, args...))
	return code, o.String(), e.String()
}
