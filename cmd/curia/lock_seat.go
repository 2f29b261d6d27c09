package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"curia/api"
	"curia/internal/pause"
)

// The flags of entries that clients use as locks and as semaphores. They keep
// one from being taken for the other.
const (
	lockFlags      uint64 = 0x2ddccbc058a50c18
	semaphoreFlags uint64 = 0xe0f69a2baa414de0
)

// delayPause is how long a lock is left alone that is free and cannot be had:
// its last holder was ended by force, and the delay after that is on.
const delayPause = time.Second

// errTimeout says that a lock was not to be had in time.
var errTimeout = errors.New("the lock was not to be had in time")

// seat is a place among the holders of a prefix, laid out in keys as clients of
// Consul do it. It belongs to one session.
type seat interface {
	// take waits until the session has the seat. When patience ends while others
	// hold what is asked for, it returns errTimeout.
	take(ctx, patience context.Context) error
	// look reports whether the session has the seat, and the index of that answer;
	// it waits for an index above the one given.
	look(ctx context.Context, after uint64) (held bool, index uint64, err error)
	// leave gives the seat up.
	leave(ctx context.Context) error
	// clear removes what no holder needs any more.
	clear(ctx context.Context) error
}

// keys are the entries that a seat is made of.
type keys struct {
	api.Caller
	session string
}

// get reads one key; nil when there is none. The consistent mode keeps a server
// that is not the leader any more from telling that a lock is held.
func (k keys) get(ctx context.Context, key string, after uint64) (*api.KVPair, uint64, error) {
	found, meta, err := api.Ask(ctx, k.Caller, api.KVGet, api.KeyArgs{Key: key}, api.Query{Consistency: api.Consistent, MinIndex: after})
	if api.KindOf(err) == api.NotFound || err == nil && len(found) == 0 {
		return nil, meta.Index, nil
	}
	if err != nil {
		return nil, 0, fmt.Errorf("read key %q: %w", key, err)
	}
	return found[0], meta.Index, nil
}

func (k keys) put(ctx context.Context, args api.KVPutArgs) (bool, error) {
	done, err := api.Call(ctx, k.Caller, api.KVPut, args)
	if err != nil {
		return false, fmt.Errorf("write key %q: %w", args.Key, err)
	}
	return done, nil
}

// drop deletes a key if nobody has changed it since it was read.
func (k keys) drop(ctx context.Context, p *api.KVPair) error {
	_, err := api.Call(ctx, k.Caller, api.KVDelete, api.KVDeleteArgs{Key: p.Key, CAS: &p.ModifyIndex})
	if err != nil {
		return fmt.Errorf("delete key %q: %w", p.Key, err)
	}
	return nil
}

// mutex is the only seat of a prefix: whoever has locked the key has it.
type mutex struct {
	keys
	key string
}

func (m *mutex) take(ctx, patience context.Context) error {
	waiting := ctx // the first look is taken however short the patience
	for after := uint64(0); ; waiting = patience {
		p, index, err := m.get(waiting, m.key, after)
		switch {
		case err != nil:
			return outOfPatience(ctx, patience, err)
		case p != nil && p.Flags != lockFlags:
			return fmt.Errorf("key %q is not a lock; choose another prefix", m.key)
		case p != nil && p.Session == m.session:
			return nil
		case p != nil && p.Session != "":
			after = index
			continue
		}
		taken, err := m.put(ctx, api.KVPutArgs{Key: m.key, Flags: lockFlags, Acquire: &m.session})
		if err != nil || taken {
			return err
		}
		if p, _, err = m.get(ctx, m.key, 0); err != nil {
			return err
		}
		if p == nil || p.Session == "" {
			if !pause.For(patience, delayPause) {
				return outOfPatience(ctx, patience, patience.Err())
			}
		}
		after = 0
	}
}

func (m *mutex) look(ctx context.Context, after uint64) (bool, uint64, error) {
	p, index, err := m.get(ctx, m.key, after)
	return p != nil && p.Session == m.session, index, err
}

func (m *mutex) leave(ctx context.Context) error {
	_, err := m.put(ctx, api.KVPutArgs{Key: m.key, Flags: lockFlags, Release: &m.session})
	return err
}

func (m *mutex) clear(ctx context.Context) error {
	p, _, err := m.get(ctx, m.key, 0)
	if err != nil || p == nil || p.Session != "" || p.Flags != lockFlags {
		return err
	}
	return m.drop(ctx, p)
}

// semaphore has several seats. Each session that wants one locks a key of its
// own; the coordination key lists those who have one.
type semaphore struct {
	keys
	prefix string // ends with a slash
	limit  int
}

// seats is the value of the coordination key.
type seats struct {
	Limit   int
	Holders map[string]bool // by session
}

// taken is what was read about a semaphore.
type taken struct {
	seats
	modified uint64 // of the coordination key; 0 when there is none
	index    uint64
	present  bool // whether the session has its own key
}

func (s *semaphore) key() string { return s.prefix + ".lock" }

// read reads the semaphore, without those who are gone.
func (s *semaphore) read(ctx context.Context, after uint64) (*taken, error) {
	found, meta, err := api.Ask(ctx, s.Caller, api.KVList, api.PrefixArgs{Prefix: s.prefix}, api.Query{Consistency: api.Consistent, MinIndex: after})
	if err != nil && api.KindOf(err) != api.NotFound {
		return nil, fmt.Errorf("read keys with prefix %q: %w", s.prefix, err)
	}
	t := &taken{index: meta.Index, seats: seats{Limit: s.limit}}
	alive := map[string]bool{}
	for _, p := range found {
		switch {
		case p.Key == s.key():
			if p.Flags != semaphoreFlags {
				return nil, fmt.Errorf("key %q is not a semaphore; choose another prefix", p.Key)
			}
			if err := json.Unmarshal(p.Value, &t.seats); err != nil {
				return nil, fmt.Errorf("decode semaphore %q: %w", p.Key, err)
			}
			t.modified = p.ModifyIndex
		case p.Session != "":
			alive[p.Session] = true
		}
	}
	t.present = alive[s.session]
	holders := map[string]bool{}
	for id := range t.Holders {
		if alive[id] {
			holders[id] = true
		}
	}
	t.Holders = holders
	return t, nil
}

// write replaces what was read; false when somebody else was faster.
func (s *semaphore) write(ctx context.Context, t *taken) (bool, error) {
	value, err := json.Marshal(t.seats)
	if err != nil {
		return false, fmt.Errorf("encode semaphore %q: %w", s.key(), err)
	}
	return s.put(ctx, api.KVPutArgs{Key: s.key(), Flags: semaphoreFlags, CAS: &t.modified, Value: value})
}

func (s *semaphore) take(ctx, patience context.Context) error {
	mine := s.prefix + s.session
	there, err := s.put(ctx, api.KVPutArgs{Key: mine, Flags: semaphoreFlags, Acquire: &s.session})
	if err == nil && !there {
		err = fmt.Errorf("key %q cannot be locked", mine)
	}
	if err != nil {
		return err
	}
	waiting := ctx
	for after := uint64(0); ; waiting = patience {
		t, err := s.read(waiting, after)
		switch {
		case err != nil:
			return outOfPatience(ctx, patience, err)
		case t.Limit != s.limit:
			return fmt.Errorf("semaphore %q has the limit %d, not %d; give the same -n everywhere", s.prefix, t.Limit, s.limit)
		case t.Holders[s.session]:
			return nil
		case len(t.Holders) >= t.Limit:
			after = t.index
			continue
		}
		t.Holders[s.session] = true
		if done, err := s.write(ctx, t); err != nil || done {
			return err
		}
		after = 0
	}
}

func (s *semaphore) look(ctx context.Context, after uint64) (bool, uint64, error) {
	t, err := s.read(ctx, after)
	if err != nil {
		return false, 0, err
	}
	return t.present && t.Holders[s.session], t.index, nil
}

func (s *semaphore) leave(ctx context.Context) error {
	for {
		t, err := s.read(ctx, 0)
		if err != nil {
			return err
		}
		if !t.Holders[s.session] {
			break
		}
		delete(t.Holders, s.session)
		if done, err := s.write(ctx, t); err != nil {
			return err
		} else if done {
			break
		}
	}
	_, err := api.Call(ctx, s.Caller, api.KVDelete, api.KVDeleteArgs{Key: s.prefix + s.session})
	return err
}

func (s *semaphore) clear(ctx context.Context) error {
	t, err := s.read(ctx, 0)
	if err != nil || t.modified == 0 || len(t.Holders) > 0 {
		return err
	}
	return s.drop(ctx, &api.KVPair{Key: s.key(), ModifyIndex: t.modified})
}

// newSeat gives the seat of a session: the only one, or one of several.
func newSeat(k keys, prefix string, limit int) seat {
	prefix = strings.TrimSuffix(prefix, "/") + "/"
	if limit == 1 {
		return &mutex{k, prefix + ".lock"}
	}
	return &semaphore{k, prefix, limit}
}

// outOfPatience tells the end of patience from other errors.
func outOfPatience(ctx, patience context.Context, err error) error {
	if ctx.Err() == nil && patience.Err() != nil {
		return errTimeout
	}
	return err
}
