package realtest

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/google/go-cmp/cmp"
	consul "github.com/hashicorp/consul/api"
	"github.com/miekg/dns"
)

// security looks at what docs/security.md promises. Its agents are quick to say
// that they cannot ask a server.
var security = guide{most: 2 * time.Minute, flags: []string{"-hcl='performance { rpc_hold_timeout = \"500ms\" }'"}, after: func(w *walk) {
	w.closed()
	w.private()
	w.served()
	w.granted()
}}

// ask makes HashiCorp's client of an agent of docs/security.md, with a token of the
// page and a certificate, if any.
func (w *walk) ask(host, token, certificate string) *consul.Client {
	w.Helper()
	conf := consul.DefaultConfig()
	conf.Address, conf.Scheme = w.block+host+":8501", "https"
	conf.TLSConfig.CAFile = filepath.Join(w.dir, "consul-agent-ca.pem")
	if certificate != "" {
		conf.TLSConfig.CertFile = filepath.Join(w.dir, certificate+".pem")
		conf.TLSConfig.KeyFile = filepath.Join(w.dir, certificate+"-key.pem")
	}
	if token != "" {
		conf.TokenFile = filepath.Join(w.dir, token)
	}
	w.Cleanup(conf.Transport.CloseIdleConnections)
	c, err := consul.NewClient(conf)
	check(w.T, err)
	return c
}

// closed finds out who does not get in.
func (w *walk) closed() {
	for _, host := range []string{"1", "2", "3", "11"} {
		if conn, err := net.Dial("tcp", w.block+host+":8500"); err == nil {
			_ = conn.Close()
			w.Errorf("the agent at %s%s answers over HTTP without TLS", w.block, host)
		}
	}
	// What the client reads of the refusal depends on what the server does first.
	var status consul.StatusError
	if _, err := w.ask("1", "root-token", "").Agent().Self(); err == nil || errors.As(err, &status) {
		w.Errorf("ask a server without a certificate: got %v, wanted no answer", err)
	}
	if _, err := w.ask("1", "root-token", "dc1-cli-consul-0").Agent().Self(); err != nil {
		w.Errorf("ask a server with a certificate: %v", err)
	}
	members, err := w.ask("11", "new-root-token", "").Agent().Members(false)
	check(w.T, err)
	var names []string
	for _, m := range members {
		names = append(names, m.Name)
	}
	slices.Sort(names)
	if diff := cmp.Diff([]string{"c1", "s1", "s2", "s3", "x2"}, names); diff != "" {
		w.Errorf("members (-want +got):\n%s", diff)
	}
}

// private looks for files that others may read.
func (w *walk) private() {
	for _, name := range []string{"root-token", "new-root-token", "s1-token", "s1", "s1/data", "s1/agent-key.pem", "all.hcl", "dc1-cli-consul-0-key.pem"} {
		info, err := os.Stat(filepath.Join(w.dir, name))
		if err != nil {
			w.Error(err)
		} else if info.Mode().Perm()&0o077 != 0 {
			w.Errorf("mode of %s: got %v, wanted nothing for others", name, info.Mode())
		}
	}
}

// served wants the service and three servers.
func (w *walk) served() {
	eventually(w.T, thingWait, func() error {
		instances, _, err := w.ask("11", "dns-token", "").Health().Service("web", "", true, nil)
		if err != nil || len(instances) != 1 || instances[0].Service.Port != 80 || instances[0].Node.Node != "c1" {
			return fmt.Errorf("health of web: got %v, %v, wanted one at port 80 of c1", instances, err)
		}
		return nil
	})
	answer, err := dns.Exchange(new(dns.Msg).SetQuestion("web.service.consul.", dns.TypeA), net.JoinHostPort(w.block+"11", "8600"))
	if err != nil || len(answer.Answer) != 1 || !strings.HasSuffix(answer.Answer[0].String(), "\t"+w.block+"11") {
		w.Errorf("web over DNS: got %v, %v, wanted the address of c1", answer, err)
	}
	raft, err := w.ask("11", "new-root-token", "").Operator().RaftGetConfiguration(nil)
	if err != nil || len(raft.Servers) != 3 {
		w.Errorf("servers: got %+v, %v, wanted 3", raft, err)
	}
}

// change gives a node metadata that it has not had: to register what is there
// already is allowed to everybody.
func (w *walk) change(c *consul.Client, node, host string) error {
	meta := map[string]string{"now": time.Now().String()}
	_, err := c.Catalog().Register(&consul.CatalogRegistration{Node: node, Address: w.block + host, NodeMeta: meta}, nil)
	return err
}

// granted tries what each token of the page may do.
func (w *walk) granted() {
	tries := []struct {
		what string
		try  func(*consul.Client) error
	}{
		{"read web/color", func(c *consul.Client) error { _, _, err := c.KV().Get("web/color", nil); return err }},
		{"read web/secret/key", func(c *consul.Client) error { _, _, err := c.KV().Get("web/secret/key", nil); return err }},
		{"register web", func(c *consul.Client) error {
			return c.Agent().ServiceRegister(&consul.AgentServiceRegistration{Name: "web", Port: 80})
		}},
		{"register db", func(c *consul.Client) error {
			return c.Agent().ServiceRegister(&consul.AgentServiceRegistration{Name: "db", Port: 5432})
		}},
		{"find web", func(c *consul.Client) error {
			found, _, err := c.Health().Service("web", "", false, nil)
			if err == nil && len(found) == 0 {
				err = consul.StatusError{Code: http.StatusForbidden} // lists leave out what is forbidden
			}
			return err
		}},
		{"change c1", func(c *consul.Client) error { return w.change(c, "c1", "11") }},
		{"change s1", func(c *consul.Client) error { return w.change(c, "s1", "1") }},
		{"read the agent", func(c *consul.Client) error { _, err := c.Agent().Self(); return err }},
		{"list tokens", func(c *consul.Client) error { _, _, err := c.ACL().TokenList(nil); return err }},
		{"take a snapshot", func(c *consul.Client) error { _, _, err := c.Snapshot().Save(nil); return err }},
		{"fire an event", func(c *consul.Client) error {
			_, _, err := c.Event().Fire(&consul.UserEvent{Name: "deploy"}, nil)
			return err
		}},
	}
	got := map[string][]string{}
	for _, token := range []string{"", "dns-token", "web-token", "keys-token", "c1-token", "new-root-token"} {
		for _, try := range tries {
			err := try.try(w.ask("11", token, ""))
			var status consul.StatusError
			if err == nil {
				got[token] = append(got[token], try.what)
			} else if !errors.As(err, &status) && !strings.Contains(err.Error(), "403") || errors.As(err, &status) && status.Code != http.StatusForbidden {
				w.Errorf("%s with %q: got %v, wanted that it is forbidden or done", try.what, token, err)
			}
		}
	}
	want := map[string][]string{
		"dns-token":      {"find web"},
		"web-token":      {"register web", "find web"},
		"keys-token":     {"read web/color"},
		"c1-token":       {"find web", "change c1"},
		"new-root-token": {"read web/color", "read web/secret/key", "register web", "register db", "find web", "change c1", "change s1", "read the agent", "list tokens", "take a snapshot", "fire an event"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		w.Errorf("what tokens may do (-want +got):\n%s", diff)
	}
}
