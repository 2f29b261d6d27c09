package acl

import (
	"crypto/sha256"
	"slices"
	"strings"
	"sync"
	"time"
)

// Text is a policy as it was written.
type Text struct {
	Rules  string
	Syntax Syntax
}

// Identity is who holds a token, and what the holder may do in one datacenter.
type Identity struct {
	Accessor string
	// Manages says that the holder may do everything; Policies are empty then.
	Manages  bool
	Policies []Text
	// Expires is when the token ends; zero: never.
	Expires time.Time
	// Age is how old the knowledge of all this was when it was told: it is believed
	// for so much less.
	Age time.Duration
}

// Dated is what somebody knew about the holder of a token.
type Dated struct {
	Holder Authorizer // nil: nobody has it
	AsOf   time.Time
}

// Sets compiles policies, and remembers what it compiled: holders with the same
// policies share one authorizer. Make one with NewSets. Safe for concurrent use.
type Sets struct {
	options Options

	mu    sync.RWMutex
	known map[[sha256.Size]byte]Authorizer // by a hash of the texts
}

// maxSets bounds the authorizers that are remembered.
const maxSets = 4096

// NewSets makes sets of a datacenter's options.
func NewSets(o Options) *Sets { return &Sets{options: o, known: map[[sha256.Size]byte]Authorizer{}} }

// Holder gives what a holder may do. Errors are those of Parse.
func (s *Sets) Holder(id *Identity) (*Holder, error) {
	if id.Manages {
		return &Holder{Authorizer: AllowAll{}, Accessor: id.Accessor}, nil
	}
	may, err := s.compile(id.Policies)
	if err != nil {
		return nil, err
	}
	return &Holder{Authorizer: may, Accessor: id.Accessor}, nil
}

// compile merges policies, whose order does not matter.
func (s *Sets) compile(texts []Text) (Authorizer, error) {
	texts = slices.Clone(texts)
	slices.SortFunc(texts, func(a, b Text) int {
		return strings.Compare(a.Rules+string(rune(a.Syntax)), b.Rules+string(rune(b.Syntax)))
	})
	texts = slices.Compact(texts)
	h := sha256.New()
	for _, t := range texts {
		sum := sha256.Sum256([]byte(t.Rules))
		h.Write(append(sum[:], byte(t.Syntax)))
	}
	key := [sha256.Size]byte(h.Sum(nil))
	s.mu.RLock()
	known := s.known[key]
	s.mu.RUnlock()
	if known != nil {
		return known, nil
	}
	policies := make([]*Policy, 0, len(texts))
	for _, t := range texts {
		p, err := Parse(t.Rules, t.Syntax)
		if err != nil {
			return nil, err
		}
		policies = append(policies, p)
	}
	compiled := Compile(s.options, policies...)
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.known) >= maxSets {
		clear(s.known)
	}
	s.known[key] = compiled
	return compiled, nil
}
