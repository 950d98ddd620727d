package memory

import (
	"bytes"
	"context"

	"singularity/persistence"
)

// Secret implements [persistence.Secrets].
func (s *Store) Secret(ctx context.Context, name string) ([]byte, error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	if s.secrets[name] == nil {
		s.secrets[name] = persistence.NewSecret()
	}
	return bytes.Clone(s.secrets[name]), nil
}
