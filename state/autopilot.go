package state

import "curia/api"

// autopilots has one row at most.
var autopilots = newTable("autopilot", func(b []byte, _ *api.AutopilotConfiguration) []byte { return append(b, "autopilot"...) })

// Autopilot reads the configuration of autopilot; nil before the first leader
// has written it.
func (v *View) Autopilot() *api.AutopilotConfiguration {
	c := one(v, autopilots, []byte("autopilot"))
	v.missing = c == nil
	v.raise(v.tableIndex(autopilots.id))
	return c
}

// AutopilotSet writes the configuration of autopilot. It answers whether the
// write took place.
type AutopilotSet struct {
	Conf api.AutopilotConfiguration `cbor:"1,keyasint"`
	// CAS, when not nil, must be the ModifyIndex of what is there; 0: there must
	// be nothing.
	CAS *uint64 `cbor:"2,keyasint,omitempty"`
}

// Apply implements Command.
func (c *AutopilotSet) Apply(tx *Tx) (any, error) {
	next := c.Conf
	next.CreateIndex, next.ModifyIndex = tx.index, tx.index
	old := autopilots.get(tx, []byte("autopilot"))
	if old == nil {
		if c.CAS != nil && *c.CAS != 0 {
			return false, nil
		}
		autopilots.put(tx, &next)
		return true, nil
	}
	if c.CAS != nil && *c.CAS != old.ModifyIndex {
		return false, nil
	}
	next.CreateIndex = old.CreateIndex
	same := next
	same.ModifyIndex = old.ModifyIndex
	if same != *old {
		autopilots.put(tx, &next)
	}
	return true, nil
}
