package realtest

import (
	"crypto/tls"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	consul "github.com/hashicorp/consul/api"
)

// dcHTTPS is the port of HTTPS of the agents of a datacenter.
const dcHTTPS = 31501

// papers are the certificates of a test: what curia tls writes, in one directory.
type papers struct {
	t   *testing.T
	dir string
}

// issue makes an authority and what is asked of it: roles, like "server".
func issue(t *testing.T, roles ...string) papers {
	t.Helper()
	p := papers{t, t.TempDir()}
	p.run("ca", "create")
	for _, role := range roles {
		p.run("cert", "create", "-"+role)
	}
	return p
}

func (p papers) run(args ...string) {
	p.t.Helper()
	cmd := exec.Command(program, append([]string{"tls"}, args...)...)
	cmd.Dir = p.dir
	if out, err := cmd.CombinedOutput(); err != nil {
		p.t.Fatalf("%v: %v\n%s", cmd.Args, err, out)
	}
}

func (p papers) file(name string) string { return filepath.Join(p.dir, name) }

// with is the configuration of an agent that has a certificate of a role.
func (p papers) with(role string, more map[string]any) map[string]any {
	conf := map[string]any{
		"ca_file": p.file("consul-agent-ca.pem"), "cert_file": p.file("dc1-" + role + "-consul-0.pem"),
		"key_file": p.file("dc1-" + role + "-consul-0-key.pem"), "verify_outgoing": true,
	}
	maps.Copy(conf, more)
	return map[string]any{"defaults": conf, "internal_rpc": map[string]any{"verify_server_hostname": true}, "https": map[string]any{"verify_incoming": false}}
}

// replace puts the second certificate of servers in the place of the first.
func (p papers) replace() {
	p.t.Helper()
	p.run("cert", "create", "-server")
	for _, end := range []string{".pem", "-key.pem"} {
		check(p.t, os.Rename(p.file("dc1-server-consul-1"+end), p.file("dc1-server-consul-0"+end)))
	}
}

// startSecured starts a datacenter that demands TLS. HTTPS is served by all.
func startSecured(t *testing.T, p papers) *datacenter {
	t.Helper()
	dc := &datacenter{t: t, block: freeBlock(t)}
	for range 3 {
		dc.servers = append(dc.servers, prepare(t, option{}))
	}
	dc.client = prepare(t, option{})
	dc.place(10)
	for _, a := range dc.all() {
		role, more := "server", map[string]any{"verify_incoming": true}
		if a == dc.client {
			role, more = "client", nil
		}
		a.configure(map[string]any{
			"tls": p.with(role, more),
			"ports": map[string]any{
				"http": dcHTTP, "https": dcHTTPS, "server": dcRPC, "serf_lan": dcSerf, "serf_wan": dcWAN, "dns": -1, "grpc": -1, "grpc_tls": -1,
			},
		})
		a.launch()
	}
	dc.settle()
	return dc
}

// enter starts a client agent with what it has for TLS; nil: nothing. It does not
// wait for answers.
func (dc *datacenter) enter(at int, name string, secured map[string]any) *agent {
	dc.t.Helper()
	a := prepare(dc.t, option{})
	ip := fmt.Sprint(dc.block, at)
	a.addr = net.JoinHostPort(ip, strconv.Itoa(dcHTTP))
	conf := map[string]any{
		"node_name": name, "server": false, "bootstrap_expect": 0, "bind_addr": ip, "client_addr": ip,
		"retry_join": []string{fmt.Sprintf("%s10:%d", dc.block, dcSerf)}, "retry_interval": "1s",
		"performance": map[string]any{"rpc_hold_timeout": "500ms"}, // it is to be refused, not to wait
		"ports":       map[string]any{"http": dcHTTP, "server": dcRPC, "serf_lan": dcSerf, "dns": -1, "grpc": -1, "grpc_tls": -1},
	}
	if secured != nil {
		conf["tls"] = secured
	}
	a.configure(conf)
	a.launch()
	return a
}

// refused waits until an agent is a member, and its requests fail with a text.
func (dc *datacenter) refused(a *agent, name, want string) {
	dc.t.Helper()
	eventually(dc.t, thingWait, func() error {
		_, _, members, err := dc.client.ask("GET", "/v1/agent/members", "")
		if err != nil || !strings.Contains(members, strconv.Quote(name)) {
			return fmt.Errorf("%s is no member: %s, %v", name, members, err)
		}
		status, _, text, err := a.ask("GET", "/v1/kv/greeting", "")
		if err != nil || status != http.StatusInternalServerError || !strings.Contains(text, want) {
			return fmt.Errorf("%s asks: got %d %q, %v, wanted 500 and %q", name, status, text, err, want)
		}
		return nil
	})
}

// plainRefused is what a server logs about those who speak without TLS.
const plainRefused = "it speaks without TLS, which is demanded here: set verify_outgoing"

// TestTLS runs a datacenter whose servers demand TLS.
func TestTLS(t *testing.T) {
	t.Parallel()
	own := issue(t, "server", "client")
	dc := startSecured(t, own)
	for i, a := range dc.all() {
		a.must("PUT", "/v1/kv/greeting", strconv.Itoa(i))
	}
	for _, a := range dc.servers {
		dc.sees(a, "greeting", "3")
	}

	t.Run("plain", func(t *testing.T) {
		a := dc.enter(20, "plain", nil)
		dc.refused(a, "plain", "set verify_outgoing, ca_file, cert_file and key_file here")
		eventually(t, thingWait, func() error { // the log follows the refusal
			for _, s := range dc.servers {
				if strings.Contains(s.output(), plainRefused) {
					return nil
				}
			}
			return errors.New("no server names the plain agent in its log")
		})
		for _, s := range dc.servers {
			if n := strings.Count(s.output(), plainRefused); n > 1 {
				t.Errorf("log of %s: the plain agent is named %d times, wanted once at most", s.addr, n)
			}
		}
	})
	t.Run("other authority", func(t *testing.T) {
		other := issue(t, "client")
		dc.refused(dc.enter(21, "stranger", other.with("client", nil)), "stranger", "x509: certificate signed by unknown authority")
		// This one believes the servers, but they do not believe it.
		guest := other.with("client", map[string]any{"ca_file": own.file("consul-agent-ca.pem")})
		dc.refused(dc.enter(22, "guest", guest), "guest", "cannot reach server") // broken pipe or what TLS says: which of them is a race
	})
	t.Run("rotation", func(t *testing.T) { dc.rotate(t, own) })
}

// rotate gives a server a new certificate while a request waits over HTTPS.
func (dc *datacenter) rotate(t *testing.T, p papers) {
	a := dc.servers[0]
	host, _, _ := net.SplitHostPort(a.addr)
	conf := consul.DefaultConfig()
	conf.Address, conf.Scheme = net.JoinHostPort(host, strconv.Itoa(dcHTTPS)), "https"
	conf.TLSConfig = consul.TLSConfig{CAFile: p.file("consul-agent-ca.pem"), Address: "server.dc1.consul"}
	t.Cleanup(conf.Transport.CloseIdleConnections)
	c, err := consul.NewClient(conf)
	check(t, err)
	_, meta, err := c.KV().Get("greeting", nil)
	check(t, err)
	type outcome struct {
		value string
		err   error
	}
	got := make(chan outcome, 1)
	go func() {
		pair, _, err := c.KV().Get("greeting", &consul.QueryOptions{WaitIndex: meta.LastIndex, WaitTime: time.Minute})
		if err != nil || pair == nil {
			got <- outcome{"", err}
			return
		}
		got <- outcome{string(pair.Value), nil}
	}()
	serial := func() string {
		conn, err := tls.Dial("tcp", conf.Address, &tls.Config{InsecureSkipVerify: true})
		check(t, err)
		defer conn.Close()
		return conn.ConnectionState().PeerCertificates[0].SerialNumber.String()
	}
	old := serial()
	p.replace()
	a.signal(syscall.SIGHUP)
	eventually(t, thingWait, func() error {
		if now := serial(); now == old {
			return fmt.Errorf("serial number after the reload: still %s", now)
		}
		return nil
	})
	select {
	case o := <-got:
		t.Fatalf("the blocking query ended with the reload: %+v", o)
	default:
	}
	dc.client.must("PUT", "/v1/kv/greeting", "new")
	select {
	case o := <-got:
		if o.err != nil || o.value != "new" {
			t.Errorf("the blocking query: got %q, %v, wanted new", o.value, o.err)
		}
	case <-time.After(thingWait):
		t.Error("the blocking query has not ended with the write")
	}
}
