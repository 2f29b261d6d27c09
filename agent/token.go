package agent

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"

	"curia/acl"
	"curia/api"
	"curia/internal/atomicfile"
)

// Tokens are the secrets that an agent works with; empty: none ("Agent Tokens").
type Tokens struct {
	Default           string // of requests, services and checks that bring none
	Agent             string // of the agent's own work; Default unless set
	AgentRecovery     string // known to this agent alone, even without servers
	Replication       string // of copying ACLs from the primary datacenter
	ConfigFileService string // of services and checks from files; Default unless set
	DNS               string // of DNS questions; Default unless set
}

// tokenFile keeps tokens that were set through the API, by kind.
const tokenFile = "acl-tokens.json"

// tokenNames gives the kind of token that each documented name means.
var tokenNames = map[string]string{
	"default": "default", "acl_token": "default",
	"agent": "agent", "acl_agent_token": "agent",
	"agent_recovery": "agent_recovery", "agent_master": "agent_recovery", "acl_agent_master_token": "agent_recovery",
	"replication": "replication", "acl_replication_token": "replication",
	"config_file_service_registration": "config_file_service_registration",
	"dns":                              "dns",
}

// tokenStore holds what the configuration says and what was set since through
// the API, which wins. Safe for concurrent use.
type tokenStore struct {
	now      atomic.Pointer[Tokens] // what is used, with what stands in for missing ones
	recovery acl.Authorizer

	mu         sync.Mutex
	configured Tokens
	set        map[string]string // by kind
}

func newTokenStore(configured Tokens, node string) *tokenStore {
	may := acl.Compile(acl.Options{Default: acl.DenyAll{}}, &acl.Policy{Rules: []acl.Rule{
		{Resource: acl.Agent, Name: node, Access: acl.Write}, {Resource: acl.Node, Prefix: true, Access: acl.Read},
	}})
	s := &tokenStore{configured: configured, set: map[string]string{}, recovery: &acl.Holder{Authorizer: may, Accessor: "agent-recovery"}}
	s.settle()
	return s
}

// get gives the token of a kind.
func (s *tokenStore) get(kind string) string {
	if token := s.now.Load().of(kind); token != nil {
		return *token
	}
	return ""
}

// of is where the token of a kind is; nil for kinds that there are not.
func (t *Tokens) of(kind string) *string {
	switch kind {
	case "default":
		return &t.Default
	case "agent":
		return &t.Agent
	case "agent_recovery":
		return &t.AgentRecovery
	case "replication":
		return &t.Replication
	case "config_file_service_registration":
		return &t.ConfigFileService
	case "dns":
		return &t.DNS
	}
	return nil
}

// settle finds out which tokens are used. It needs the lock.
func (s *tokenStore) settle() {
	now := s.configured
	for kind, token := range s.set {
		if at := now.of(kind); at != nil && token != "" {
			*at = token
		}
	}
	now.Agent = cmp.Or(now.Agent, now.Default)
	now.ConfigFileService = cmp.Or(now.ConfigFileService, now.Default)
	now.DNS = cmp.Or(now.DNS, now.Default)
	s.now.Store(&now)
}

// configure takes over the tokens of a new configuration, and reports whether
// there is anything new.
func (s *tokenStore) configure(t Tokens) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	changed := s.configured != t
	s.configured = t
	s.settle()
	return changed
}

// SetTokens takes over the tokens of a new configuration. Those that were set
// through the API stay.
func (a *Agent) SetTokens(t Tokens) {
	if a.tokens.configure(t) {
		a.sync.kickFull()
	}
}

// DNSToken is what DNS questions are asked with.
func (a *Agent) DNSToken() string { return a.tokens.get("dns") }

// ReplicationToken is what ACLs are copied with from the primary datacenter;
// empty: there is none.
func (a *Agent) ReplicationToken() string { return a.tokens.get("replication") }

// WithDefaults fills in what a request leaves out: a node and a token.
func (a *Agent) WithDefaults(req *api.Request) *api.Request {
	if d, ok := req.Args.(api.NodeDefaulter); ok {
		d.DefaultNode(a.cfg.Node.Node)
	}
	if _, own := req.Args.(api.AboutToken); req.Token == "" && !own {
		if token := a.tokens.get("default"); token != "" {
			filled := *req
			filled.Token = token
			return &filled
		}
	}
	return req
}

// Authorize checks the permission that a request about this agent needs. Faces
// ask it for verbs that they carry out themselves.
func (a *Agent) Authorize(req *api.Request) error {
	_, err := a.admit(req)
	return err
}

// admit resolves the token of a request and checks the declared permission.
// What is about an agent is about this one.
func (a *Agent) admit(req *api.Request) (acl.Authorizer, error) {
	who, err := a.resolve(req.Token)
	if err != nil {
		return nil, err
	}
	need := req.Op.Need(req.Args)
	if need.Resource == acl.Agent && need.Name == "" {
		need.Name = a.cfg.Node.Node
	}
	if need.Resource != "" && !who.Allows(need) {
		return nil, &api.Error{Kind: api.Denied, Msg: acl.Refusal(who, need)}
	}
	return who, nil
}

// resolve knows the recovery token, and asks about all others.
func (a *Agent) resolve(token string) (acl.Authorizer, error) {
	if token == "" {
		token = a.tokens.get("default")
	}
	if recovery := a.tokens.get("agent_recovery"); recovery != "" && sha256.Sum256([]byte(token)) == sha256.Sum256([]byte(recovery)) {
		return a.tokens.recovery, nil
	}
	return a.cfg.Authorizer(token)
}

// setToken changes a token while the agent runs ("agent/token").
func (a *Agent) setToken(_ context.Context, q *api.AgentTokenArgs) (api.Nothing, error) {
	kind, ok := tokenNames[q.Kind]
	if !ok {
		return api.Nothing{}, api.Errorf(api.NotFound, "Token %q is unknown", q.Kind)
	}
	s := a.tokens
	s.mu.Lock()
	defer s.mu.Unlock()
	s.set[kind] = q.Spec.Token
	s.settle()
	a.sync.kickFull()
	if !a.local.live.Load().persist || a.cfg.DataDir == "" {
		return api.Nothing{}, nil
	}
	kept := maps.Clone(s.set)
	maps.DeleteFunc(kept, func(_, token string) bool { return token == "" })
	b, err := json.Marshal(kept)
	if err == nil {
		err = atomicfile.Write(filepath.Join(a.cfg.DataDir, tokenFile), b)
	}
	if err != nil {
		return api.Nothing{}, fmt.Errorf("keep the %s token for a restart: %w", kind, err)
	}
	return api.Nothing{}, nil
}

// restoreTokens takes over tokens that were kept in the data directory.
func (a *Agent) restoreTokens() {
	if !a.local.live.Load().persist || a.cfg.DataDir == "" {
		return
	}
	b, err := os.ReadFile(filepath.Join(a.cfg.DataDir, tokenFile))
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	kept := map[string]string{}
	if err == nil {
		err = json.Unmarshal(b, &kept)
	}
	if err != nil {
		a.log.Error("cannot read the tokens that were set before the restart", "file", tokenFile, "err", err)
		return
	}
	for _, kind := range slices.Sorted(maps.Keys(kept)) {
		if known := tokenNames[kind]; known == kind {
			a.tokens.set[kind] = kept[kind]
		}
	}
	a.tokens.settle()
}
