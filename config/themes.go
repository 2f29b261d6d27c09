package config

// themes are the parts of the table, in the order of the documentation.
var themes = []struct {
	title string
	rows  func() []Setting
}{
	{"Node and agent", agentSettings},
	{"Services, checks and watches", definitionSettings},
	{"Logs and debugging", logSettings},
	{"Addresses and ports", networkSettings},
	{"HTTP and the web UI", httpSettings},
	{"Limits", limitSettings},
	{"Servers, raft and sessions", consensusSettings},
	{"Joining and gossip", clusterSettings},
	{"DNS", dnsSettings},
	{"ACLs", aclSettings},
	{"TLS", tlsSettings},
	{"Telemetry", telemetrySettings},
	{"Not there yet", laterSettings},
}
