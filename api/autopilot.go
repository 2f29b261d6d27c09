package api

import (
	"encoding/json"
	"time"

	"curia/acl"
)

// AutopilotConfiguration says when servers count as healthy, and what is done
// about those that do not ("operator/autopilot/configuration"). Read from JSON,
// fields that are left out have their documented defaults.
type AutopilotConfiguration struct {
	// CleanupDeadServers removes failed servers, as long as they are fewer than
	// half of the voters.
	CleanupDeadServers bool `cbor:"1,keyasint,omitempty"`
	// LastContactThreshold is the silence after which a server is unhealthy.
	LastContactThreshold ReadableDuration `cbor:"2,keyasint,omitempty"`
	// MaxTrailingLogs is the lag in entries beyond which a server is unhealthy.
	MaxTrailingLogs uint64 `cbor:"3,keyasint,omitempty"`
	// MinQuorum voters are left over when failed servers are removed; 0: no bound.
	MinQuorum uint64 `cbor:"4,keyasint,omitempty"`
	// ServerStabilizationTime is how long a server must be healthy before it votes.
	ServerStabilizationTime ReadableDuration `cbor:"5,keyasint,omitempty"`
	// The last three belong to an edition that Curia does not have. They are kept
	// for clients and have no effect.
	RedundancyZoneTag       string `cbor:"6,keyasint,omitempty"`
	DisableUpgradeMigration bool   `cbor:"7,keyasint,omitempty"`
	UpgradeVersionTag       string `cbor:"8,keyasint,omitempty"`
	CreateIndex             uint64 `cbor:"9,keyasint"`
	ModifyIndex             uint64 `cbor:"10,keyasint"`
}

// DefaultAutopilot is the documented configuration.
func DefaultAutopilot() AutopilotConfiguration {
	return AutopilotConfiguration{
		CleanupDeadServers: true, LastContactThreshold: ReadableDuration(200 * time.Millisecond), MaxTrailingLogs: 250,
		ServerStabilizationTime: ReadableDuration(10 * time.Second),
	}
}

// UnmarshalJSON fills in the defaults.
func (c *AutopilotConfiguration) UnmarshalJSON(b []byte) error {
	type plain AutopilotConfiguration
	p := plain(DefaultAutopilot())
	if err := json.Unmarshal(b, &p); err != nil {
		return err
	}
	*c = AutopilotConfiguration(p)
	return nil
}

// Validate refuses times below zero.
func (c *AutopilotConfiguration) Validate() error {
	for _, t := range []struct {
		name  string
		value ReadableDuration
	}{{"LastContactThreshold", c.LastContactThreshold}, {"ServerStabilizationTime", c.ServerStabilizationTime}} {
		if t.value < 0 {
			return Errorf(Invalid, "Invalid %s %s: it cannot be negative", t.name, time.Duration(t.value))
		}
	}
	return nil
}

// ServerHealth is a server as autopilot sees it.
type ServerHealth struct {
	ID      string
	Name    string
	Address string
	// SerfStatus is what gossip knows of it: alive, leaving, left, failed or none.
	SerfStatus string
	Version    string
	Leader     bool
	// LastContact is how long ago it heard of the leader.
	LastContact ReadableDuration
	LastTerm    uint64
	LastIndex   uint64
	Healthy     bool
	Voter       bool
	// StableSince is when it became as healthy or unhealthy as it is.
	StableSince time.Time
}

// AutopilotHealth is the health of all servers ("operator/autopilot/health").
type AutopilotHealth struct {
	Healthy bool // all of them are
	// FailureTolerance is how many healthy voters may fail before there is no
	// quorum.
	FailureTolerance int
	Servers          []*ServerHealth
}

// The statuses of a server in AutopilotState.
const (
	ServerLeader   = "leader"
	ServerVoter    = "voter"
	ServerNonVoter = "non-voter"
	// ServerReadReplica is the NodeType of a server that never votes.
	ServerReadReplica = "read-replica"
)

// AutopilotServer is a server in AutopilotState.
type AutopilotServer struct {
	ID          string
	Name        string
	Address     string
	NodeStatus  string // as SerfStatus of ServerHealth
	Version     string
	LastContact ReadableDuration
	LastTerm    uint64
	LastIndex   uint64
	Healthy     bool
	StableSince time.Time
	ReadReplica bool
	Status      string // ServerLeader, ServerVoter or ServerNonVoter
	Meta        map[string]string
	NodeType    string // what the server is meant to be: ServerVoter or ServerReadReplica
}

// AutopilotState is what autopilot knows of the servers, by ID
// ("operator/autopilot/state").
type AutopilotState struct {
	Healthy          bool
	FailureTolerance int
	// OptimisticFailureTolerance equals FailureTolerance: there are no servers
	// that take over when others fail.
	OptimisticFailureTolerance int
	Servers                    map[string]*AutopilotServer
	Leader                     string // an ID; empty while there is none
	Voters                     []string
}

// AutopilotSetArgs writes the configuration of autopilot.
type AutopilotSetArgs struct {
	CAS  *uint64                `query:"cas"` // write only if ModifyIndex equals this
	Conf AutopilotConfiguration `body:"json"`
}

func operatorWrite[Q any](*Q) acl.Need {
	return acl.Need{Resource: acl.Operator, Access: acl.Write}
}

// The verbs of autopilot.
var (
	AutopilotConfigurationGet = Read[None, *AutopilotConfiguration]("GET /v1/operator/autopilot/configuration", "operator.autopilot-configuration",
		"Reads the configuration of autopilot.", Needs(operatorRead[None]))
	AutopilotConfigurationSet = Write[AutopilotSetArgs, bool]("PUT /v1/operator/autopilot/configuration", "operator.autopilot-configure",
		"Writes the configuration of autopilot, on a condition if one is given.", Needs(operatorWrite[AutopilotSetArgs]))
	AutopilotHealthGet = Leader[None, *AutopilotHealth]("GET /v1/operator/autopilot/health", "operator.autopilot-health",
		"Tells the health of the servers; 429 when one is unhealthy.", Needs(operatorRead[None]))
	AutopilotStateGet = Leader[None, *AutopilotState]("GET /v1/operator/autopilot/state", "operator.autopilot-state",
		"Tells what autopilot knows of the servers.", Needs(operatorRead[None]))
)
