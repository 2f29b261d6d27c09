package check

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"curia/api"
)

// engine is a container engine of one container, "box", in which every command
// has the same output and exit code.
type engine struct {
	output   []string // frames, of the two streams in turn
	code     int
	lag      int  // questions for the exit code that are answered with "still running"
	hang     bool // the command never ends
	truncate bool // the stream ends within a frame

	mu    sync.Mutex
	calls []string
}

func (e *engine) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	e.mu.Lock()
	e.calls = append(e.calls, strings.TrimSpace(r.Method+" "+r.URL.EscapedPath()+" "+string(body)))
	e.mu.Unlock()
	switch r.URL.Path {
	case "/containers/box/exec":
		w.WriteHeader(http.StatusCreated)
		io.WriteString(w, `{"Id":"e1"}`)
	case "/exec/e1/start":
		e.stream(w)
		if e.hang {
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		}
	case "/exec/e1/json":
		if e.lag > 0 {
			e.lag--
			io.WriteString(w, `{"ID":"e1","Running":true,"ExitCode":null}`)
			return
		}
		fmt.Fprintf(w, `{"ID":"e1","Running":false,"ExitCode":%d}`, e.code)
	case "/containers/broken/exec":
		w.WriteHeader(http.StatusInternalServerError)
		io.WriteString(w, "no JSON\n")
	default:
		w.WriteHeader(http.StatusNotFound)
		json.NewEncoder(w).Encode(map[string]string{"message": "No such container: " + strings.Split(r.URL.Path, "/")[2]})
	}
}

func (e *engine) stream(w io.Writer) {
	for i, text := range e.output {
		head := [8]byte{0: byte(1 + i%2)}
		binary.BigEndian.PutUint32(head[4:], uint32(len(text)))
		w.Write(head[:])
		if e.truncate {
			text = text[:len(text)-1]
		}
		io.WriteString(w, text)
	}
}

// serve lets the engine listen on a socket, and gives its address.
func (e *engine) serve(t *testing.T) (host string) {
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	s := &httptest.Server{Listener: l, Config: &http.Server{Handler: e}}
	s.Start()
	t.Cleanup(s.Close)
	return "unix://" + path
}

func TestDocker(t *testing.T) {
	t.Setenv("SHELL", "/bin/zsh")
	const script, args = `{"DockerContainerID":"box","Script":"true"}`, `{"DockerContainerID":"box","Args":["a","b c"]}`
	cmd := func(argv string) string {
		return `POST /containers/box/exec {"AttachStderr":true,"AttachStdout":true,"Cmd":` + argv + `,"Tty":false}`
	}
	start, inspect := `POST /exec/e1/start {"Detach":false,"Tty":false}`, `GET /exec/e1/json`
	whole := func(argv string) []string { return []string{cmd(argv), start, inspect} }
	for _, c := range []struct {
		name, body string
		engine     *engine
		want       Result
		calls      []string
	}{
		{"passes", args, &engine{output: []string{"all ", "is ", "well\n"}}, Result{api.Passing, "all is well\n"}, whole(`["a","b c"]`)},
		{"warns", args, &engine{code: 1}, Result{api.Warning, ""}, whole(`["a","b c"]`)},
		{"fails", args, &engine{code: 127, output: []string{"what?"}}, Result{api.Critical, "what?"}, whole(`["a","b c"]`)},
		{"script", script, &engine{}, Result{api.Passing, ""}, whole(`["/bin/zsh","-c","true"]`)},
		{"shell", `{"DockerContainerID":"box","Script":"true","Shell":"/bin/ash"}`, &engine{}, Result{api.Passing, ""}, whole(`["/bin/ash","-c","true"]`)},
		{"late exit code", args, &engine{code: 1, lag: 2}, Result{api.Warning, ""}, append(whole(`["a","b c"]`), inspect, inspect)},
		{"output is cut", `{"DockerContainerID":"box","Args":["a"],"OutputMaxSize":4}`, &engine{output: []string{"abc", "def"}},
			Result{api.Passing, "Captured 4 of 6 bytes\n...\ncdef"}, whole(`["a"]`)},
		{"stream ends early", args, &engine{output: []string{"abc"}, truncate: true},
			Result{api.Critical, `run command in container "box": read output: EOF`}, []string{cmd(`["a","b c"]`), start}},
		{"hangs", `{"DockerContainerID":"box","Args":["a"],"Timeout":"500ms"}`, &engine{output: []string{"begun"}, hang: true},
			Result{api.Critical, "Timed out (500ms) running check\n\nbegun"}, []string{cmd(`["a"]`), start}},
		{"no container", `{"DockerContainerID":"a/../b","Args":["a"]}`, &engine{},
			Result{api.Critical, `create command in container "a/../b": 404 Not Found: No such container: a`},
			[]string{`POST /containers/a%2F..%2Fb/exec {"AttachStderr":true,"AttachStdout":true,"Cmd":["a"],"Tty":false}`}},
		{"engine is broken", `{"DockerContainerID":"broken","Args":["a"]}`, &engine{},
			Result{api.Critical, `create command in container "broken": 500 Internal Server Error: no JSON`},
			[]string{`POST /containers/broken/exec {"AttachStderr":true,"AttachStdout":true,"Cmd":["a"],"Tty":false}`}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := look(t, c.body, Options{DockerHost: c.engine.serve(t)})
			wantResult(t, c.body, got, c.want)
			c.engine.mu.Lock()
			defer c.engine.mu.Unlock()
			if diff := gocmp.Diff(c.calls, c.engine.calls); diff != "" {
				t.Errorf("calls (-want +got)\n%s", diff)
			}
		})
	}
}

func TestDockerHost(t *testing.T) {
	e := &engine{output: []string{"over TCP"}}
	s := httptest.NewServer(e)
	defer s.Close()
	body, tcp := `{"DockerContainerID":"box","Args":["a"]}`, "tcp://"+s.Listener.Addr().String()
	wantResult(t, "by option", look(t, body, Options{DockerHost: tcp}), Result{api.Passing, "over TCP"})
	t.Setenv("DOCKER_HOST", tcp)
	wantResult(t, "by environment", look(t, body, Options{}), Result{api.Passing, "over TCP"})
	wantResult(t, "no engine", look(t, body, Options{DockerHost: "unix:///nowhere/docker.sock"}),
		Result{api.Critical, `create command in container "box": Post "http://docker/containers/box/exec": dial unix /nowhere/docker.sock: …`})
}
