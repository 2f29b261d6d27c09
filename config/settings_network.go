package config

import "time"

// Network is where the agent listens, and what it takes there.
type Network struct {
	Addresses   Addresses
	Ports       Ports
	UnixSockets UnixSockets
	HTTP        HTTP
	UI          UI
	Limits      Limits
}

// Addresses are IP addresses, never templates or names. HTTP, HTTPS, DNS and GRPC may also be
// "unix:///path" and are never empty.
type Addresses struct {
	Bind         string // of the cluster's own ports; may be 0.0.0.0
	Advertise    string // what other members are told; never 0.0.0.0
	AdvertiseWAN string
	Client       Addrs // the default of the four below
	DNS          Addrs
	HTTP         Addrs
	HTTPS        Addrs
	GRPC         Addrs
	SerfLAN      string // Bind unless set
	SerfWAN      string
	Tagged       TaggedIPs
}

// TaggedIPs are advertised beside Advertise and AdvertiseWAN where a node has both families; "" = none.
type TaggedIPs struct{ IPv4, IPv6, WANIPv4, WANIPv6 string }

// Ports are TCP and UDP ports; -1 = not served.
type Ports struct {
	DNS, HTTP, HTTPS, GRPC, GRPCTLS int
	Server, SerfLAN, SerfWAN        int
	SidecarMin, SidecarMax          int
	ExposeMin, ExposeMax            int
}

func networkSettings() []Setting {
	return []Setting{
		{Key: "bind_addr", Flag: "bind", Default: "0.0.0.0", field: func(c *Config) any { return &c.Addresses.Bind }, Doc: "Address for the traffic between agents."},
		{Key: "client_addr", Flag: "client", Default: Addrs{"127.0.0.1"}, field: func(c *Config) any { return &c.Addresses.Client }, Doc: "Addresses for HTTP, DNS and gRPC, separated by spaces."},
		{Key: "advertise_addr", Flag: "advertise", field: func(c *Config) any { return &c.Addresses.Advertise }, Doc: "Address that other agents are told. `bind_addr`, or the only private IPv4 address, unless set."},
		{Key: "advertise_addr_ipv4", field: func(c *Config) any { return &c.Addresses.Tagged.IPv4 }, Doc: "The advertised address, where a node has both families."},
		{Key: "advertise_addr_ipv6", field: func(c *Config) any { return &c.Addresses.Tagged.IPv6 }, Doc: "The advertised address, where a node has both families."},
		{Key: "advertise_addr_wan", Flag: "advertise-wan", field: func(c *Config) any { return &c.Addresses.AdvertiseWAN }, Doc: "Address that other datacenters are told. `advertise_addr` unless set."},
		{Key: "advertise_addr_wan_ipv4", field: func(c *Config) any { return &c.Addresses.Tagged.WANIPv4 }, Doc: "The address for other datacenters, where a node has both families."},
		{Key: "advertise_addr_wan_ipv6", field: func(c *Config) any { return &c.Addresses.Tagged.WANIPv6 }, Doc: "The address for other datacenters, where a node has both families."},
		{Key: "serf_lan", Flag: "serf-lan-bind", field: func(c *Config) any { return &c.Addresses.SerfLAN }, Aliases: []string{"serf_lan_bind"}, Doc: "Address for gossip in the datacenter. `bind_addr` unless set."},
		{Key: "serf_wan", Flag: "serf-wan-bind", field: func(c *Config) any { return &c.Addresses.SerfWAN }, Aliases: []string{"serf_wan_bind"}, Doc: "Address for gossip between datacenters. `bind_addr` unless set."},
		{Key: "addresses.dns", field: func(c *Config) any { return &c.Addresses.DNS }, Doc: "Addresses for DNS, instead of `client_addr`."},
		{Key: "addresses.http", field: func(c *Config) any { return &c.Addresses.HTTP }, Doc: "Addresses for HTTP, instead of `client_addr`; also `unix:///path`."},
		{Key: "addresses.https", field: func(c *Config) any { return &c.Addresses.HTTPS }, Doc: "Addresses for HTTPS, instead of `client_addr`; also `unix:///path`."},
		{Key: "addresses.grpc", Status: Accepted, field: func(c *Config) any { return &c.Addresses.GRPC }, Doc: "Addresses for gRPC, instead of `client_addr`."},
		{Key: "addresses.grpc_tls", Kind: AddressList, Status: Accepted, Doc: "Addresses for gRPC with TLS, instead of `client_addr`."},
		{Key: "addresses.rpc", Kind: String, Status: Removed, Doc: "Address of the CLI's former RPC port."},
		{Key: "ports.dns", Flag: "dns-port", Default: 8600, field: func(c *Config) any { return &c.Ports.DNS }, Doc: "DNS, over UDP and TCP. -1 turns a port off."},
		{Key: "ports.http", Flag: "http-port", Default: 8500, field: func(c *Config) any { return &c.Ports.HTTP }, Doc: "HTTP API and web UI."},
		{Key: "ports.https", Flag: "https-port", Default: -1, field: func(c *Config) any { return &c.Ports.HTTPS }, Doc: "HTTP API and web UI with TLS. Needs `tls.https.cert_file` and `tls.https.key_file`."},
		{Key: "ports.grpc", Flag: "grpc-port", Default: -1, Status: Accepted, field: func(c *Config) any { return &c.Ports.GRPC }, Doc: "gRPC for proxies and dataplanes."},
		{Key: "ports.grpc_tls", Flag: "grpc-tls-port", Default: -1, Status: Accepted, field: func(c *Config) any { return &c.Ports.GRPCTLS }, Doc: "gRPC with TLS."},
		{Key: "ports.server", Flag: "server-port", Default: 8300, field: func(c *Config) any { return &c.Ports.Server }, Doc: "Between servers and from clients to servers, over TCP."},
		{Key: "ports.serf_lan", Flag: "serf-lan-port", Default: 8301, field: func(c *Config) any { return &c.Ports.SerfLAN }, Doc: "Gossip in the datacenter, over UDP and TCP."},
		{Key: "ports.serf_wan", Flag: "serf-wan-port", Default: 8302, field: func(c *Config) any { return &c.Ports.SerfWAN }, Doc: "Gossip between servers of all datacenters, over UDP and TCP."},
		{Key: "ports.sidecar_min_port", Default: 21000, Status: Accepted, field: func(c *Config) any { return &c.Ports.SidecarMin }, Doc: "First port given to sidecar proxies."},
		{Key: "ports.sidecar_max_port", Default: 21255, Status: Accepted, field: func(c *Config) any { return &c.Ports.SidecarMax }, Doc: "Last port given to sidecar proxies."},
		{Key: "ports.expose_min_port", Default: 21500, Status: Accepted, field: func(c *Config) any { return &c.Ports.ExposeMin }, Doc: "First port given to exposed check paths."},
		{Key: "ports.expose_max_port", Default: 21755, Status: Accepted, field: func(c *Config) any { return &c.Ports.ExposeMax }, Doc: "Last port given to exposed check paths."},
		{Key: "ports.rpc", Kind: Int, Status: Removed, Doc: "The CLI's former RPC port."},
	}
}

// UnixSockets says whom the socket files belong to; "" leaves it as the process creates them.
type UnixSockets struct {
	User  string // name or number
	Group string // name or number
	Mode  string // octal digits
}

// HTTP are the rules of the HTTP API.
type HTTP struct {
	ResponseHeaders map[string]string // added to every answer
	BlockEndpoints  []string          // path prefixes that answer 403
	AllowWriteFrom  []string          // CIDRs; empty = from everywhere
	MaxHeaderBytes  int               // 0 = the library's default
	UseCache        bool
}

// UI is the web UI.
type UI struct {
	Enabled     bool
	Dir         string // serve files from here instead of the embedded ones; "" = embedded
	ContentPath string // begins and ends with a slash
}

func httpSettings() []Setting {
	return []Setting{
		{Key: "http_config.response_headers", Aliases: []string{"http_api_response_headers"}, Reload: true, field: func(c *Config) any { return &c.HTTP.ResponseHeaders }, Doc: "Headers added to every answer."},
		{Key: "http_config.block_endpoints", Reload: true, field: func(c *Config) any { return &c.HTTP.BlockEndpoints }, Doc: "Path prefixes that are refused with 403."},
		{Key: "http_config.allow_write_http_from", Flag: "allow-write-http-from", Reload: true, field: func(c *Config) any { return &c.HTTP.AllowWriteFrom }, Doc: "Networks (CIDR) that may write to the agent. Everybody unless set."},
		{Key: "http_config.max_header_bytes", field: func(c *Config) any { return &c.HTTP.MaxHeaderBytes }, Doc: "Bytes that the headers of a request may take."},
		{Key: "http_config.use_cache", Default: true, field: func(c *Config) any { return &c.HTTP.UseCache }, Doc: "Allow answers to `?cached` requests to be old. They never are, also when this is true."},
		{Key: "unix_sockets.user", field: func(c *Config) any { return &c.UnixSockets.User }, Doc: "Owner of socket files, by name or number."},
		{Key: "unix_sockets.group", field: func(c *Config) any { return &c.UnixSockets.Group }, Doc: "Group of socket files, by name or number."},
		{Key: "unix_sockets.mode", field: func(c *Config) any { return &c.UnixSockets.Mode }, Doc: "Permissions of socket files, as octal digits in a string."},
		{Key: "ui_config.enabled", Flag: "ui", Aliases: []string{"ui"}, Status: Accepted, field: func(c *Config) any { return &c.UI.Enabled }, Doc: "Serve the web UI."},
		{Key: "ui_config.dir", Flag: "ui-dir", Aliases: []string{"ui_dir"}, Status: Accepted, field: func(c *Config) any { return &c.UI.Dir }, Doc: "Serve the web UI from this directory instead of the embedded one."},
		{Key: "ui_config.content_path", Flag: "ui-content-path", Aliases: []string{"ui_content_path"}, Default: "/ui/", Status: Accepted, field: func(c *Config) any { return &c.UI.ContentPath }, Doc: "Path below which the web UI is served."},
		{Key: "ui_config.metrics_provider", Kind: String, Status: Accepted, Doc: "Source of the metrics in the web UI."},
		{Key: "ui_config.metrics_provider_files", Kind: StringList, Status: Accepted, Doc: "Scripts of the metrics source."},
		{Key: "ui_config.metrics_provider_options_json", Kind: String, Status: Accepted, Doc: "Options of the metrics source."},
		{Key: "ui_config.metrics_proxy", Kind: Object, Status: Accepted, Doc: "Where the web UI's metrics requests are forwarded."},
		{Key: "ui_config.dashboard_url_templates", Kind: StringMap, Status: Accepted, Doc: "Links to dashboards in the web UI."},
	}
}

// Limits bound what one client or one request may use. Rates are per second; -1 = unlimited.
type Limits struct {
	HTTPMaxConnsPerClient int // 0 = unlimited
	HTTPSHandshakeTimeout time.Duration
	RPCHandshakeTimeout   time.Duration
	RPCClientTimeout      time.Duration
	RPCMaxConnsPerClient  int // 0 = unlimited
	RPCRate               float64
	RPCMaxBurst           int
	KVMaxValueSize        int    // bytes
	TxnMaxReqLen          int    // bytes
	RequestMode           string // of the two below: disabled, permissive (log only) or enforcing
	ReadRate              float64
	WriteRate             float64
}

func limitSettings() []Setting {
	return []Setting{
		{Key: "limits.http_max_conns_per_client", Default: 200, Reload: true, field: func(c *Config) any { return &c.Limits.HTTPMaxConnsPerClient }, Doc: "Connections per client address on each HTTP and HTTPS address. 0 = unlimited."},
		{Key: "limits.https_handshake_timeout", Default: 5 * time.Second, field: func(c *Config) any { return &c.Limits.HTTPSHandshakeTimeout }, Doc: "Time for a TLS handshake on the HTTPS port."},
		{Key: "limits.kv_max_value_size", Default: 512 << 10, field: func(c *Config) any { return &c.Limits.KVMaxValueSize }, Doc: "Bytes that a value in the key/value store may have."},
		{Key: "limits.txn_max_req_len", Default: 512 << 10, field: func(c *Config) any { return &c.Limits.TxnMaxReqLen }, Doc: "Bytes that the body of a transaction may have. Not less than `limits.kv_max_value_size`."},
		{Key: "limits.rpc_handshake_timeout", Default: 5 * time.Second, Reload: true, field: func(c *Config) any { return &c.Limits.RPCHandshakeTimeout }, Doc: "Time for the first bytes on the server port."},
		{Key: "limits.rpc_client_timeout", Default: time.Minute, Reload: true, field: func(c *Config) any { return &c.Limits.RPCClientTimeout }, Doc: "Time that a client agent waits for an answer that does not block."},
		{Key: "limits.rpc_max_conns_per_client", Default: 100, Reload: true, field: func(c *Config) any { return &c.Limits.RPCMaxConnsPerClient }, Doc: "Connections per address on the server port."},
		{Key: "limits.rpc_rate", Default: -1.0, Reload: true, field: func(c *Config) any { return &c.Limits.RPCRate }, Doc: "Requests per second that a client agent sends. -1 = unlimited."},
		{Key: "limits.rpc_max_burst", Default: 1000, Reload: true, field: func(c *Config) any { return &c.Limits.RPCMaxBurst }, Doc: "Requests that may exceed `limits.rpc_rate` at once."},
		{Key: "limits.request_limits.mode", Default: "disabled", Reload: true, field: func(c *Config) any { return &c.Limits.RequestMode }, Doc: "disabled, permissive (only log) or enforcing: what becomes of requests beyond the two rates that follow. Reads of the state of the cluster itself and everything under /v1/operator are not counted."},
		{Key: "limits.request_limits.read_rate", Default: -1.0, Reload: true, field: func(c *Config) any { return &c.Limits.ReadRate }, Doc: "Reads per second that a server takes from all who ask it; ten times as many at once. -1 = unlimited."},
		{Key: "limits.request_limits.write_rate", Default: -1.0, Reload: true, field: func(c *Config) any { return &c.Limits.WriteRate }, Doc: "Writes per second that a server takes from all who ask it; ten times as many at once. -1 = unlimited."},
	}
}
