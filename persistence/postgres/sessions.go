package postgres

import (
	"fmt"
	"sync"

	"singularity/persistence"
	"singularity/workflow"
)

// sessions are those of a store, by boot.
type sessions struct {
	mu     sync.Mutex
	open   map[persistence.BootID]*session
	closed bool
}

func (s *sessions) of(boot persistence.BootID) (*session, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed:
		return nil, errClosed
	case s.open[boot] == nil:
		return nil, fmt.Errorf("%w: it has not joined here, or has ended", persistence.ErrFenced)
	default:
		return s.open[boot], nil
	}
}

// add keeps a session, unless the boot has one.
func (s *sessions) add(added *session) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed:
		return errClosed
	case s.open[added.boot] != nil:
		return fmt.Errorf("%w: another call joins as this boot", workflow.ErrUnavailable)
	}
	if s.open == nil {
		s.open = map[persistence.BootID]*session{}
	}
	s.open[added.boot] = added
	return nil
}

// end closes the session of a boot, if it has one.
func (s *sessions) end(boot persistence.BootID) {
	s.mu.Lock()
	ending := s.open[boot]
	delete(s.open, boot)
	s.mu.Unlock()
	if ending != nil {
		ending.close()
	}
}

// close closes all sessions.
func (s *sessions) close() {
	s.mu.Lock()
	ending := s.open
	s.open, s.closed = nil, true
	s.mu.Unlock()
	for _, session := range ending {
		session.close()
	}
}

var errSessionOver = fmt.Errorf("%w: the session of the boot is closed", workflow.ErrUnavailable)
