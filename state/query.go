package state

import (
	"reflect"

	"curia/api"
)

var (
	queries = newTable("prepared-queries", func(b []byte, q *api.PreparedQuery) []byte { return append(b, q.ID...) })
	// queriesName finds the queries that answer one name.
	_, queriesName = queries.by(func(out [][]byte, q *api.PreparedQuery) [][]byte {
		if q.Name == "" || q.IsTemplate() {
			return out
		}
		return append(out, []byte(fold(q.Name)))
	})
	// queriesTemplate finds the templates by the beginning of the names that they
	// answer, which may be empty.
	_, queriesTemplate = queries.by(func(out [][]byte, q *api.PreparedQuery) [][]byte {
		if !q.IsTemplate() {
			return out
		}
		return append(out, []byte(fold(q.Name)))
	})
	// queriesSession finds the queries that end with a session.
	_, queriesSession = queries.by(func(out [][]byte, q *api.PreparedQuery) [][]byte {
		if q.Session == "" {
			return out
		}
		return append(out, join(q.Session, q.ID))
	})
)

// templatesTopic stands for which template answers a name: templates, and names
// that queries gave up.
const templatesTopic = "query-templates"

// Queries reads all prepared queries, by ID.
func (v *View) Queries() []*api.PreparedQuery { return all(v, queries) }

// Query reads one prepared query by its ID; nil when it does not exist.
func (v *View) Query(id string) *api.PreparedQuery {
	q := one(v, queries, []byte(id))
	v.missing = q == nil
	if q == nil {
		v.raise(v.tableIndex(queries.id))
		return nil
	}
	v.raise(q.ModifyIndex)
	return q
}

// FindQuery reads the prepared query that answers to an ID or a name: the one
// with the ID, else the one with the name, else the template with the longest
// beginning of the name. It returns nil when there is none.
func (v *View) FindQuery(name string) *api.PreparedQuery {
	// An ID is never a name, so who finds one need not look out for the other.
	if queries.get(v, []byte(name)) != nil {
		return v.Query(name)
	}
	v.missing = false
	key := []byte(fold(name))
	row, ch := v.at(queriesName).getWatch(key)
	v.watch(ch)
	if q, ok := row.(*api.PreparedQuery); ok {
		v.raise(q.ModifyIndex)
		return q
	}
	v.about(templatesTopic, v.tableIndex(queries.id))
	var found *api.PreparedQuery
	v.at(queriesTemplate).walkPath(key, func(row any) { found = row.(*api.PreparedQuery) })
	if found == nil {
		v.Query(name) // it may come with this ID
	}
	return found
}

// QueryHealth reads the instances that a prepared query may choose from. A query
// is an answer even if there are none.
func (v *View) QueryHealth(q *api.PreparedQuery) []*api.ServiceHealth {
	out := v.ServiceHealth(q.Service.Service)
	v.missing = false
	return out
}

// QueryCreate creates a prepared query whose ID was chosen before. It answers
// the ID.
type QueryCreate struct {
	Query api.PreparedQuery `cbor:"1,keyasint"`
}

// Apply implements Command.
func (c *QueryCreate) Apply(tx *Tx) (any, error) {
	q := c.Query
	if queries.get(tx, []byte(q.ID)) != nil || named(tx, q.ID) != nil {
		return nil, rejected("prepared query ID %q is already in use", q.ID)
	}
	if err := admitQuery(tx, &q); err != nil {
		return nil, err
	}
	q.CreateIndex, q.ModifyIndex = tx.index, tx.index
	putQuery(tx, &q)
	return api.QueryID{ID: q.ID}, nil
}

// QueryUpdate replaces a prepared query.
type QueryUpdate struct {
	Query api.PreparedQuery `cbor:"1,keyasint"`
}

// Apply implements Command.
func (c *QueryUpdate) Apply(tx *Tx) (any, error) {
	q := c.Query
	old := queries.get(tx, []byte(q.ID))
	if old == nil {
		return nil, api.ErrNoQuery
	}
	if err := admitQuery(tx, &q); err != nil {
		return nil, err
	}
	q.CreateIndex, q.ModifyIndex = old.CreateIndex, old.ModifyIndex
	if !reflect.DeepEqual(&q, old) {
		q.ModifyIndex = tx.index
		putQuery(tx, &q)
	}
	return api.Nothing{}, nil
}

// QueryDelete removes a prepared query.
type QueryDelete struct {
	ID string `cbor:"1,keyasint"`
}

// Apply implements Command.
func (c *QueryDelete) Apply(tx *Tx) (any, error) {
	q := queries.get(tx, []byte(c.ID))
	if q == nil {
		return nil, api.ErrNoQuery
	}
	removeQuery(tx, q)
	return api.Nothing{}, nil
}

// named finds the query that answers one name only.
func named(src source, name string) *api.PreparedQuery {
	q, _ := src.at(queriesName).get([]byte(fold(name))).(*api.PreparedQuery)
	return q
}

// admitQuery refuses a query of a session that does not exist, and one that
// answers to what another does.
func admitQuery(tx *Tx, q *api.PreparedQuery) error {
	if q.Session != "" && sessions.get(tx, []byte(q.Session)) == nil {
		return rejected("invalid session %q", q.Session)
	}
	if q.IsTemplate() {
		other, _ := tx.at(queriesTemplate).get([]byte(fold(q.Name))).(*api.PreparedQuery)
		if other != nil && other.ID != q.ID {
			return rejected("prepared query template %q exists already", q.Name)
		}
		return nil
	}
	if q.Name == "" {
		return nil
	}
	if other := named(tx, q.Name); other != nil && other.ID != q.ID {
		return rejected("prepared query %q exists already", q.Name)
	}
	if fold(q.Name) == q.ID || queries.get(tx, []byte(fold(q.Name))) != nil {
		return rejected("prepared query name %q is the ID of a query", q.Name)
	}
	return nil
}

// putQuery writes a query that was admitted.
func putQuery(tx *Tx, q *api.PreparedQuery) {
	old := queries.put(tx, q)
	gaveUp := old != nil && (old.IsTemplate() || old.Name != "" && fold(old.Name) != fold(q.Name))
	if q.IsTemplate() || gaveUp {
		tx.bump(templatesTopic)
	}
}

func removeQuery(tx *Tx, q *api.PreparedQuery) {
	queries.remove(tx, q)
	if q.IsTemplate() || q.Name != "" {
		tx.bump(templatesTopic)
	}
}

// endQueriesOfSession removes the queries that end with a session.
func endQueriesOfSession(tx *Tx, session string) {
	for _, q := range queries.collect(tx, queriesSession, join(session, "")) {
		removeQuery(tx, q)
	}
}
