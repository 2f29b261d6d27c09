package bearer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// maxToken bounds a token, in bytes.
const maxToken = 64 << 10

// The documented leeways.
const (
	defaultLeeway = 150 * time.Second
	defaultSkew   = time.Minute
)

// Identity is what a token says of its bearer: the claims that are mapped, under
// their names. Claims that the token does not have are missing.
type Identity struct {
	Values map[string]string
	Lists  map[string][]string
}

// Verify decides whether a token is to be believed now, and gives what it says.
// An *UnreachableError tells that nobody knows; all other errors that it is not.
// No error shows the token. Keys are fetched if need be, within ten seconds.
func (v *Verifier) Verify(ctx context.Context, m *Method, token string) (*Identity, error) {
	if len(token) > maxToken {
		return nil, fmt.Errorf("the token has %d bytes, more than %d", len(token), maxToken)
	}
	signed, err := jwt.ParseSigned(token, m.algs)
	if err != nil {
		return nil, fmt.Errorf("the token is not a JWT that was signed with one of %v: %w", m.algs, err)
	}
	var known jwt.Claims
	all := map[string]any{}
	if err := v.open(ctx, m, signed, &known, &all); err != nil {
		return nil, err
	}
	if err := m.holds(&known, time.Now()); err != nil {
		return nil, err
	}
	return m.identity(all)
}

// open checks the signature and reads the claims.
func (v *Verifier) open(ctx context.Context, m *Method, signed *jwt.JSONWebToken, claims ...any) error {
	head := signed.Headers[0]
	keys := m.keys
	if m.from != nil {
		var err error
		if keys, err = v.keys(ctx, m.from, head.KeyID); err != nil {
			return err
		}
		if head.KeyID != "" {
			keys = slices.DeleteFunc(slices.Clone(keys), func(k jose.JSONWebKey) bool { return k.KeyID != "" && k.KeyID != head.KeyID })
		}
	}
	for _, key := range keys {
		if key.Algorithm != "" && key.Algorithm != head.Algorithm {
			continue
		}
		if signed.Claims(key.Key) != nil {
			continue
		}
		if err := signed.Claims(key.Key, claims...); err != nil {
			return fmt.Errorf("read the claims of the token: %w", err)
		}
		return nil
	}
	return errors.New("no known key verifies the signature of the token")
}

// holds checks who a token is from and for, and its times. A token without an
// end ends a leeway after it began; one without a beginning begins a leeway
// before its end.
func (m *Method) holds(c *jwt.Claims, now time.Time) error {
	switch issuer := m.issuer(); {
	case issuer != "" && c.Issuer != issuer, m.cfg.BoundIssuer != "" && c.Issuer != m.cfg.BoundIssuer:
		return fmt.Errorf("the token is from %q, not from the issuer that is wanted", c.Issuer)
	case len(m.cfg.BoundAudiences) == 0 && len(c.Audience) > 0:
		return errors.New("the token is for an audience, but the auth method has no BoundAudiences")
	case len(m.cfg.BoundAudiences) > 0 && !slices.ContainsFunc(c.Audience, func(a string) bool { return slices.Contains(m.cfg.BoundAudiences, a) }):
		return fmt.Errorf("the token is for %q, none of which is in BoundAudiences", []string(c.Audience))
	case c.IssuedAt == nil && c.NotBefore == nil && c.Expiry == nil:
		return errors.New("the token has neither iat, nbf nor exp: it would be good for ever")
	}
	begin, end := c.NotBefore.Time(), c.Expiry.Time()
	if c.NotBefore == nil && c.IssuedAt != nil {
		begin = c.IssuedAt.Time()
	}
	if c.Expiry == nil {
		end = begin
		if c.IssuedAt != nil && c.IssuedAt.Time().After(end) {
			end = c.IssuedAt.Time()
		}
		end = end.Add(leeway(m.cfg.ExpirationLeeway, defaultLeeway))
	}
	if c.NotBefore == nil && c.IssuedAt == nil {
		begin = end.Add(-leeway(m.cfg.NotBeforeLeeway, defaultLeeway))
	}
	skew := leeway(m.cfg.ClockSkewLeeway, defaultSkew)
	switch {
	case now.Add(-skew).After(end):
		return fmt.Errorf("the token ended at %s", end.UTC().Format(time.RFC3339))
	case now.Add(skew).Before(begin):
		return fmt.Errorf("the token begins at %s", begin.UTC().Format(time.RFC3339))
	case c.IssuedAt != nil && now.Add(skew).Before(c.IssuedAt.Time()):
		return fmt.Errorf("the token was issued in the future, at %s", c.IssuedAt.Time().UTC().Format(time.RFC3339))
	}
	return nil
}

// issuer is who must have signed because the keys are theirs; empty: unknown.
func (m *Method) issuer() string {
	if m.from != nil && m.from.discovers {
		return m.from.address
	}
	return ""
}

// identity takes over the claims that are mapped.
func (m *Method) identity(all map[string]any) (*Identity, error) {
	id := &Identity{Values: map[string]string{}, Lists: map[string][]string{}}
	for claim, name := range m.cfg.ClaimMappings {
		value := find(all, claim)
		if value == nil {
			continue
		}
		text, ok := text(value)
		if !ok {
			return nil, fmt.Errorf("the claim %q is mapped by ClaimMappings but has not one value: map it by ListClaimMappings", claim)
		}
		id.Values[name] = text
	}
	for claim, name := range m.cfg.ListClaimMappings {
		value := find(all, claim)
		if value == nil {
			continue
		}
		list, ok := value.([]any)
		if !ok {
			list = []any{value}
		}
		texts := []string{}
		for _, element := range list {
			text, ok := text(element)
			if !ok {
				return nil, fmt.Errorf("the claim %q has an element that is no text, number or truth value: it cannot be mapped", claim)
			}
			texts = append(texts, text)
		}
		id.Lists[name] = texts
	}
	return id, nil
}

// find gives the claim with a name, or that a JSON pointer leads to; nil if
// there is none.
func find(all map[string]any, claim string) any {
	if !strings.HasPrefix(claim, "/") {
		return all[claim]
	}
	var at any = all
	for _, step := range strings.Split(claim[1:], "/") {
		step = strings.NewReplacer("~1", "/", "~0", "~").Replace(step)
		switch below := at.(type) {
		case map[string]any:
			at = below[step]
		case []any:
			i, err := strconv.Atoi(step)
			if err != nil || i < 0 || i >= len(below) {
				return nil
			}
			at = below[i]
		default:
			return nil
		}
	}
	return at
}

// text prints a value that is one.
func text(value any) (string, bool) {
	switch v := value.(type) {
	case string:
		return v, true
	case bool:
		return strconv.FormatBool(v), true
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64), true
	}
	return "", false
}
