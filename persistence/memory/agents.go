package memory

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"singularity/persistence"
	"singularity/workflow"
)

// agent is an agent but for its count of messages.
type agent struct{ persistence.Agent }

// inbox holds the messages of all agents in the order of their arrival.
type inbox struct {
	rows  []*inboxRow
	known map[messageKey]*inboxRow
	seq   int64
}

type messageKey struct{ agent, id string }

type inboxRow struct {
	persistence.InboxMessage
	doneAt time.Time // zero while it waits
}

// add takes a message in, unless it is there already.
func (b *inbox) add(m workflow.Message, at time.Time) {
	key := messageKey{m.Agent, m.ID}
	if b.known[key] != nil {
		return
	}
	b.seq++
	row := &inboxRow{InboxMessage: persistence.InboxMessage{
		Seq: b.seq, Agent: m.Agent, MessageID: m.ID, Source: m.Source, Type: m.Type,
		Payload: bytes.Clone(m.Payload), ArrivedAt: at,
	}}
	b.known[key] = row
	b.rows = append(b.rows, row)
}

// waiting lists the messages of an agent that are not done.
func (b *inbox) waiting(agent string) []*inboxRow {
	var rows []*inboxRow
	for _, row := range b.rows {
		if row.Agent == agent && row.doneAt.IsZero() {
			rows = append(rows, row)
		}
	}
	return rows
}

func (r *inboxRow) doneBefore(at time.Time) bool { return !r.doneAt.IsZero() && r.doneAt.Before(at) }

// expired reports whether there is a message that was done before the given time.
func (b *inbox) expired(before time.Time) bool {
	return slices.ContainsFunc(b.rows, func(row *inboxRow) bool { return row.doneBefore(before) })
}

// prune drops the messages that were done before the given time, and counts them.
func (b *inbox) prune(before time.Time) int {
	known := len(b.rows)
	b.rows = slices.DeleteFunc(b.rows, func(row *inboxRow) bool {
		expired := row.doneBefore(before)
		if expired {
			delete(b.known, messageKey{row.Agent, row.MessageID})
		}
		return expired
	})
	return known - len(b.rows)
}

// RegisterAgent implements [persistence.Agents].
func (s *Store) RegisterAgent(ctx context.Context, registered persistence.Agent, replace bool) (int64, error) {
	if err := s.enter(ctx); err != nil {
		return 0, err
	}
	defer s.mu.Unlock()
	a := s.agents[registered.Name]
	if a == nil {
		a = &agent{}
		s.agents[registered.Name] = a
	}
	gives := replace && a.Kind == persistence.AgentAttached && registered.Kind == persistence.AgentAttached
	if a.Boot != registered.Boot && s.alive(a.Boot) && !gives {
		return 0, fmt.Errorf("register agent %q: %w", registered.Name, persistence.ErrAgentTaken)
	}
	registered.Epoch = a.Epoch + 1
	registered.RegisteredAt = now()
	a.Agent = registered
	return a.Epoch, nil
}

func (s *Store) reading(a *agent) persistence.Agent {
	reading := a.Agent
	reading.Instance, reading.Alive = s.label(a.Boot), s.alive(a.Boot)
	reading.Waiting = len(s.inbox.waiting(a.Name))
	return reading
}

// Agent implements [persistence.Agents].
func (s *Store) Agent(ctx context.Context, name string) (persistence.Agent, error) {
	if err := s.enter(ctx); err != nil {
		return persistence.Agent{}, err
	}
	defer s.mu.Unlock()
	a := s.agents[name]
	if a == nil {
		return persistence.Agent{}, fmt.Errorf("agent %q: %w", name, workflow.ErrAgentNotFound)
	}
	return s.reading(a), nil
}

// Agents implements [persistence.Agents].
func (s *Store) Agents(ctx context.Context) ([]persistence.Agent, error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	var agents []persistence.Agent
	for _, a := range s.agents {
		agents = append(agents, s.reading(a))
	}
	slices.SortFunc(agents, func(a, b persistence.Agent) int { return cmp.Compare(a.Name, b.Name) })
	return agents, nil
}

// Inbox implements [persistence.Agents].
func (s *Store) Inbox(ctx context.Context, agent string, after int64, limit int) ([]persistence.InboxMessage, error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	var messages []persistence.InboxMessage
	for _, row := range s.inbox.waiting(agent) {
		if row.Seq > after && len(messages) < limit {
			message := row.InboxMessage
			message.Payload = bytes.Clone(message.Payload)
			messages = append(messages, message)
		}
	}
	return messages, nil
}

func (s *Store) post(w persistence.Post, at time.Time) persistence.Verdict {
	if s.agents[w.Message.Agent] == nil {
		return refused(workflow.ErrAgentNotFound)
	}
	s.inbox.add(w.Message, at)
	return persistence.Verdict{}
}

func (s *Store) acknowledge(w persistence.Acknowledge, at time.Time) persistence.Verdict {
	if a := s.agents[w.Agent]; a == nil || a.Epoch != w.Epoch {
		return refused(persistence.ErrFenced)
	}
	if row := s.inbox.known[messageKey{w.Agent, w.MessageID}]; row != nil && row.doneAt.IsZero() {
		row.doneAt = at
	}
	return persistence.Verdict{}
}
