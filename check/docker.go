package check

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"curia/api"
	"curia/internal/pause"
)

// dockerProbe runs a command in a container with three calls on the engine's
// API ("Docker checks").
type dockerProbe struct {
	container string
	argv      []string
	timeout   time.Duration // for the text
	limit     int           // bytes of output
	engine    *http.Client
	base      string // of the engine's URLs
}

const defaultDockerHost = "unix:///var/run/docker.sock"

func newDocker(def *api.CheckRegistration, opts Options) (*dockerProbe, error) {
	argv := def.Args
	if len(argv) == 0 {
		argv = []string{cmp.Or(def.Shell, os.Getenv("SHELL"), "/bin/sh"), "-c", def.Script}
	}
	host := cmp.Or(opts.DockerHost, os.Getenv("DOCKER_HOST"), defaultDockerHost)
	p := &dockerProbe{
		container: def.DockerContainerID, argv: argv,
		timeout: timeoutOf(def, commandTimeout), limit: opts.OutputMaxSize,
	}
	transport := &http.Transport{DisableKeepAlives: true}
	p.engine = &http.Client{Transport: transport}
	switch scheme, rest, _ := strings.Cut(host, "://"); scheme {
	case "unix":
		transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", rest)
		}
		p.base = "http://docker"
	case "tcp", "http":
		p.base = "http://" + rest
	default:
		return nil, api.Errorf(api.Rejected, "docker host %q has to begin with unix:// or tcp://", host)
	}
	return p, nil
}

func (p *dockerProbe) probe(ctx context.Context) Result {
	output := &tail{limit: p.limit}
	code, err := p.exec(ctx, output)
	switch {
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return timedOut(p.timeout, output)
	case err != nil:
		return failed(err)
	}
	return exited(code, output)
}

// exec runs the command and gives its exit code.
func (p *dockerProbe) exec(ctx context.Context, output io.Writer) (int, error) {
	type object = map[string]any
	var created struct{ ID string }
	err := p.call(ctx, "POST", "/containers/"+url.PathEscape(p.container)+"/exec",
		object{"AttachStdout": true, "AttachStderr": true, "Tty": false, "Cmd": p.argv},
		func(r io.Reader) error { return json.NewDecoder(r).Decode(&created) })
	if err != nil {
		return 0, fmt.Errorf("create command in container %q: %w", p.container, err)
	}
	exec := "/exec/" + url.PathEscape(created.ID)
	err = p.call(ctx, "POST", exec+"/start", object{"Detach": false, "Tty": false},
		func(r io.Reader) error { return copyFrames(output, r) })
	if err != nil {
		return 0, fmt.Errorf("run command in container %q: %w", p.container, err)
	}
	for {
		var state struct {
			Running  bool
			ExitCode int
		}
		err = p.call(ctx, "GET", exec+"/json", nil, func(r io.Reader) error { return json.NewDecoder(r).Decode(&state) })
		if err != nil {
			return 0, fmt.Errorf("read exit code from container %q: %w", p.container, err)
		}
		if !state.Running {
			return state.ExitCode, nil
		}
		if !pause.For(ctx, engineLag) {
			return 0, ctx.Err()
		}
	}
}

// engineLag is how long the engine is given to notice that a command whose
// output has ended has ended, too.
const engineLag = 50 * time.Millisecond

// call asks the engine and hands the body of a good answer to read.
func (p *dockerProbe) call(ctx context.Context, method, path string, body any, read func(io.Reader) error) error {
	var text []byte
	if body != nil {
		var err error
		if text, err = json.Marshal(body); err != nil {
			return err
		}
	}
	req, err := http.NewRequestWithContext(ctx, method, p.base+path, bytes.NewReader(text))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := p.engine.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode >= 300 {
		reason, _ := io.ReadAll(io.LimitReader(resp.Body, int64(p.limit)))
		var said struct{ Message string }
		if json.Unmarshal(reason, &said) == nil && said.Message != "" {
			reason = []byte(said.Message)
		}
		return fmt.Errorf("%s: %s", resp.Status, bytes.TrimSpace(reason))
	}
	return read(resp.Body)
}

// copyFrames takes the output out of the engine's stream: frames of a kind, three
// zeros, a length of four bytes, the greatest first, and that many bytes.
func copyFrames(w io.Writer, r io.Reader) error {
	var head [8]byte
	for {
		if _, err := io.ReadFull(r, head[:]); err == io.EOF {
			return nil
		} else if err != nil {
			return fmt.Errorf("read frame of output: %w", err)
		}
		if _, err := io.CopyN(w, r, int64(binary.BigEndian.Uint32(head[4:]))); err != nil {
			return fmt.Errorf("read output: %w", err)
		}
	}
}
