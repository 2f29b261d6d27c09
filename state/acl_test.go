package state

import (
	"strings"
	"time"

	"curia/api"
)

// aclLinks makes links of IDs.
func (w words) aclLinks(key string) []api.ACLLink {
	var out []api.ACLLink
	for _, id := range w.list(key) {
		out = append(out, api.ACLLink{ID: id})
	}
	return out
}

// aclCommand makes the commands of ACLs; nil if the words are none.
func (w words) aclCommand(now time.Time) Command {
	how := ACLCreate
	if w.has("update") {
		how = ACLUpdate
	}
	grants := api.ACLGrants{Policies: w.aclLinks("policies")}
	switch w.verb {
	case "token set", "token initial", "token bootstrap", "token legacy":
		t := api.ACLToken{
			AccessorID: w.text("id"), SecretID: w.text("secret"), Description: w.text("about"), CreateTime: now,
			ACLGrants: grants, Roles: w.aclLinks("roles"), Rules: w.text("rules"), Local: w.has("local"),
		}
		if d, err := time.ParseDuration(w.text("for")); err == nil {
			until := now.Add(d)
			t.ExpirationTime = &until
		}
		switch w.verb {
		case "token initial":
			return &ACLInitial{Token: t}
		case "token bootstrap":
			return &ACLBootstrap{Token: t, Reset: w.number("reset")}
		case "token legacy":
			return &LegacyTokenSet{Token: t}
		}
		return &ACLTokenSet{Token: t, Write: how}
	case "token delete":
		return &ACLTokenDelete{Accessors: w.list("id")}
	case "policy set":
		return &ACLPolicySet{Policy: api.ACLPolicy{ID: w.text("id"), Name: w.text("name"), Rules: w.text("rules")}, Write: how}
	case "policy delete":
		return &ACLPolicyDelete{ID: w.text("id")}
	case "role set":
		return &ACLRoleSet{Role: api.ACLRole{ID: w.text("id"), Name: w.text("name"), ACLGrants: grants}, Write: how}
	case "role delete":
		return &ACLRoleDelete{ID: w.text("id")}
	}
	if c := w.copyCommand(now); c != nil {
		return c
	}
	return w.methodCommand(how, now)
}

// aclQuery answers the queries of ACLs.
func aclQuery(v *View, w words) ([]string, bool) {
	switch w.verb {
	case "token get":
		if w.has("secret") {
			return showOne(v.ACLTokenBySecret(w.text("secret")), showToken), true
		}
		return showOne(v.ACLToken(w.text("id")), showToken), true
	case "tokens":
		return show(v.ACLTokens(), showToken), true
	case "expired":
		due, next := v.ACLExpired(time.Unix(1_000_000_000, 0).Add(mustDuration(w.text("after"))), nil)
		until := "nothing else expires"
		if !next.IsZero() {
			until = "next after " + next.Sub(time.Unix(1_000_000_000, 0)).String()
		}
		return []string{"due: " + strings.Join(due, ",") + "; " + until}, true
	case "policy get":
		if w.has("name") {
			return showOne(v.ACLPolicyByName(w.text("name")), showPolicy), true
		}
		return showOne(v.ACLPolicy(w.text("id")), showPolicy), true
	case "policies":
		return show(v.ACLPolicies(), showPolicy), true
	case "role get":
		if w.has("name") {
			return showOne(v.ACLRoleByName(w.text("name")), showRole), true
		}
		return showOne(v.ACLRole(w.text("id")), showRole), true
	case "roles":
		return show(v.ACLRoles(), showRole), true
	case "copied":
		return showOne(v.ACLCopied(), showCopied), true
	}
	return nil, false
}

// showOne shows a row that may not be there.
func showOne[T any](row *T, f func(*T) string) []string {
	if row == nil {
		return nil
	}
	return []string{f(row)}
}

func mustDuration(s string) time.Duration {
	d, err := time.ParseDuration(s)
	if err != nil {
		panic(err)
	}
	return d
}

func showLinks(links []api.ACLLink) string {
	var out []string
	for _, l := range links {
		out = append(out, l.ID+":"+l.Name)
	}
	return strings.Join(out, ",")
}

func showToken(t *api.ACLToken) string {
	return line(t.AccessorID, "secret="+t.SecretID, maybe("policies", showLinks(t.Policies)), maybe("roles", showLinks(t.Roles)),
		maybe("rules", t.Rules), maybe("method", t.AuthMethod), maybe("local", t.Local), since(t.CreateIndex, t.ModifyIndex))
}

func showPolicy(p *api.ACLPolicy) string {
	return line(p.Name, "id="+strings.TrimPrefix(p.ID, "00000000-0000-0000-0000-"), since(p.CreateIndex, p.ModifyIndex))
}

func showRole(r *api.ACLRole) string {
	return line(r.Name, "id="+r.ID, maybe("policies", showLinks(r.Policies)), since(r.CreateIndex, r.ModifyIndex))
}
