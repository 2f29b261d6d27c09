package server

import (
	"bytes"
	lru "container/list"
	"sync"

	"github.com/fxamacker/cbor/v2"

	"curia/acl"
	"curia/api"
)

// sharedBytes bounds the encodings that are kept for identical queries.
const sharedBytes = 64 << 20

// sharedResults keeps the results of lists so that identical queries, and all
// who wait for the same change, share one evaluation and one encoding. A result
// is good until something changes that it was made from. Safe for concurrent use.
type sharedResults struct {
	mu    sync.Mutex
	limit int
	size  int
	byKey map[string]*lru.Element // of *sharedResult
	used  *lru.List               // most recently used first
}

// sharedResult is the latest result of one query.
type sharedResult struct {
	key  string
	size int // bytes of the encoding, guarded by sharedResults.mu

	mu  sync.Mutex // held while it is evaluated
	cur *answer
}

func newSharedResults(limit int) *sharedResults {
	return &sharedResults{limit: limit, byKey: map[string]*lru.Element{}, used: lru.New()}
}

// queryKey is what must be equal for two queries to have the same result.
type queryKey struct {
	_      struct{} `cbor:",toarray"`
	Op     string
	Who    string
	Filter string
	Args   any
}

// keyMode encodes keys into buffers that are used again.
var (
	keyMode = func() cbor.UserBufferEncMode {
		m, err := cbor.EncOptions{}.UserBufferEncMode()
		if err != nil {
			panic(err)
		}
		return m
	}()
	keys = sync.Pool{New: func() any { return new(bytes.Buffer) }}
)

// get returns the result of a query, evaluating it if there is none that is good.
func (s *sharedResults) get(req *api.Request, who acl.Authorizer, evaluate func() *answer) *answer {
	key := keys.Get().(*bytes.Buffer)
	defer keys.Put(key)
	key.Reset()
	if err := keyMode.MarshalToBuffer(queryKey{Op: req.Op.Name, Who: who.ID(), Filter: req.Filter, Args: req.Args}, key); err != nil {
		return evaluate()
	}
	r := s.find(key.Bytes())
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.cur != nil && !r.cur.watch.Fired() {
		return r.cur
	}
	r.cur = nil
	a := evaluate()
	if a.err != nil || a.missing {
		return a
	}
	r.cur = a
	s.resize(r, a.encoded.Size())
	return a
}

// find returns the entry of a key and marks it as used.
func (s *sharedResults) find(key []byte) *sharedResult {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e, ok := s.byKey[string(key)]; ok {
		s.used.MoveToFront(e)
		return e.Value.(*sharedResult)
	}
	r := &sharedResult{key: string(key), size: len(key)}
	s.byKey[r.key] = s.used.PushFront(r)
	s.grow(r.size)
	return r
}

// resize notes the size of an entry, if it is still kept.
func (s *sharedResults) resize(r *sharedResult, size int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e, ok := s.byKey[r.key]; ok && e.Value.(*sharedResult) == r {
		size += len(r.key)
		by := size - r.size
		r.size = size
		s.grow(by)
	}
}

// grow counts bytes and drops the least recently used entries over the limit.
// An entry larger than the limit is dropped at once; who asked for it has it.
func (s *sharedResults) grow(by int) {
	s.size += by
	for s.size > s.limit {
		e := s.used.Back()
		if e == nil {
			return
		}
		r := e.Value.(*sharedResult)
		s.used.Remove(e)
		delete(s.byKey, r.key)
		s.size -= r.size
	}
}
