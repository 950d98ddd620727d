package sqlite

import (
	"context"
	"fmt"

	"singularity/persistence"
	"singularity/workflow"
)

const upsertAgent = `
INSERT INTO agents (name, kind, boot, epoch, registered_at)
VALUES (?, ?, ?, 1, ?)
ON CONFLICT (name) DO UPDATE
SET kind = excluded.kind, boot = excluded.boot, epoch = epoch + 1, registered_at = excluded.registered_at
WHERE boot = excluded.boot
	OR ? AND kind = 'attached' AND excluded.kind = 'attached'
	OR boot NOT IN (SELECT boot FROM node_leases WHERE ended_at IS NULL)
RETURNING epoch`

// RegisterAgent implements [persistence.Agents].
func (s *Store) RegisterAgent(ctx context.Context, agent persistence.Agent, replace bool) (epoch int64, err error) {
	err = s.writer.transaction(ctx, func(t *tx) error {
		return t.query(func(row scanner) error { return row.Scan(&epoch) },
			upsertAgent, agent.Name, string(agent.Kind), string(agent.Boot), t.at, replace)
	})
	if err == nil && epoch == 0 {
		err = persistence.ErrAgentTaken
	}
	if err != nil {
		return 0, fmt.Errorf("register agent %q: %w", agent.Name, err)
	}
	return epoch, nil
}

const agentColumns = `
	name, kind, agents.boot, coalesce(lease.instance_id, agents.boot), lease.boot IS NOT NULL AND lease.ended_at IS NULL,
	epoch, registered_at,
	(SELECT count(*) FROM agent_inbox WHERE agent = name AND done_at IS NULL)`

func scanAgent(row scanner) (persistence.Agent, error) {
	var agent persistence.Agent
	var registered int64
	err := row.Scan(&agent.Name, &agent.Kind, &agent.Boot, &agent.Instance, &agent.Alive, &agent.Epoch, &registered, &agent.Waiting)
	agent.RegisteredAt = moment(registered)
	return agent, err
}

const readAgent = `
SELECT ` + agentColumns + `
FROM agents
LEFT JOIN node_leases AS lease ON lease.boot = agents.boot
WHERE name = ?`

// Agent implements [persistence.Agents].
func (s *Store) Agent(ctx context.Context, name string) (persistence.Agent, error) {
	var agent persistence.Agent
	found := false
	err := s.readers.query(ctx, func(row scanner) (err error) {
		found = true
		agent, err = scanAgent(row)
		return err
	}, readAgent, name)
	if err == nil && !found {
		err = workflow.ErrAgentNotFound
	}
	if err != nil {
		return persistence.Agent{}, fmt.Errorf("agent %q: %w", name, err)
	}
	return agent, nil
}

const listAgents = `
SELECT ` + agentColumns + `
FROM agents
LEFT JOIN node_leases AS lease ON lease.boot = agents.boot
ORDER BY name`

// Agents implements [persistence.Agents].
func (s *Store) Agents(ctx context.Context) ([]persistence.Agent, error) {
	var agents []persistence.Agent
	err := s.readers.query(ctx, func(row scanner) error {
		agent, err := scanAgent(row)
		agents = append(agents, agent)
		return err
	}, listAgents)
	if err != nil {
		return nil, fmt.Errorf("list agents: %w", err)
	}
	return agents, nil
}

const readInbox = `
SELECT seq, agent, message_id, source, type, payload, arrived_at
FROM agent_inbox
WHERE agent = ? AND seq > ? AND done_at IS NULL
ORDER BY seq
LIMIT ?`

// Inbox implements [persistence.Agents].
func (s *Store) Inbox(ctx context.Context, agent string, after int64, limit int) ([]persistence.InboxMessage, error) {
	var messages []persistence.InboxMessage
	err := s.readers.query(ctx, func(row scanner) error {
		var m persistence.InboxMessage
		var arrived int64
		err := row.Scan(&m.Seq, &m.Agent, &m.MessageID, &m.Source, &m.Type, &m.Payload, &arrived)
		m.ArrivedAt = moment(arrived)
		messages = append(messages, m)
		return err
	}, readInbox, agent, after, max(limit, 0))
	if err != nil {
		return nil, fmt.Errorf("inbox of agent %q: %w", agent, err)
	}
	return messages, nil
}

const insertMessage = `
INSERT INTO agent_inbox (agent, message_id, source, type, payload, run_id, arrived_at)
VALUES (?, ?, ?, ?, ?, ?, ?)
ON CONFLICT DO NOTHING`

// deliver puts a message into an agent's inbox, once. The run is empty when
// none sent it.
func (t *tx) deliver(run string, m workflow.Message) error {
	_, err := t.exec(insertMessage, m.Agent, m.ID, m.Source, m.Type, string(m.Payload), text(run), t.at)
	return err
}

const agentExists = `
SELECT 1
FROM agents
LEFT JOIN node_leases AS lease ON lease.boot = agents.boot
WHERE name = ?`

func (t *tx) post(w persistence.Post) (persistence.Verdict, error) {
	verdict := refused(workflow.ErrAgentNotFound)
	err := t.query(func(scanner) error {
		verdict.Err = nil
		return nil
	}, agentExists, w.Message.Agent)
	if err != nil || verdict.Err != nil {
		return verdict, err
	}
	return verdict, t.deliver("", w.Message)
}

const finishMessage = `
UPDATE agent_inbox
SET done_at = ?
WHERE agent = ? AND message_id = ? AND done_at IS NULL
	AND EXISTS (SELECT 1 FROM agents WHERE name = agent AND epoch = ?)`

const currentHome = `
SELECT 1
FROM agents
LEFT JOIN node_leases AS lease ON lease.boot = agents.boot
WHERE name = ? AND epoch = ?`

func (t *tx) acknowledge(w persistence.Acknowledge) (persistence.Verdict, error) {
	changed, err := t.exec(finishMessage, t.at, w.Agent, w.MessageID, w.Epoch)
	if err != nil || changed == 1 {
		return persistence.Verdict{}, err
	}
	// Done before, or never there, or from an earlier home.
	verdict := refused(persistence.ErrFenced)
	err = t.query(func(scanner) error {
		verdict.Err = nil
		return nil
	}, currentHome, w.Agent, w.Epoch)
	return verdict, err
}
