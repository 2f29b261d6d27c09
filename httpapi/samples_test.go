package httpapi_test

import (
	"net/http"
	"strings"
	"testing"

	"curia/acl"
	"curia/api"
	"curia/internal/testing/inproc"
	"curia/state"
)

// send is a request of the fixture.
type send struct{ method, target, body string }

// sample is a request of a verb that is answered with 200 once the fixture is
// in place, and what is around it. SESSION stands for the fixture's session,
// QUERY for its prepared query, and so on (see fill).
type sample struct {
	target string
	body   string
	// empty asks a read for something that it answers with emptyBody: nothing.
	empty, emptyBody string
	// related changes the answer to target, unrelated a thing of the same kind
	// which it does not show. Reads without related never change.
	related, unrelated send
	// hidden is the answer to a caller who may see nothing; empty: 403.
	hidden string
	// missing is the answer when the parameter of the path is left out; empty: a 400
	// that names the parameter.
	missing string
	// public verbs tell everybody the same.
	public bool
	// refused is how a server that is alone answers with 500; empty: it does not.
	refused string
}

// unknownCheck is the answer to an update of a check that nobody registered.
const unknownCheck = `404 Unknown check ID "". Ensure that the check ID is passed, not the check name.`

const (
	// never is the empty of reads that always have something to tell.
	never     = "(never)"
	noKeyring = "there is no keyring: gossip is not encrypted, start all agents with encrypt"
)

// notFound stands for a 404 without a body.
const notFound = "(404)"

// fixture is the state that the samples speak of.
var fixture = []send{
	{"PUT", "/v1/catalog/register", `{"Node":"n2","Address":"10.0.0.2","NodeMeta":{"rack":"r1"},
		"Service":{"ID":"web1","Service":"web","Tags":["v1"],"Port":80},
		"Checks":[{"Name":"disk","Status":"passing"},{"CheckID":"web1-up","Name":"up","Status":"passing","ServiceID":"web1"}]}`},
	{"PUT", "/v1/catalog/register", `{"Node":"n3","Address":"10.0.0.3","Service":{"Service":"db","Port":5432},
		"Checks":[{"Name":"db-up","Status":"warning","ServiceID":"db"}]}`},
	{"PUT", "/v1/agent/service/register", `{"ID":"l1","Name":"local","Tags":["v1"],"Check":{"CheckID":"l1-up","TTL":"1h","Status":"passing"}}`},
	{"PUT", "/v1/agent/service/register", `{"Name":"old","Check":{"CheckID":"old-up","TTL":"1h"}}`},
	{"PUT", "/v1/agent/check/register", `{"ID":"tick","Name":"Tick","ServiceID":"old","TTL":"1h"}`},
	{"PUT", "/v1/kv/app/a", "1"},
	{"PUT", "/v1/kv/app/b", "2"},
	{"PUT", "/v1/kv/other", "3"},
	{"POST", "/v1/query", `{"Name":"find-other","Service":{"Service":"other"}}`},
	{"PUT", "/v1/config", `{"Kind":"service-defaults","Name":"web","Protocol":"http"}`},
	{"PUT", "/v1/config", `{"Kind":"service-resolver","Name":"web","ConnectTimeout":"5s"}`},
	{"PUT", "/v1/acl/token", `{"AccessorID":"` + tokenID + `","SecretID":"` + secretID + `","Policies":[{"Name":"builtin/global-read-only"}]}`},
	{"PUT", "/v1/acl/token", `{"AccessorID":"` + otherTokenID + `"}`},
	{"PUT", "/v1/acl/policy", `{"Name":"other"}`},
	{"PUT", "/v1/acl/role", `{"Name":"other"}`},
	{"PUT", "/v1/acl/auth-method", `{"Name":"ci","Type":"jwt","Config":` + jwtConfig + `}`},
	{"PUT", "/v1/acl/auth-method", `{"Name":"other","Type":"jwt","Config":` + jwtConfig + `}`},
	{"PUT", "/v1/acl/binding-rule", `{"AuthMethod":"other","BindType":"role","BindName":"r"}`},
}

// jwtConfig is that of an auth method which accepts bearerToken. It is signed
// with a key of this test alone, maps sub to "web" and groups to "dev" and "ops",
// and lasts from 1970 until 2242.
const (
	jwtConfig = `{"JWTValidationPubKeys":["-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAlKA5RW/7NK8bgWg+F/0EvaucbovWSCVqxfjkHb5ZuSM=\n-----END PUBLIC KEY-----\n"],` +
		`"ClaimMappings":{"sub":"name","team":"team"},"ListClaimMappings":{"groups":"groups"}}`
	bearerToken = "eyJhbGciOiJFZERTQSJ9.eyJleHAiOjg1ODk5MzQ1OTIsImdyb3VwcyI6WyJkZXYiLCJvcHMiXSwibmJmIjoxLCJzdWIiOiJ3ZWIifQ" +
		".-JuDJOnXcjvqLVLdBZbDgp-fz-pPM0lvil3Vj_i-FsPggLYivvoKxVXj1kbnO-4Kp7qBQ9sZ593LkZt5jFrsCA"
	login = `{"AuthMethod":"ci","BearerToken":"` + bearerToken + `","Meta":{"job":"1"}}`
)

// The IDs of the tokens of the fixture.
const (
	tokenID      = "8f246b77-f3e1-ff88-5b48-8ec93abf3e05"
	secretID     = "9f246b77-f3e1-ff88-5b48-8ec93abf3e05"
	otherTokenID = "af246b77-f3e1-ff88-5b48-8ec93abf3e05"
)

// Writes that several samples share.
var (
	otherKey  = send{"PUT", "/v1/kv/other", "changed"}
	otherNode = send{"PUT", "/v1/catalog/register", `{"Node":"n3","Address":"10.0.0.33"}`}
	otherTags = send{"PUT", "/v1/catalog/register", `{"Node":"n3","SkipNodeUpdate":true,"Service":{"Service":"db","Port":5433}}`}
	otherTest = send{"PUT", "/v1/catalog/register",
		`{"Node":"n3","SkipNodeUpdate":true,"Check":{"Name":"db-up","Status":"warning","ServiceID":"db","Output":"slow"}}`}
	otherSess = send{"PUT", "/v1/session/create", `{"Node":"n3","NodeChecks":[]}`}
	webMoves  = send{"PUT", "/v1/catalog/register", `{"Node":"n2","SkipNodeUpdate":true,"Service":{"ID":"web1","Service":"web","Tags":["v2"],"Port":81}}`}
	webFails  = send{"PUT", "/v1/catalog/register",
		`{"Node":"n2","SkipNodeUpdate":true,"Check":{"CheckID":"web1-up","Name":"up","Status":"warning","ServiceID":"web1","Output":"late"}}`}
	queryMoves = send{"PUT", "/v1/query/QUERY", `{"Name":"find-web","Service":{"Service":"web","Tags":["!v2"]},"DNS":{"TTL":"5s"}}`}
	otherQuery = send{"POST", "/v1/query", `{"Name":"find-db","Service":{"Service":"db"}}`}
	webIsTCP   = send{"PUT", "/v1/config", `{"Kind":"service-defaults","Name":"web","Protocol":"tcp"}`}
	otherConf  = send{"PUT", "/v1/config", `{"Kind":"service-resolver","Name":"web","ConnectTimeout":"6s"}`}
	otherTok   = send{"PUT", "/v1/acl/token/" + otherTokenID, `{"Description":"changed"}`}
	tokMoves   = send{"PUT", "/v1/acl/token/" + tokenID, `{"Description":"changed"}`}
	otherPol   = send{"PUT", "/v1/acl/policy", `{"Name":"third"}`}
	polMoves   = send{"PUT", "/v1/acl/policy/POLICY", `{"Name":"p","Description":"changed"}`}
	otherRole  = send{"PUT", "/v1/acl/role", `{"Name":"third"}`}
	roleMoves  = send{"PUT", "/v1/acl/role/ROLE", `{"Name":"r","Description":"changed"}`}
	otherMeth  = send{"PUT", "/v1/acl/auth-method/other", `{"Type":"jwt","Description":"changed","Config":` + jwtConfig + `}`}
	methMoves  = send{"PUT", "/v1/acl/auth-method/ci", `{"Type":"jwt","Description":"changed","Config":` + jwtConfig + `}`}
	otherRule  = send{"PUT", "/v1/acl/binding-rule", `{"AuthMethod":"other","BindType":"role","BindName":"third"}`}
	ruleMoves  = send{"PUT", "/v1/acl/binding-rule/RULE", `{"BindType":"role","BindName":"changed"}`}
	sessEnds   = send{"PUT", "/v1/session/destroy/SESSION", ""}
)

// samples has one entry for every verb; a verb without one fails the tests.
var samples = map[string]sample{
	"kv.get": {target: "/v1/kv/app/a", empty: "/v1/kv/none", emptyBody: notFound,
		related: send{"PUT", "/v1/kv/app/a", "new"}, unrelated: otherKey},
	"kv.raw": {target: "/v1/kv/app/a?raw", empty: "/v1/kv/none?raw", emptyBody: notFound,
		related: send{"PUT", "/v1/kv/app/a", "new"}, unrelated: otherKey},
	"kv.list": {target: "/v1/kv/app/?recurse", empty: "/v1/kv/none?recurse", emptyBody: notFound,
		related: send{"PUT", "/v1/kv/app/c", "new"}, unrelated: otherKey, hidden: notFound},
	"kv.keys": {target: "/v1/kv/app/?keys", empty: "/v1/kv/none?keys", emptyBody: notFound,
		related: send{"DELETE", "/v1/kv/app/a", ""}, unrelated: otherKey, hidden: notFound},
	"kv.put":    {target: "/v1/kv/app/new", body: "x"},
	"kv.delete": {target: "/v1/kv/app/b"},
	"txn.apply": {target: "/v1/txn", body: `[{"KV":{"Verb":"set","Key":"t","Value":"eA=="}}]`,
		hidden: `{"Results":null,"Errors":[{"OpIndex":0,"What":"Permission denied: token lacks permission 'key:write' on \"t\""}]}`},

	"catalog.register":    {target: "/v1/catalog/register", body: `{"Node":"n4","Address":"10.0.0.4"}`},
	"catalog.deregister":  {target: "/v1/catalog/deregister", body: `{"Node":"n3","CheckID":"db-up"}`},
	"catalog.datacenters": {target: "/v1/catalog/datacenters", public: true},
	"catalog.nodes": {target: "/v1/catalog/nodes", empty: "/v1/catalog/nodes?node-meta=no:where", emptyBody: "[]",
		related: otherNode, unrelated: otherTags, hidden: "[]"},
	"catalog.services": {target: "/v1/catalog/services", empty: "/v1/catalog/services?node-meta=no:where", emptyBody: "{}",
		related: webMoves, unrelated: otherTest, hidden: "{}"},
	"catalog.service": {target: "/v1/catalog/service/web", empty: "/v1/catalog/service/none", emptyBody: "[]",
		related: webMoves, unrelated: otherTags, hidden: "[]"},
	"catalog.connect": {target: "/v1/catalog/connect/web", empty: "/v1/catalog/connect/web", emptyBody: "[]", hidden: "[]"},
	"catalog.node": {target: "/v1/catalog/node/n2", empty: "/v1/catalog/node/none", emptyBody: "null",
		related: webMoves, unrelated: otherNode, hidden: "null"},
	"catalog.node-services": {target: "/v1/catalog/node-services/n2", empty: "/v1/catalog/node-services/none", emptyBody: "null",
		related: webMoves, unrelated: otherNode, hidden: "null"},

	"health.node": {target: "/v1/health/node/n2", empty: "/v1/health/node/none", emptyBody: "[]",
		related: webFails, unrelated: otherTest, hidden: "[]"},
	"health.checks": {target: "/v1/health/checks/web", empty: "/v1/health/checks/none", emptyBody: "[]",
		related: webFails, unrelated: otherTest, hidden: "[]"},
	"health.service": {target: "/v1/health/service/web", empty: "/v1/health/service/none", emptyBody: "[]",
		related: webFails, unrelated: otherTest, hidden: "[]"},
	"health.connect": {target: "/v1/health/connect/web", empty: "/v1/health/connect/web", emptyBody: "[]", hidden: "[]"},
	"health.ingress": {target: "/v1/health/ingress/web", empty: "/v1/health/ingress/web", emptyBody: "[]", hidden: "[]"},
	"health.state": {target: "/v1/health/state/passing", empty: "/v1/health/state/nonsense", emptyBody: "[]",
		related: webFails, unrelated: otherTest, hidden: "[]"},

	"session.create":  {target: "/v1/session/create", body: `{"NodeChecks":[]}`},
	"session.destroy": {target: "/v1/session/destroy/SESSION"},
	"session.renew":   {target: "/v1/session/renew/SESSION"},
	"session.info": {target: "/v1/session/info/SESSION", empty: "/v1/session/info/none", emptyBody: "[]",
		related: sessEnds, unrelated: otherSess, hidden: "[]"},
	"session.node": {target: "/v1/session/node/n2", empty: "/v1/session/node/none", emptyBody: "[]",
		related: sessEnds, unrelated: otherSess, hidden: "[]"},
	"session.list": {target: "/v1/session/list", empty: `/v1/session/list?filter=Name+==+"none"`, emptyBody: "[]",
		related: sessEnds, unrelated: otherKey, hidden: "[]"},

	"query.create": {target: "/v1/query", body: `{"Name":"new","Service":{"Service":"web"}}`},
	"query.update": {target: "/v1/query/QUERY", body: `{"Name":"find-web","Service":{"Service":"db"}}`},
	"query.delete": {target: "/v1/query/QUERY"},
	"query.list": {target: "/v1/query", empty: `/v1/query?filter=Name+==+"none"`, emptyBody: "[]",
		related: queryMoves, unrelated: otherKey, hidden: "[]"},
	"query.read": {target: "/v1/query/QUERY", empty: "/v1/query/none", emptyBody: "Query not found",
		related: queryMoves, unrelated: otherQuery},
	"query.execute": {target: "/v1/query/find-web/execute", empty: "/v1/query/find-other/execute",
		emptyBody: `{"Service":"other","Nodes":[],"DNS":{"TTL":""},"Datacenter":"dc1","Failovers":0}`,
		related:   webFails, unrelated: otherQuery,
		hidden: `{"Service":"web","Nodes":[],"DNS":{"TTL":""},"Datacenter":"dc1","Failovers":0}`},
	"query.explain": {target: "/v1/query/find-web/explain", empty: "/v1/query/none/explain", emptyBody: "Query not found",
		related: queryMoves, unrelated: otherQuery},

	"status.leader":               {target: "/v1/status/leader", public: true},
	"status.peers":                {target: "/v1/status/peers", public: true},
	"operator.raft-configuration": {target: "/v1/operator/raft/configuration"},
	"operator.autopilot-configuration": {target: "/v1/operator/autopilot/configuration", empty: never,
		related: send{"PUT", "/v1/operator/autopilot/configuration", `{"MaxTrailingLogs":300}`}, unrelated: otherKey},
	"operator.autopilot-configure": {target: "/v1/operator/autopilot/configuration", body: `{"MinQuorum":3}`},
	"operator.autopilot-health":    {target: "/v1/operator/autopilot/health"},
	"operator.autopilot-state":     {target: "/v1/operator/autopilot/state"},
	"operator.usage": {target: "/v1/operator/usage", empty: never,
		related: send{"PUT", "/v1/catalog/deregister", `{"Node":"n3"}`}, unrelated: otherKey},
	"operator.raft-remove-peer": {target: "/v1/operator/raft/peer?id=" + inproc.NodeID, refused: "cannot remove " + inproc.NodeID +
		" (127.0.0.1:8300): it is the only voter, nobody would be left to lead"},
	"operator.raft-transfer-leader": {target: "/v1/operator/raft/transfer-leader",
		refused: "cannot transfer leadership: there is no other server that could lead"},
	"operator.keyring-list":    {target: "/v1/operator/keyring", refused: noKeyring},
	"operator.keyring-install": {target: "/v1/operator/keyring", body: `{"Key":"AAAA"}`, refused: noKeyring},
	"operator.keyring-use":     {target: "/v1/operator/keyring", body: `{"Key":"AAAA"}`, refused: noKeyring},
	"operator.keyring-remove":  {target: "/v1/operator/keyring", body: `{"Key":"AAAA"}`, refused: noKeyring},

	"coordinate.datacenters": {target: "/v1/coordinate/datacenters", public: true},
	"coordinate.nodes": {target: "/v1/coordinate/nodes", empty: "/v1/coordinate/nodes?segment=none", emptyBody: "[]",
		related: send{"PUT", "/v1/catalog/deregister", `{"Node":"n2"}`}, unrelated: otherNode, hidden: "[]"},
	"coordinate.node":   {target: "/v1/coordinate/node/n2", empty: "/v1/coordinate/node/none", emptyBody: notFound, unrelated: otherKey},
	"coordinate.update": {target: "/v1/coordinate/update", body: `{"Node":"n2","Coord":{"Vec":[1,0,0,0,0,0,0,0]}}`},

	"config.put": {target: "/v1/config", body: `{"Kind":"mesh","TLS":{}}`},
	"config.get": {target: "/v1/config/service-defaults/web", empty: "/v1/config/service-defaults/none",
		emptyBody: `Config entry not found for "service-defaults" / "none"`, related: webIsTCP, unrelated: otherConf},
	"config.list": {target: "/v1/config/service-defaults", empty: "/v1/config/jwt-provider", emptyBody: "[]",
		related: webIsTCP, unrelated: otherConf, hidden: "[]"},
	"config.delete": {target: "/v1/config/service-resolver/web"},

	"snapshot.save":    {target: "/v1/snapshot"},
	"snapshot.restore": {target: "/v1/snapshot", body: "SNAPSHOT"},

	"agent.services":            {target: "/v1/agent/services", hidden: "{}"},
	"agent.service":             {target: "/v1/agent/service/l1", missing: "404 unknown service ID: "},
	"agent.service-register":    {target: "/v1/agent/service/register", body: `{"Name":"new"}`},
	"agent.service-deregister":  {target: "/v1/agent/service/deregister/old", missing: "500 ServiceID missing"},
	"agent.service-maintenance": {target: "/v1/agent/service/maintenance/l1?enable=true", missing: "400 Missing service ID"},
	"agent.checks":              {target: "/v1/agent/checks", hidden: "{}"},
	"agent.check-register":      {target: "/v1/agent/check/register", body: `{"Name":"new","TTL":"1h","Status":"passing"}`},
	"agent.check-deregister":    {target: "/v1/agent/check/deregister/old-up", missing: "500 CheckID missing"},
	"agent.check-pass":          {target: "/v1/agent/check/pass/tick", missing: unknownCheck},
	"agent.check-warn":          {target: "/v1/agent/check/warn/tick", missing: unknownCheck},
	"agent.check-fail":          {target: "/v1/agent/check/fail/tick", missing: unknownCheck},
	"agent.check-update":        {target: "/v1/agent/check/update/tick", body: `{"Status":"passing"}`, missing: unknownCheck},
	"agent.maintenance":         {target: "/v1/agent/maintenance?enable=true"},
	"agent.reload":              {target: "/v1/agent/reload"},
	"agent.health-by-id":        {target: "/v1/agent/health/service/id/l1", missing: "404 ServiceId  not found"},
	"agent.health-by-name":      {target: "/v1/agent/health/service/name/local", missing: "404 []"},

	"acl.bootstrap":    {target: "/v1/acl/bootstrap", public: true},
	"acl.replication":  {target: "/v1/acl/replication", public: true},
	"acl.token-create": {target: "/v1/acl/token", body: `{"Policies":[{"Name":"p"}]}`},
	"acl.token-read":   {target: "/v1/acl/token/" + tokenID, related: tokMoves, unrelated: otherTok, empty: "/v1/acl/token/none", emptyBody: "token does not exist: ACL not found", missing: "400 Missing token AccessorID"},
	"acl.token-self": {target: "/v1/acl/token/self", public: true, empty: "/v1/acl/token/self", emptyBody: `{"AccessorID":"00000000-0000-0000-0000-000000000002","SecretID":"anonymous","Description":"Anonymous Token",` +
		`"Local":false,"CreateTime":"0001-01-01T00:00:00Z","Hash":null,"CreateIndex":0,"ModifyIndex":0}`},
	"acl.token-update": {target: "/v1/acl/token/" + tokenID, body: `{"Description":"x"}`, missing: "400 Missing token AccessorID"},
	"acl.token-clone":  {target: "/v1/acl/token/" + tokenID + "/clone", missing: "307 "},
	"acl.token-delete": {target: "/v1/acl/token/" + tokenID, missing: "400 Missing token AccessorID"},
	"acl.tokens":       {target: "/v1/acl/tokens", related: tokMoves, unrelated: otherKey, empty: "/v1/acl/tokens?policy=none", emptyBody: "[]"},

	"acl.policy-create":    {target: "/v1/acl/policy", body: `{"Name":"new"}`},
	"acl.policy-read":      {target: "/v1/acl/policy/POLICY", related: polMoves, unrelated: otherPol, empty: "/v1/acl/policy/none", emptyBody: "policy not found", missing: "400 Missing policy ID"},
	"acl.policy-read-name": {target: "/v1/acl/policy/name/p", related: polMoves, unrelated: otherPol, empty: "/v1/acl/policy/name/none", emptyBody: "policy not found"},
	"acl.policy-update":    {target: "/v1/acl/policy/POLICY", body: `{"Name":"p2"}`, missing: "400 Missing policy ID"},
	"acl.policy-delete":    {target: "/v1/acl/policy/POLICY", missing: "400 Missing policy ID"},
	"acl.policies":         {target: "/v1/acl/policies", related: polMoves, unrelated: otherTok, empty: "/v1/acl/policies?filter=Name==none", emptyBody: "[]"},
	"acl.role-create":      {target: "/v1/acl/role", body: `{"Name":"new"}`},
	"acl.role-read":        {target: "/v1/acl/role/ROLE", related: roleMoves, unrelated: otherRole, empty: "/v1/acl/role/none", emptyBody: "role not found", missing: "400 Missing role ID"},
	"acl.role-read-name":   {target: "/v1/acl/role/name/r", related: roleMoves, unrelated: otherRole, empty: "/v1/acl/role/name/none", emptyBody: "role not found"},
	"acl.role-update":      {target: "/v1/acl/role/ROLE", body: `{"Name":"r2"}`, missing: "400 Missing role ID"},
	"acl.role-delete":      {target: "/v1/acl/role/ROLE", missing: "400 Missing role ID"},
	"acl.roles":            {target: "/v1/acl/roles", related: roleMoves, unrelated: otherTok, empty: "/v1/acl/roles?policy=none", emptyBody: "[]"},
	"acl.templates":        {target: "/v1/acl/templated-policies"},
	"acl.template-read":    {target: "/v1/acl/templated-policy/name/builtin/service"},
	"acl.template-preview": {target: "/v1/acl/templated-policy/preview/builtin/service", body: `{"Name":"web"}`},

	"acl.auth-method-create": {target: "/v1/acl/auth-method", body: `{"Name":"new","Type":"jwt","Config":` + jwtConfig + `}`},
	"acl.auth-method-read":   {target: "/v1/acl/auth-method/ci", related: methMoves, unrelated: otherMeth, empty: "/v1/acl/auth-method/none", emptyBody: "auth method not found"},
	"acl.auth-method-update": {target: "/v1/acl/auth-method/ci", body: `{"Name":"ci","Type":"jwt","Config":` + jwtConfig + `}`},
	"acl.auth-method-delete": {target: "/v1/acl/auth-method/ci"},
	"acl.auth-methods":       {target: "/v1/acl/auth-methods", related: methMoves, unrelated: otherRule, empty: "/v1/acl/auth-methods?filter=Name==none", emptyBody: "[]"},
	"acl.binding-rule-create": {target: "/v1/acl/binding-rule",
		body: `{"AuthMethod":"ci","BindType":"service","BindName":"x-${value.name}","Selector":"dev in list.groups"}`},
	"acl.binding-rule-read":   {target: "/v1/acl/binding-rule/RULE", related: ruleMoves, unrelated: otherRule, empty: "/v1/acl/binding-rule/none", emptyBody: "binding rule not found", missing: "400 Missing binding rule ID"},
	"acl.binding-rule-update": {target: "/v1/acl/binding-rule/RULE", body: `{"BindType":"role","BindName":"r"}`, missing: "400 Missing binding rule ID"},
	"acl.binding-rule-delete": {target: "/v1/acl/binding-rule/RULE", missing: "400 Missing binding rule ID"},
	"acl.binding-rules":       {target: "/v1/acl/binding-rules", related: ruleMoves, unrelated: otherMeth, empty: "/v1/acl/binding-rules?authmethod=none", emptyBody: "[]"},
	"acl.login":               {target: "/v1/acl/login", body: login, hidden: "do not provide a token when logging in"},
	"acl.logout":              {target: "/v1/acl/logout?token=LOGIN", public: true},
	"acl.authorize":           {target: "/v1/internal/acl/authorize", body: `[{"Resource":"key","Access":"read","Segment":"a"}]`, public: true},

	"acl.create":                {target: "/v1/acl/create"},
	"acl.update":                {target: "/v1/acl/update", body: `{"ID":"x"}`},
	"acl.destroy":               {target: "/v1/acl/destroy/" + secretID, missing: "400 Missing ACL"},
	"acl.info":                  {target: "/v1/acl/info/" + secretID, empty: "/v1/acl/info/none", emptyBody: "[]", related: tokMoves, unrelated: otherTok, public: true, missing: "400 Missing ACL"},
	"acl.clone":                 {target: "/v1/acl/clone/" + secretID, missing: "400 Missing ACL"},
	"acl.list":                  {target: "/v1/acl/list", related: tokMoves, unrelated: otherKey, empty: "/v1/acl/list?filter=Name==none", emptyBody: "[]"},
	"acl.rules-translate":       {target: "/v1/acl/rules/translate", body: `key "" { policy = "read" }`},
	"acl.rules-translate-token": {target: "/v1/acl/rules/translate/" + tokenID, empty: "/v1/acl/rules/translate/none", emptyBody: "token does not exist: ACL not found", missing: "400 Missing token AccessorID"},
	"agent.token":               {target: "/v1/agent/token/default", body: `{"Token":"x"}`, missing: `404 Token "" is unknown`},

	"agent.self":           {target: "/v1/agent/self"},
	"agent.members":        {target: "/v1/agent/members", hidden: "[]"},
	"agent.host":           {target: "/v1/agent/host"},
	"agent.version":        {target: "/v1/agent/version"},
	"agent.metrics":        {target: "/v1/agent/metrics"},
	"agent.metrics-stream": {target: "/v1/agent/metrics/stream"},
	"agent.monitor":        {target: "/v1/agent/monitor?loglevel=debug&logjson"},
	"agent.profile":        {target: "/debug/pprof/heap", missing: "200 "},
	"openapi":              {target: "/v1/openapi.json", public: true},

	"agent.join":        {target: "/v1/agent/join/127.0.0.1:1"},
	"agent.force-leave": {target: "/v1/agent/force-leave/nobody"},
	"agent.leave":       {target: "/v1/agent/leave"},
	"event.fire":        {target: "/v1/event/fire/deploy", body: "x", hidden: "Permission denied"},
	"event.list":        {target: "/v1/event/list", hidden: "[]"},
}

// stage is a server with the fixture in place.
type stage struct {
	*inproc.Server
	session, query, policy, role, rule, login string
}

// setStage starts a server and puts the fixture there.
func setStage(t *testing.T, o inproc.Options) *stage {
	t.Helper()
	o.LocalChecks = true
	s := &stage{Server: inproc.Start(t, o)}
	s.furnish(t, "pretend")
	return s
}

// furnish puts the fixture there; every request has a parameter.
func (s *stage) furnish(t *testing.T, param string) {
	t.Helper()
	must := func(method, target, body string) string { return s.Must(t, method, with(target, param), body) }
	for _, f := range fixture {
		must(f.method, f.target, f.body)
	}
	// Places are written some seconds after they were sent.
	at := &api.NodeCoordinate{Node: "n2", Coord: api.NewCoordinate()}
	if _, err := s.Replica.Propose(t.Context(), &state.CoordinateBatch{Updates: []*api.NodeCoordinate{at}}); err != nil {
		t.Fatal(err)
	}
	created := must("PUT", "/v1/session/create", `{"Node":"n2","NodeChecks":[]}`)
	s.session = strings.Split(created, `"`)[3]
	created = must("POST", "/v1/query", `{"Name":"find-web","Service":{"Service":"web"}}`)
	s.query = strings.Split(created, `"`)[3]
	s.policy = strings.Split(must("PUT", "/v1/acl/policy", `{"Name":"p"}`), `"`)[3]
	s.role = strings.Split(must("PUT", "/v1/acl/role", `{"Name":"r","Policies":[{"Name":"p"}]}`), `"`)[3]
	s.rule = strings.Split(must("PUT", "/v1/acl/binding-rule", `{"AuthMethod":"ci","BindType":"role","BindName":"r"}`), `"`)[3]
	s.login = strings.Split(s.Must(t, "POST", "/v1/acl/login", login), `"`)[7]
}

// fill puts the IDs of what the fixture made and a snapshot where a text speaks of them.
func (s *stage) fill(t *testing.T, text string) string {
	t.Helper()
	if text == "SNAPSHOT" {
		return s.Must(t, "GET", "/v1/snapshot", "")
	}
	return strings.NewReplacer("SESSION", s.session, "QUERY", s.query, "POLICY", s.policy, "ROLE", s.role,
		"RULE", s.rule, "LOGIN", s.login).Replace(text)
}

// sampleOf gives the sample of a verb.
func sampleOf(t *testing.T, op *api.Op) sample {
	t.Helper()
	s, ok := samples[op.Name]
	if !ok {
		t.Fatalf("verb %s has no entry in samples: say there how it is called", op.Name)
	}
	return s
}

// with adds a parameter to a target.
func with(target, param string) string {
	if strings.Contains(target, "?") {
		return target + "&" + param
	}
	return target + "?" + param
}

// answerOf gives the body of a 200, and notFound for a 404 without a body.
func answerOf(code int, body string) string {
	if code == http.StatusNotFound && body == "" {
		return notFound
	}
	return body
}

// deniedToken is the token that may do nothing; every other may do everything.
const deniedToken = "denied"

func resolve(token string) acl.Authorizer {
	if token == deniedToken {
		return acl.DenyAll{}
	}
	return acl.AllowAll{}
}
