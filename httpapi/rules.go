package httpapi

import (
	"net/http"
	"net/netip"
)

// Rules are the settings that can change while the API is answering.
type Rules struct {
	// Headers are set on every answer (http_config.response_headers).
	Headers map[string]string
	// Blocked are beginnings of paths that are refused (http_config.block_endpoints).
	Blocked []string
	// WriteFrom are the networks whose clients may write; empty means all
	// (http_config.allow_write_http_from).
	WriteFrom []netip.Prefix
}

// SetRules replaces the rules for the requests that follow. It may be called at
// any time; the rules are not changed afterwards.
func (h *Handler) SetRules(r Rules) { h.rules.Store(&r) }

// mayWrite reports whether the client's address may use the method.
func (h *Handler) mayWrite(r *http.Request) bool {
	networks := h.rules.Load().WriteFrom
	if len(networks) == 0 || r.Method == http.MethodGet || r.Method == http.MethodHead {
		return true
	}
	from, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return false
	}
	for _, p := range networks {
		if p.Contains(from.Addr().Unmap()) {
			return true
		}
	}
	return false
}
