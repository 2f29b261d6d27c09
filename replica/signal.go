package replica

import "sync"

// signal wakes those who wait for something to happen again. The zero value is
// ready.
type signal struct {
	mu sync.Mutex
	ch chan struct{} // nil while nobody waits
}

// next is closed when the signal is given after this call.
func (s *signal) next() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ch == nil {
		s.ch = make(chan struct{})
	}
	return s.ch
}

// give wakes all who wait.
func (s *signal) give() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ch != nil {
		close(s.ch)
		s.ch = nil
	}
}
