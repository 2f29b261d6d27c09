package wire

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"curia/api"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// thingWait bounds the wait for anything.
const thingWait = 20 * time.Second

// fake answers as its functions say; nil answers nothing.
type fake struct {
	call    func(ctx context.Context, req *api.Request) (*api.Response, error)
	save    func(begin func(api.Meta) io.Writer) error
	restore func(archive io.Reader) error
}

func (f *fake) Call(ctx context.Context, req *api.Request) (*api.Response, error) {
	return f.call(ctx, req)
}

func (f *fake) SaveSnapshot(_ context.Context, _ *api.Request, begin func(api.Meta) io.Writer) error {
	return f.save(begin)
}

func (f *fake) RestoreSnapshot(_ context.Context, _ *api.Request, archive io.Reader) error {
	return f.restore(archive)
}

// lines is a log.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

// says waits until the log has a text, and fails the test if it has it twice.
func (l *lines) says(t *testing.T, text string) {
	t.Helper()
	eventually(t, "a line of the log", func() error {
		l.mu.Lock()
		defer l.mu.Unlock()
		switch n := strings.Count(l.text.String(), text); n {
		case 0:
			return fmt.Errorf("%q is not in the log:\n%s", text, l.text.String())
		case 1:
			return nil
		default:
			t.Fatalf("%q is in the log %d times:\n%s", text, n, l.text.String())
			return nil
		}
	})
}

// served is a port that runs.
type served struct {
	*Port
	address string
	log     *lines
	stop    func()
}

// serve runs a port at an address; empty: a new one. Cleanup stops it.
func serve(t *testing.T, address string, limits Limits, service Service) *served {
	t.Helper()
	if address == "" {
		address = "127.0.0.1:0"
	}
	var listener net.Listener
	eventually(t, "listen on "+address, func() (err error) {
		listener, err = net.Listen("tcp", address)
		return err
	})
	s := &served{log: &lines{}, address: listener.Addr().String()}
	s.Port = NewPort(listener, Security{}, func() Limits { return limits }, service, slog.New(slog.NewTextHandler(s.log, nil)))
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	s.stop = sync.OnceFunc(func() {
		cancel()
		select {
		case err := <-done:
			if err != nil {
				t.Errorf("the port ended with %v", err)
			}
		case <-time.After(thingWait):
			t.Errorf("the port does not end within %v", thingWait)
		}
	})
	t.Cleanup(s.stop)
	return s
}

// connect makes a router that knows servers at addresses.
func connect(t *testing.T, hold time.Duration, addresses ...string) *Router {
	t.Helper()
	conns := NewConns(nil, Security{}, nil)
	t.Cleanup(conns.Close)
	r := NewRouter("dc1", conns, hold)
	var all []Server
	for _, a := range addresses {
		all = append(all, Server{ID: a, Name: a, Datacenter: "dc1", Address: a})
	}
	r.SetServers(all)
	return r
}

// eventually waits until try succeeds.
func eventually(t *testing.T, what string, try func() error) {
	t.Helper()
	deadline := time.After(thingWait)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		err := try()
		if err == nil {
			return
		}
		select {
		case <-deadline:
			t.Fatalf("%s: not within %v: %v", what, thingWait, err)
		case <-tick.C:
		}
	}
}

// arrives waits for something on a channel.
func arrives[T any](t *testing.T, what string, ch <-chan T) (v T) {
	t.Helper()
	select {
	case v = <-ch:
	case <-time.After(thingWait):
		t.Fatalf("%s: not within %v", what, thingWait)
	}
	return v
}

// echo answers reads of keys with their names, and everything else with true.
func echo(_ context.Context, req *api.Request) (*api.Response, error) {
	q, ok := req.Args.(*api.KeyArgs)
	if !ok {
		return &api.Response{Value: true}, nil
	}
	return &api.Response{Value: []*api.KVPair{{Key: q.Key}}, Meta: api.Meta{Index: 7}}, nil
}

// get reads a key.
func get(ctx context.Context, c api.Caller, key string) (string, error) {
	pairs, _, err := api.Ask(ctx, c, api.KVGet, api.KeyArgs{Key: key}, api.Query{})
	if err != nil || len(pairs) != 1 {
		return "", err
	}
	return pairs[0].Key, nil
}
