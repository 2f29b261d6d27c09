package watch

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"strconv"

	"curia/internal/child"
)

// outputMax is how many bytes of the output of a handler are logged.
const outputMax = 4 << 10

// RunProgram runs a program for a change: its environment has CONSUL_INDEX, and
// its standard input is the JSON and a line feed. Nil writers drop what it
// prints. A program that fails gives an *exec.ExitError.
func RunProgram(ctx context.Context, argv []string, c Change, out, errs io.Writer) error {
	index := strconv.FormatUint(c.Index, 10)
	return child.Command{
		Argv: argv, Env: []string{"CONSUL_INDEX=" + index, "CURIA_INDEX=" + index},
		In:  io.MultiReader(bytes.NewReader(c.Body), bytes.NewReader([]byte{'\n'})),
		Out: out, Err: errs,
	}.Run(ctx)
}

// handle carries out the handler of a definition, and returns the last of what
// it said.
func (d *Definition) handle(ctx context.Context, c Change) (output string, err error) {
	if d.HTTP != nil {
		return d.HTTP.send(ctx, c)
	}
	said := &tail{}
	err = RunProgram(ctx, d.Argv, c, said, said)
	return said.String(), err
}

// send sends a change. Any status but 2xx is an error.
func (h *HTTPHandler) send(ctx context.Context, c Change) (output string, err error) {
	ctx, cancel := context.WithTimeout(ctx, h.Timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, h.Method, h.Path, bytes.NewReader(append(c.Body[:len(c.Body):len(c.Body)], '\n')))
	if err != nil {
		return "", err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("X-Consul-Index", strconv.FormatUint(c.Index, 10))
	for name, values := range h.Header {
		req.Header[name] = values
		if name == "Host" {
			req.Host = values[0]
		}
	}
	// Connections are not kept: there is a request once in a while.
	client := &http.Client{Transport: &http.Transport{
		Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true,
		TLSClientConfig: &tls.Config{InsecureSkipVerify: h.TLSSkipVerify},
	}}
	answer, err := client.Do(req)
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	said := &tail{}
	if _, err := io.Copy(said, answer.Body); err != nil {
		return said.String(), fmt.Errorf("read answer: %w", err)
	}
	if answer.StatusCode/100 != 2 {
		err = fmt.Errorf("answered %s", answer.Status)
	}
	return said.String(), err
}

// tail keeps the last bytes of what is written to it.
type tail struct{ kept []byte }

func (t *tail) Write(p []byte) (int, error) {
	t.kept = append(t.kept, p...)
	if extra := len(t.kept) - outputMax; extra > 0 {
		t.kept = append(t.kept[:0], t.kept[extra:]...)
	}
	return len(p), nil
}

func (t *tail) String() string { return string(t.kept) }
