package api

// AboutToken is implemented by arguments of verbs that are about the token of
// their caller itself: no other stands in for it. SetToken is told the secret,
// empty when there is none, and may refuse.
type AboutToken interface{ SetToken(secret string) error }

// ACLCredentials are what somebody shows to get a token ("Login to Auth Method").
type ACLCredentials struct {
	AuthMethod  string
	BearerToken string // the token that somebody else signed; a secret
	Meta        map[string]string
}

// ACLLoginArgs trade a token of somebody else against one of ours.
type ACLLoginArgs struct {
	Login ACLCredentials `body:"json"`
	// From is the datacenter that passed the login on to the primary; filled in by
	// its servers, empty: none did.
	From string `json:"-"`
}

// SetToken implements AboutToken: who logs in has no token yet.
func (*ACLLoginArgs) SetToken(secret string) error {
	if secret != "" {
		return Errorf(Rejected, "do not provide a token when logging in")
	}
	return nil
}

// Validate wants an auth method and a token, and bounds Meta.
func (a *ACLLoginArgs) Validate() error {
	l := &a.Login
	switch {
	case l.AuthMethod == "":
		return Errorf(Invalid, "AuthMethod is missing: name the auth method to log in with")
	case l.BearerToken == "":
		return Errorf(Invalid, "BearerToken is missing: give the token that the auth method %q verifies", l.AuthMethod)
	case len(l.Meta) > maxMetaPairs:
		return Errorf(Invalid, "Meta has %d pairs, at most %d are kept", len(l.Meta), maxMetaPairs)
	}
	for k, v := range l.Meta {
		if len(k) > maxMetaKey || len(v) > maxMetaValue {
			return Errorf(Invalid, "Meta has a key of %d bytes with a value of %d, at most %d and %d are kept", len(k), len(v), maxMetaKey, maxMetaValue)
		}
	}
	return nil
}

// ACLLogoutArgs delete the token that the request is made with.
type ACLLogoutArgs struct {
	// Secret is filled in by the server.
	Secret string `json:"-" cbor:"-"`
}

// SetToken implements AboutToken.
func (a *ACLLogoutArgs) SetToken(secret string) error {
	if secret == "" {
		return Errorf(Denied, "ACL not found: log out with the token that the login gave")
	}
	a.Secret = secret
	return nil
}

// The verbs of those who log in.
var (
	ACLLogin = Leader[ACLLoginArgs, *ACLToken]("POST /v1/acl/login", "acl.login",
		"Trades what an auth method verifies against a token.")
	ACLLogout = Write[ACLLogoutArgs, bool]("POST /v1/acl/logout", "acl.logout",
		"Deletes the token of the caller, which a login gave.")
)
