package realtest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestGuides runs the commands of the documentation. Every page that has some is
// in the table.
func TestGuides(t *testing.T) {
	t.Parallel()
	guides := map[string]guide{
		"README.md":          readme,
		"docs/operations.md": operations,
		"docs/security.md":   security,
		"docs/streams.md":    streams,
		"docs/tls.md":        certificates,
	}
	pages, err := filepath.Glob("../../docs/*.md")
	check(t, err)
	more, err := filepath.Glob("../../*.md")
	check(t, err)
	for _, path := range append(pages, more...) {
		name := strings.TrimPrefix(path, "../../")
		text, err := os.ReadFile(path)
		check(t, err)
		if found, _ := steps(string(text)); len(found) > 0 && guides[name].most == 0 {
			t.Errorf("%s has commands that nobody runs: it belongs into this table", name)
		}
	}
	for name, g := range guides {
		t.Run(filepath.Base(name), func(t *testing.T) { g.follow(t, name) })
	}
}

// streams leaves heartbeats to other tests: the first comes after 15 seconds.
var streams = guide{
	most:   time.Minute,
	edits:  []string{"localhost:8500", "127.0.1.1:8500", ": heartbeat\n", "\n", "    {\"Index\":57,\"Heartbeat\":true}\n", ""},
	before: map[string]string{"kv put color red": dev},
}

// dev starts an agent to try things with, which commands ask.
const dev = `export CURIA_HTTP_ADDR=127.0.1.1:8500
curia agent -dev -node=n1 -bind=127.0.1.1 -client=127.0.1.1 >dev.log 2>&1 &
until curl 127.0.1.1:8500/v1/health/node/n1 | grep serfHealth; do sleep 0.1; done`

// certificates starts a server with the certificates and settings of docs/tls.md,
// and provokes the messages that the page shows.
var certificates = guide{
	most:  time.Minute,
	edits: []string{"/etc/curia.d/", ""},
	before: map[string]string{
		"verify_server_hostname": "cp dc1-server-consul-0.pem agent.pem\ncp dc1-server-consul-0-key.pem agent-key.pem",
		"curia kv get -http-addr": `
echo "server = true bootstrap_expect = 1" >settings/server.hcl
curia agent -config-dir=settings -node=s1 -data-dir=s1 -bind=127.0.4.1 -client=127.0.4.1 >s1.log 2>&1 &
until curia kv put -http-addr=https://127.0.4.1:8501 -ca-file=consul-agent-ca.pem -client-cert=dc1-cli-consul-0.pem \
  -client-key=dc1-cli-consul-0-key.pem -tls-server-name=server.dc1.consul greeting hello; do sleep 0.1; done`,
	},
	after: func(w *walk) {
		w.run(step{script: strangers, prints: w.shown}, "strangers")
	},
}

// strangers are those who have trouble with TLS at docs/tls.md.
const strangers = `
mkdir other
(cd other && curia tls ca create && curia tls cert create -client)
join() { # NAME ADDRESS TLS
  echo "performance { rpc_hold_timeout = \"300ms\" } tls { defaults { $3 } }" >"$1.hcl"
  curia agent -config-file="$1.hcl" -node="$1" -data-dir="$1" -bind="$2" -client="$2" -retry-join=127.0.4.1 >"$1.log" 2>&1 &
}
told() { # ADDRESS TEXT
  until env -u CONSUL_HTTP_SSL curia kv get -http-addr="http://$1:8500" greeting 2>&1 | grep -E "$2"; do sleep 0.1; done
}
join plain 127.0.4.2 ''
told 127.0.4.2 "it demands TLS"
until grep "it speaks without TLS" s1.log; do sleep 0.1; done
join stranger 127.0.4.3 'ca_file = "other/consul-agent-ca.pem" verify_outgoing = true'
join guest 127.0.4.4 'ca_file = "consul-agent-ca.pem" cert_file = "other/dc1-client-consul-0.pem" key_file = "other/dc1-client-consul-0-key.pem" verify_outgoing = true'
told 127.0.4.3 "unknown authority"
told 127.0.4.4 "tls: unknown certificate authority|ended the connection after the TLS handshake"
cp other/dc1-client-consul-0-key.pem agent-key.pem
refused curia reload`

// readme is the first conversation.
var readme = guide{
	most: time.Minute,
	edits: []string{"localhost:8500", "127.0.1.1:8500", "@127.0.0.1 -p 8600", "@127.0.1.1 -p 8600",
		"-data-dir=/var/lib/curia -bind=127.0.0.1", "-node=kept -data-dir=kept -bind=127.0.1.2 -client=127.0.1.2 &"},
	before: map[string]string{
		"-d hello": dev + `
mkdir bin examples
ln -s "$(command -v curia)" bin/curia
sed 's/localhost:8500/127.0.1.1:8500/' "$REPOSITORY/examples/web.hcl" >examples/web.hcl`,
		// What follows from a check is there when it has run.
		"+short @":              "until dig +short @127.0.1.1 -p 8600 web.service.consul SRV | grep 8500; do sleep 0.1; done",
		"v1.web.service.consul": "until dig +short @127.0.1.1 -p 8600 v1.web.service.consul SRV | grep 8080; do sleep 0.1; done",
		"services deregister":   "while dig +short @127.0.1.1 -p 8600 v1.web.service.consul SRV | grep 8080; do sleep 0.1; done",
	},
	after: func(w *walk) {
		w.run(step{script: "until curia members -http-addr=127.0.1.2:8500; do sleep 0.1; done", prints: []string{"kept …"}}, "kept")
	},
}

// operations is the life of the cluster of docs/operations.md.
// Its agents are in a hurry: as they are by default, that takes some minutes. A
// move still waits for half a minute, which no setting shortens.
var operations = guide{
	most: 3 * time.Minute,
	flags: []string{"-hcl='autopilot { server_stabilization_time = \"1s\" }'", "-hcl='performance { leave_drain_time = \"1s\" }'",
		"-hcl='gossip_wan { probe_interval = \"200ms\" probe_timeout = \"100ms\" gossip_interval = \"50ms\" suspicion_mult = 2 }'",
		"-hcl='gossip_lan { probe_interval = \"200ms\" probe_timeout = \"100ms\" gossip_interval = \"50ms\" suspicion_mult = 2 }'"},
	long: []string{"Lose a server", "Move a server to another address", "When the majority is lost"},
	after: func(w *walk) {
		w.run(step{script: "until [ \"$(curia members | grep -c alive.*server)\" = 3 ]; do sleep 0.1; done"}, "end")
	},
}
