package api

import (
	"slices"
	"strings"

	"curia/acl"
)

// MemberStatus is what gossip knows of a member.
type MemberStatus int

// The statuses of members.
const (
	MemberNone MemberStatus = iota
	MemberAlive
	MemberLeaving
	MemberLeft
	MemberFailed
)

func (s MemberStatus) String() string {
	if s < 0 || s > MemberFailed {
		return "unknown"
	}
	return [...]string{"none", "alive", "leaving", "left", "failed"}[s]
}

// Member is a member of a gossip pool ("agent/members").
type Member struct {
	Name        string
	Addr        string
	Port        uint16
	Tags        map[string]string
	Status      MemberStatus
	ProtocolMin uint8
	ProtocolMax uint8
	ProtocolCur uint8
	DelegateMin uint8
	DelegateMax uint8
	DelegateCur uint8
}

// CanRead reports whether the holder of a may see the member.
func (m *Member) CanRead(a acl.Authorizer) bool {
	return a.Allows(acl.Need{Resource: acl.Node, Access: acl.Read, Name: m.Name})
}

// Self is what an agent tells about itself ("agent/self"): the documented
// configuration fields of all versions, its coordinate, its member entry and
// statistics.
type Self struct {
	Config      map[string]any
	DebugConfig map[string]any
	Coord       *Coordinate
	Member      *Member
	Stats       map[string]map[string]string
	Meta        map[string]string
}

// Version is what the binary is ("agent/version").
type Version struct {
	SHA          string
	BuildDate    string
	HumanVersion string
	FIPS         string
}

// Host describes the machine ("agent/host"). Values that the system does not
// tell are zero.
type Host struct {
	Memory         HostMemory
	CPU            []HostCPU
	Host           HostInfo
	Disk           HostDisk
	CollectionTime int64 // nanoseconds since 1970
	Errors         []string
}

// HostMemory is in bytes, UsedPercent in 0…100.
type HostMemory struct {
	Total       uint64  `json:"total"`
	Available   uint64  `json:"available"`
	Used        uint64  `json:"used"`
	UsedPercent float64 `json:"usedPercent"`
	Free        uint64  `json:"free"`
}

// HostCPU is one processor; Mhz is 0 when unknown.
type HostCPU struct {
	CPU       int     `json:"cpu"`
	ModelName string  `json:"modelName"`
	Cores     int     `json:"cores"`
	Mhz       float64 `json:"mhz"`
}

// HostInfo is the system; Uptime is in seconds, BootTime in seconds since 1970.
type HostInfo struct {
	Hostname      string `json:"hostname"`
	Uptime        uint64 `json:"uptime"`
	BootTime      uint64 `json:"bootTime"`
	OS            string `json:"os"`
	KernelVersion string `json:"kernelVersion"`
	KernelArch    string `json:"kernelArch"`
}

// HostDisk is the file system that holds the data, in bytes.
type HostDisk struct {
	Path        string  `json:"path"`
	Total       uint64  `json:"total"`
	Free        uint64  `json:"free"`
	Used        uint64  `json:"used"`
	UsedPercent float64 `json:"usedPercent"`
}

// Metrics is what an agent has measured ("agent/metrics").
type Metrics struct {
	Timestamp string
	Gauges    []Gauge
	Points    []struct{}
	Counters  []Sample
	Samples   []Sample
}

// Gauge is a value at a moment.
type Gauge struct {
	Name   string
	Value  float64
	Labels map[string]string
}

// Sample sums up what was observed under a name since the agent started. Times
// are in milliseconds.
type Sample struct {
	Name   string
	Count  int
	Rate   float64 // per second since the agent started
	Sum    float64
	Min    float64
	Max    float64
	Mean   float64
	Stddev float64
	Labels map[string]string
}

// MembersArgs asks for the members of a pool.
type MembersArgs struct {
	WAN     string `query:"wan"` // any value but the empty one means the WAN pool
	Segment string `query:"segment"`
}

// Validate refuses a segment of the WAN pool.
func (a *MembersArgs) Validate() error {
	if a.WAN != "" && a.Segment != "" {
		return Errorf(Invalid, "Cannot provide a segment with wan=true")
	}
	return nil
}

// MetricsArgs asks for metrics; Format "prometheus" gives the text exposition.
type MetricsArgs struct {
	Format string `query:"format"`
}

// LogLevels are the names of the levels of the log, the finest first. "ERROR" is
// another name of the last.
var LogLevels = []string{"TRACE", "DEBUG", "INFO", "WARN", "ERR"}

// MonitorArgs asks for the log from now on.
type MonitorArgs struct {
	LogLevel string `query:"loglevel"` // the finest to be sent, in upper case; empty means INFO
	LogJSON  bool   `query:"logjson"`  // as JSON objects
}

// Validate wants a level that there is.
func (a *MonitorArgs) Validate() error {
	given := a.LogLevel
	switch a.LogLevel = strings.ToUpper(given); {
	case given == "":
		a.LogLevel = "INFO"
	case a.LogLevel == "ERROR":
		a.LogLevel = "ERR"
	case !slices.Contains(LogLevels, a.LogLevel):
		return Errorf(Invalid, "Unknown log level: %s", given)
	}
	return nil
}

// ProfileArgs asks for a profile of the agent's process, in the format of pprof.
type ProfileArgs struct {
	// Profile is heap, goroutine, profile (of the processor), trace or another that
	// the page of the empty name lists.
	Profile string `path:"profile"`
	Seconds uint64 `query:"seconds"` // that a profile takes which observes; 0: 30, and 1 for trace
}

func agentRead[Q any](*Q) acl.Need { return acl.Need{Resource: acl.Agent, Access: acl.Read} }

// The verbs of the agent about itself.
var (
	AgentSelf = Local[None, *Self]("GET /v1/agent/self", "agent.self",
		"Tells the agent's configuration, member entry and statistics.", Needs(agentRead[None]))
	AgentMembers = Local[MembersArgs, []*Member]("GET /v1/agent/members", "agent.members",
		"Lists the members that the agent sees.")
	AgentHost = Local[None, *Host]("GET /v1/agent/host", "agent.host",
		"Describes the machine of the agent.",
		Needs(func(*None) acl.Need { return acl.Need{Resource: acl.Operator, Access: acl.Read} }))
	AgentVersion = Local[None, *Version]("GET /v1/agent/version", "agent.version",
		"Tells the version of the agent.", Needs(agentRead[None]))
	AgentMetrics = Raw("GET /v1/agent/metrics", "agent.metrics",
		"Tells what the agent has measured, as JSON or in the Prometheus format.", Needs(agentRead[MetricsArgs]))
	AgentMetricsStream = Raw("GET /v1/agent/metrics/stream", "agent.metrics-stream",
		"Sends what the agent has measured, a line of JSON every ten seconds.", Needs(agentRead[None]))
	AgentMonitor = Raw("GET /v1/agent/monitor", "agent.monitor",
		"Sends what the agent logs from now on, a line for each event.", Needs(agentRead[MonitorArgs]))
	AgentProfile = Raw("GET /debug/pprof/{profile}", "agent.profile",
		"Looks into the agent's process; enable_debug allows it.",
		Needs(func(*ProfileArgs) acl.Need { return acl.Need{Resource: acl.Operator, Access: acl.Read} }))
	OpenAPI = Raw[None]("GET /v1/openapi.json", "openapi",
		"Describes every verb as an OpenAPI document.")
)
